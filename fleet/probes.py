"""Whether workers answer where they say they are: asked from here every few seconds, with the secret that they gave us.

A heartbeat shows that a worker can call us; only this shows that we can call it.
"""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import aiohttp
from django.db import transaction
from django.utils.timezone import now

from fleet.models import Cause, ProbeFailure, Transition, Worker, WorkerState
from fleet.worker_calls import ask, failure_of

_TIMEOUT_S = 2.0
_TRANSPORTS_CLOSE_WITHIN_S = 0.1
_MAX_AT_A_TIME = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What came of calling a worker: a ProbeFailure or nothing, and the Date header of its answer."""

    failure: str
    date: str = ""


def call_worker(worker: Worker) -> Call:
    """Call this one now; nothing is recorded."""
    return asyncio.run(_call_all([worker]))[0]


def probe_workers() -> int:
    """Call every worker that calls us, all at once; how many did not answer."""
    workers = list(Worker.objects.alive())
    calls = asyncio.run(_call_all(workers)) if workers else []
    by_outcome: defaultdict[str, list[Worker]] = defaultdict(list)
    for worker, call in zip(workers, calls, strict=True):
        by_outcome[call.failure].append(worker)
    for outcome, found in by_outcome.items():
        _record(outcome, found)
    return len(workers) - len(by_outcome[""])


@transaction.atomic
def _record(outcome: str, workers: Sequence[Worker]) -> None:
    """The outcome, one for all of these; and what it changes, for the timeline."""
    at = now()
    Worker.objects.filter(pk__in=[worker.pk for worker in workers]).update(probed_at=at, probe_failure=outcome)
    for worker in workers:
        before = worker.state
        worker.probed_at, worker.probe_failure = at, outcome
        # Silence is noted by those who notice it, with its own cause.
        if worker.state not in (before, WorkerState.SILENT):
            cause = Cause.PROBE_FAILED if outcome else Cause.PROBE_ANSWERED
            Transition.objects.note(worker, before, worker.state, cause, detail=outcome)


async def _call_all(workers: Sequence[Worker]) -> list[Call]:
    connector = aiohttp.TCPConnector(limit=_MAX_AT_A_TIME, force_close=True)
    async with aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar()) as session:
        calls = await asyncio.gather(*(_call(session, worker) for worker in workers))
    # asyncio closes the transport of a handshake that failed a little later, and warns if its loop has ended by then.
    await asyncio.sleep(_TRANSPORTS_CLOSE_WITHIN_S)
    return calls


async def _call(session: aiohttp.ClientSession, worker: Worker) -> Call:
    try:
        async with ask(session, worker, ("GET", "/health"), timeout_s=_TIMEOUT_S) as answer:
            failure = "" if answer.status == 200 else ProbeFailure.STRANGER
            return Call(failure=failure, date=answer.headers.get("Date", ""))
    except (aiohttp.ClientError, OSError) as error:
        return Call(failure=failure_of(error))
