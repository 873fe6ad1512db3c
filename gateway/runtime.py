"""What a web process runs for the gateway, once: the snapshot poller, the journal and its writer, the upstream pool.

    start() ──▶ threads run ──▶ ready() once the first snapshot is there ──▶ ... ──▶ stop(): the journal is written up

The lifespan of the ASGI application starts and stops it; a server without lifespan (daphne) starts it with the first
request and leaves the rest of the journal to the next process.
"""

import asyncio
from dataclasses import dataclass, field

from django.conf import settings

from gateway.admission import Admission
from gateway.allowances import shared_store
from gateway.balancer import Balancer
from gateway.budgets import used_by_the_records
from gateway.image_fetching import ImageFetcher
from gateway.journal import Journal
from gateway.journal_writer import JournalWriter
from gateway.ledger import store_entries
from gateway.limit_store import LimitStore
from gateway.limiter import Limiter
from gateway.prober import Prober
from gateway.provider_upstream import ProviderUpstream
from gateway.snapshot import SnapshotPoller
from gateway.upstream import Upstream

_PATIENCE_AT_END_S, _LOOKS_AT_END = 3.0, 100


@dataclass(slots=True)
class Runtime:
    """The parts, for those who need one of them."""

    poller: SnapshotPoller
    journal: Journal
    writer: JournalWriter
    upstream: Upstream = field(default_factory=Upstream)
    providers: ProviderUpstream = field(default_factory=ProviderUpstream)
    images: ImageFetcher = field(default_factory=ImageFetcher)
    balancer: Balancer = field(default_factory=Balancer)
    is_ready: bool = False
    admission: Admission = field(init=False)
    prober: Prober = field(init=False)
    limiter: Limiter = field(init=False)

    def __post_init__(self) -> None:
        self.admission = Admission(self.poller, self.balancer)
        self.prober = Prober(self.balancer.breaker, self.upstream)
        self.limiter = Limiter(self.poller, LimitStore(shared_store(), used_by_the_records))


_running: Runtime | None = None


class NotStarted(RuntimeError):
    """A generation was asked for in a process that runs no gateway (a task process, a shell)."""


def start() -> Runtime:
    """Start the threads, unless they run already."""
    global _running
    if _running is None:
        journal = Journal(settings.JOURNAL_DIR, store_entries)
        _running = Runtime(poller=SnapshotPoller(), journal=journal, writer=JournalWriter(journal))
        _running.poller.start()
        _running.writer.start()
    return _running


async def ready() -> Runtime:
    """The running gateway, started if need be, with at least one attempt made at reading keys and fleet."""
    runtime = start()
    if not runtime.is_ready:
        await runtime.poller.next_reading()
        runtime.is_ready = True
    return runtime


async def stop() -> None:
    """End the threads; whatever was used is in the database when this returns, if it can be reached."""
    global _running
    runtime, _running = _running, None
    if runtime is None:
        return
    await _last_records(runtime)
    await runtime.admission.stop()
    await runtime.prober.stop()
    await runtime.limiter.stop()
    await runtime.upstream.close()
    await runtime.providers.close()
    await runtime.images.close()
    await asyncio.to_thread(_stop_threads, runtime)


def current() -> Runtime:
    """Raises NotStarted."""
    if _running is None:
        raise NotStarted("The gateway is not running in this process: call gateway.runtime.start() first")
    return _running


async def _last_records(runtime: Runtime) -> None:
    """A server that ends cancels what still runs; each of those has yet to stop its engine and leave its record."""
    for _ in range(_LOOKS_AT_END):
        if not runtime.balancer.in_flight and not runtime.admission.num_waiting:
            return
        await asyncio.sleep(_PATIENCE_AT_END_S / _LOOKS_AT_END)


def _stop_threads(runtime: Runtime) -> None:
    runtime.poller.stop()
    runtime.writer.stop()
    runtime.journal.close()
