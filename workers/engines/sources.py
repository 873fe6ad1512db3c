"""Where a model lies: the built-in one, a folder, or a hub, from which it is downloaded first, telling how far."""

from dataclasses import replace
from pathlib import Path

from protocol.engines import ENGINE_KINDS, MODELSCOPE
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
        check_code(spec)
        source = str(_downloaded(source, report, is_trusted=bool(spec.options.get("trust_remote_code"))))
    return replace(spec, source=source)


def _downloaded(source: str, report: DownloadReport, *, is_trusted: bool) -> Path:
    # Either library is imported only where it is needed, since that takes a second: most sources are folders.
    if source.startswith(MODELSCOPE):
        from workers.engines import modelscope

        return modelscope.download(source.removeprefix(MODELSCOPE), report, is_trusted=is_trusted)
    from workers.engines import hugging_face

    return hugging_face.download(source, report, is_trusted=is_trusted)


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
