"""Models from Hugging Face's hub, or from one that speaks as it does (HF_ENDPOINT), into its library's cache."""

import errno
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Lock
from typing import Any

from huggingface_hub import constants, snapshot_download
from huggingface_hub.errors import (
    DryRunError,
    GatedRepoError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
)
from tqdm import tqdm

from workers.engines.base import DownloadReport
from workers.engines.hub_files import CODE, NEEDED, PICKLES, SPARE, check_room
from workers.errors import LoadError

logger = logging.getLogger(__name__)

_LONGEST_REASON = 300
_BROKE_OFF = "Downloading {source!r} broke off: {reason}. The files that are whole are kept for the next try."
_REMEDIES: dict[type[Exception], str] = {
    # A gated one is also one that is not found, so it comes first.
    GatedRepoError: (
        "The hub shows {source!r} only to those who have accepted its terms. Accept them on its page there, and start "
        "the worker with HF_TOKEN set to a token of the same account."
    ),
    RepositoryNotFoundError: (
        "There is no folder {source!r} on this worker, and the hub has no model of this name, or does not show it to "
        "this worker. Correct the source; for a private model start the worker with HF_TOKEN set."
    ),
    HFValidationError: "{source!r} is neither a folder on this worker nor a hub id, which is written as owner/name.",
    LocalEntryNotFoundError: (
        "{source!r} is not on this worker, or not whole, and the hub at {endpoint} cannot be reached. Copy the model "
        "into a folder there and name that, or see to the worker's network (HF_ENDPOINT, HTTPS_PROXY, HF_HUB_OFFLINE)."
    ),
}


def download(source: str, report: DownloadReport, *, is_trusted: bool) -> Path:
    """The folder with this model; what is there already is not downloaded again. Raises LoadError."""
    try:
        folder = _fetch(source, (*NEEDED, *CODE) if is_trusted else NEEDED, report)
        if is_trusted and not any(folder.glob("*.safetensors")):
            folder = _fetch(source, (*NEEDED, *CODE, *PICKLES), report)
        return folder
    except LoadError:
        raise
    except Exception as error:
        # Whatever comes to hand: the library's own errors, those of its HTTP client, OSError.
        logger.exception("Downloading %s failed", source)
        raise LoadError(_why(source, error)) from error


def _fetch(source: str, patterns: Sequence[str], report: DownloadReport) -> Path:
    wanted: dict[str, Any] = {"allow_patterns": list(patterns), "ignore_patterns": list(SPARE)}
    try:
        files = snapshot_download(source, dry_run=True, **wanted)
    except DryRunError:
        # The hub cannot be reached or refuses: what the cache holds may do.
        return Path(snapshot_download(source, **wanted))
    total = sum(file.file_size or 0 for file in files)
    missing = sum(file.file_size or 0 for file in files if file.will_download)
    if missing:
        check_room(source, missing, Path(constants.HF_HUB_CACHE))
        logger.info("Downloading %s: %.1f MB of %.1f MB are missing.", source, missing / 1e6, total / 1e6)
        report(total - missing, total)
    bar_class = _bar_class(lambda num_bytes: report(min(total, total - missing + num_bytes), total))
    return Path(snapshot_download(source, tqdm_class=bar_class, **wanted))


def _bar_class(tell: Callable[[int], None]) -> type[tqdm]:
    """A progress bar that nobody sees. The library makes several: of files, of bytes that came, of bytes written."""
    lock, most = Lock(), 0

    class Bar(tqdm):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **{**options, "disable": True})
            self.counts_bytes = options.get("unit") == "B"

        def update(self, n: float | None = 1) -> None:
            nonlocal most
            with lock:
                self.n += n or 0
                if self.counts_bytes and self.n > most:
                    most = int(self.n)
                    tell(most)

    return Bar


def _why(source: str, error: Exception) -> str:
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return f"The disk of this worker became full while {source!r} was downloaded. Make room there."
    remedy = next((text for kind, text in _REMEDIES.items() if isinstance(error, kind)), _BROKE_OFF)
    reason = f"{type(error).__name__}: {error}"[:_LONGEST_REASON]
    return remedy.format(source=source, endpoint=constants.ENDPOINT, reason=reason)
