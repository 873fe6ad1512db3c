"""A worker's log and its models on disk, as its page shows them."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from fleet.errors import WorkerNotReached
from fleet.fragments import Fragment
from fleet.inspection import read_log, read_store
from fleet.models import Deployment, Worker
from protocol.engines import MODELSCOPE
from protocol.inspection import StoredModel

REFRESH_S: Mapping[str, float] = {"log": 2.0, "store": 15.0}
"""By kind: reading a disk is work for the worker."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredView:
    model: StoredModel
    wanted_by: str
    """The names of the models whose deployments name it as their source, wherever they run."""


async def inspect(kind: str, worker: Worker) -> Fragment:
    """`kind`: log or store. What the worker tells, or why it does not."""
    try:
        return await (_log(worker) if kind == "log" else _store(worker))
    except WorkerNotReached as error:
        return Fragment("fleet/_not_reached.html", {"reason": str(error)})


async def _log(worker: Worker) -> Fragment:
    return Fragment("fleet/_log.html", {"text": "\n".join(await read_log(worker))})


async def _store(worker: Worker) -> Fragment:
    listing, wanted = await read_store(worker), await _wanted_sources()
    models = [StoredView(model=model, wanted_by=", ".join(sorted(wanted[model.source]))) for model in listing.models]
    disk = {"free_bytes": listing.disk_free_bytes, "total_bytes": listing.disk_total_bytes}
    return Fragment("fleet/_store.html", {"models": models, "disk": disk, "worker_id": str(worker.pk)})


async def _wanted_sources() -> defaultdict[str, set[str]]:
    found: defaultdict[str, set[str]] = defaultdict(set)
    async for source, model in Deployment.objects.values_list("source", "model__name"):
        found[source.removeprefix(MODELSCOPE)].add(model)
    return found
