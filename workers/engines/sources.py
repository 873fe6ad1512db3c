"""Where a model lies: the built-in one, a folder, or a hub, from which it is downloaded first, telling how far."""

from dataclasses import replace
from pathlib import Path

from protocol.engines import ENGINE_KINDS
from workers.engines.base import DownloadReport, EngineSpec
from workers.engines.foreign_code import check_code
from workers.errors import LoadError


def fetched(spec: EngineSpec, report: DownloadReport) -> EngineSpec:
    """This spec with a folder for its source: what a hub has is downloaded, unless it is here. Raises LoadError.

    Code and pickled weights are left on the hub, unless the deployment trusts them.
    """
    kind = ENGINE_KINDS.get(spec.engine)
    if kind is None or not kind.needs_source:
        return spec
    source = resolve_source(spec.source)
    if not Path(source).is_dir():
        # Only now, since it takes a second: most sources are folders.
        from workers.engines.hugging_face import download

        check_code(spec)
        source = str(download(source, report, is_trusted=bool(spec.options.get("trust_remote_code"))))
    return replace(spec, source=source)


def resolve_source(source: str) -> str:
    """A folder, or a hub id as it is. Raises LoadError when it is clearly a folder but not there."""
    if not source:
        raise LoadError("The transformers engine needs a source: a folder on the worker, a hub id, or 'demo'.")
    if source == "demo":
        from workers.demo_model import WEIGHTS

        return str(WEIGHTS)
    folder = Path(source).expanduser()
    if folder.is_dir():
        return str(folder)
    if source.startswith(("/", ".", "~")) or source.count("/") > 1:
        raise LoadError(f"There is no folder {source!r} on this worker. Copy the model there or correct the path.")
    return source
