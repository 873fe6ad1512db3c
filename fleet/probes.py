"""Whether workers answer where they say they are: asked from here every few seconds, with the secret that they gave us.

A heartbeat shows that a worker can call us; only this shows that we can call it.
"""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from urllib.parse import urlsplit

import aiohttp
from django.db import transaction
from django.utils.timezone import now

from fleet.addresses import pinned_url
from fleet.models import Cause, ProbeFailure, Transition, Worker, WorkerState

_TIMEOUT = aiohttp.ClientTimeout(total=2)
_MAX_AT_A_TIME = 200


def probe_workers() -> int:
    """Call every worker that calls us, all at once; how many did not answer."""
    workers = list(Worker.objects.alive())
    outcomes = asyncio.run(_probe_all(workers)) if workers else []
    by_outcome: defaultdict[str, list[Worker]] = defaultdict(list)
    for worker, outcome in zip(workers, outcomes, strict=True):
        by_outcome[outcome].append(worker)
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


async def _probe_all(workers: Sequence[Worker]) -> list[str]:
    """For each a ProbeFailure, or nothing."""
    connector = aiohttp.TCPConnector(limit=_MAX_AT_A_TIME, force_close=True)
    async with aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar()) as session:
        return await asyncio.gather(*(_probe(session, worker) for worker in workers))


async def _probe(session: aiohttp.ClientSession, worker: Worker) -> str:
    headers = {"Authorization": f"Bearer {worker.gateway_secret}", "Host": urlsplit(worker.address).netloc}
    url = f"{pinned_url(worker.address, worker.pinned_ip)}/health"
    try:
        async with session.get(url, headers=headers, timeout=_TIMEOUT, allow_redirects=False) as answer:
            return "" if answer.status == 200 else ProbeFailure.STRANGER
    except aiohttp.ClientSSLError:
        return ProbeFailure.UNTRUSTED
    except TimeoutError:
        return ProbeFailure.NO_ANSWER
    except aiohttp.ClientConnectorError as error:
        return ProbeFailure.REFUSED if isinstance(error.os_error, ConnectionRefusedError) else ProbeFailure.NO_ANSWER
    except (aiohttp.ClientError, OSError):
        return ProbeFailure.STRANGER
