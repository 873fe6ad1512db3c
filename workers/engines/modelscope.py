"""Models from ModelScope, or from a hub that speaks as it does (MODELSCOPE_ENDPOINT), into its library's cache."""

import errno
import logging
from collections.abc import Callable
from pathlib import Path
from threading import Lock

from modelscope_hub import (
    AuthenticationError,
    FileDownloadError,
    FileInfo,
    HubApi,
    HubConfig,
    NetworkError,
    NotExistError,
    PermissionDeniedError,
    ProgressCallback,
)
from modelscope_hub.errors import CacheError, InvalidParameter

from workers.engines.base import DownloadReport
from workers.engines.hub_files import check_room, chosen
from workers.errors import LoadError

logger = logging.getLogger(__name__)

_LONGEST_REASON = 300
_BROKE_OFF = "Downloading {source!r} from ModelScope broke off: {reason}. What has come is kept for the next try."
_NOT_SHOWN = (
    "ModelScope shows {source!r} only to those who may see it. Accept its terms there if it has some, and start the "
    "worker with MODELSCOPE_API_TOKEN set to a token of the same account."
)
_REMEDIES: dict[type[Exception], str] = {
    AuthenticationError: _NOT_SHOWN,
    PermissionDeniedError: _NOT_SHOWN,
    NotExistError: (
        "ModelScope has no model {source!r}, or does not show it to this worker. Correct the source; for a private "
        "model start the worker with MODELSCOPE_API_TOKEN set."
    ),
    InvalidParameter: "{source!r} is no model of ModelScope's: the source is written as modelscope:owner/name.",
    # What the cache was asked for when the hub could not be reached.
    CacheError: (
        "{source!r} is not on this worker, and ModelScope at {endpoint} cannot be reached. Copy the model into a "
        "folder there and name that, or see to the worker's network (MODELSCOPE_ENDPOINT, HTTPS_PROXY)."
    ),
}


def download(source: str, report: DownloadReport, *, is_trusted: bool) -> Path:
    """The folder with the model of this id; what is there already is not downloaded again. Raises LoadError."""
    config = HubConfig()
    try:
        return _fetch(HubApi(config=config), source, report, is_trusted=is_trusted, cache=config.cache_dir)
    except LoadError:
        raise
    except Exception as error:
        # Whatever comes to hand: the library's own errors, those of its HTTP client, OSError.
        logger.exception("Downloading %s failed", source)
        raise LoadError(_why(source, error, str(config.endpoint))) from error


def _fetch(hub: HubApi, source: str, report: DownloadReport, *, is_trusted: bool, cache: Path) -> Path:
    try:
        listed = hub.list_repo_files(source, "model")
    except NetworkError:
        # What the cache holds may do.
        return hub.download_repo(source, "model", local_files_only=True)
    paths = chosen((file.path for file in listed if file.type != "tree"), is_trusted=is_trusted)
    files = [file for file in listed if file.path in paths]
    total = sum(file.size for file in files)
    # Asked for nothing, it tells where its cache has this model.
    folder = hub.download_repo(source, "model", file_list=[])
    missing = [file for file in files if not _is_here(folder, file)]
    if not missing:
        return folder
    num_missing = sum(file.size for file in missing)
    check_room(source, num_missing, cache)
    logger.info("Downloading %s: %.1f MB of %.1f MB are missing.", source, num_missing / 1e6, total / 1e6)
    report(total - num_missing, total)
    counter = _counter(lambda num_bytes: report(min(total, total - num_missing + num_bytes), total))
    # Only those that lack: it would read all that are here to their end, to check their sums again.
    entries = [{"Path": file.path, "Size": file.size, "Sha256": file.sha256} for file in missing]
    return hub.download_repo(source, "model", file_list=entries, progress_callbacks=[counter])


def _is_here(folder: Path, file: FileInfo) -> bool:
    path = folder / file.path
    # It gets its name when it is whole, and its sum was found right.
    return path.is_file() and path.stat().st_size == file.size


def _counter(tell: Callable[[int], None]) -> type[ProgressCallback]:
    """The library makes one for each file, several at a time."""
    lock, num_bytes = Lock(), 0

    class Counter(ProgressCallback):
        def update(self, size: int) -> None:
            """Also of what an earlier try has left; less than nothing when that was no good."""
            nonlocal num_bytes
            with lock:
                num_bytes += size
                tell(num_bytes)

    return Counter


def _why(source: str, error: Exception, endpoint: str) -> str:
    causes = [error, *(error.failed_files.values() if isinstance(error, FileDownloadError) else ())]
    if any(isinstance(cause, OSError) and cause.errno == errno.ENOSPC for cause in causes):
        return f"The disk of this worker became full while {source!r} was downloaded. Make room there."
    remedy = next((text for kind, text in _REMEDIES.items() for cause in causes if isinstance(cause, kind)), _BROKE_OFF)
    reason = f"{type(causes[-1]).__name__}: {causes[-1]}"[:_LONGEST_REASON]
    return remedy.format(source=source, endpoint=endpoint, reason=reason)
