"""The models on this machine's disk: what the caches of Hugging Face and ModelScope hold, and what replicas load from
elsewhere."""

import logging
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from protocol.control import DesiredReplica
from protocol.engines import MODELSCOPE
from protocol.inspection import MAX_STORED_MODELS, StoredModel, StoreListing
from workers.errors import ModelInUse, ModelNotStored
from workers.modelscope_cache import Download, default_root, downloads

if TYPE_CHECKING:
    from huggingface_hub import CachedRepoInfo, HFCacheInfo

logger = logging.getLogger(__name__)

_MAX_FILES = 10_000
"""Of one folder: somebody's whole disk is not counted."""


class ModelStore:
    """Reads the disk, so call it in a thread. `replicas` gives those that this worker runs, or is to run; `cache_dir`
    is Hugging Face's cache and `modelscope_dir` ModelScope's, by default where the environment says."""

    def __init__(
        self,
        replicas: Callable[[], list[DesiredReplica]],
        cache_dir: Path | None = None,
        modelscope_dir: Path | None = None,
    ) -> None:
        self._replicas = replicas
        self._cache_dir = cache_dir
        self._modelscope_dir = modelscope_dir

    def read(self) -> StoreListing:
        """What is there, the largest first."""
        found = [*self._downloaded(), *self._own()]
        disk = shutil.disk_usage(_nearest_folder(self._cache_dir or _default_cache_dir()))
        return StoreListing(
            models=sorted(found, key=lambda model: -model.num_bytes)[:MAX_STORED_MODELS],
            disk_free_bytes=disk.free,
            disk_total_bytes=disk.total,
        )

    def delete(self, source: str) -> None:
        """Delete a downloaded model, from whichever hub it came. Raises ModelNotStored, ModelInUse."""
        cache, folders = _scan(self._cache_dir), [one.folder for one in self._from_modelscope() if one.source == source]
        repo = next((repo for repo in _models_in(cache) if repo.repo_id == source), None)
        if repo is None and not folders:
            raise ModelNotStored(f"{source!r} was not downloaded to this worker, so there is nothing to delete.")
        if self._is_in_use(source) or any(map(self._is_loaded_from, folders)):
            raise ModelInUse(f"A replica on this worker is loaded from {source!r}. Stop it first.")
        if cache and repo:
            cache.delete_revisions(*(revision.commit_hash for revision in repo.revisions)).execute()
        for folder in folders:
            shutil.rmtree(folder)
        logger.info("Deleted %s from the disk, as the administrator asked.", source)

    def _downloaded(self) -> Iterator[StoredModel]:
        num_bytes: Counter[str] = Counter()
        for repo in _models_in(_scan(self._cache_dir)):
            num_bytes[repo.repo_id] += repo.size_on_disk
        loaded = set()
        for one in self._from_modelscope():
            num_bytes[one.source] += one.num_bytes()
            if self._is_loaded_from(one.folder):
                loaded.add(one.source)
        for source, size in num_bytes.items():
            is_in_use = source in loaded or self._is_in_use(source)
            yield StoredModel(source=source, num_bytes=size, is_downloaded=True, is_in_use=is_in_use)

    def _from_modelscope(self) -> Iterator[Download]:
        return downloads(self._modelscope_dir or default_root())

    def _own(self) -> Iterator[StoredModel]:
        for source in sorted({replica.source for replica in self._replicas()}):
            path = Path(source).expanduser()
            if path.is_absolute() and path.exists():
                yield StoredModel(source=source, num_bytes=_size(path), is_downloaded=False, is_in_use=True)

    def _is_in_use(self, source: str) -> bool:
        """Also if only an option names it, as those for draft models and adapters do."""
        return any(
            replica.source.removeprefix(MODELSCOPE) == source or _names(replica.engine_options, source)
            for replica in self._replicas()
        )

    def _is_loaded_from(self, folder: Path) -> bool:
        """By its path instead of its id."""
        sources = (Path(replica.source).expanduser() for replica in self._replicas())
        return any(path.is_absolute() and path.is_relative_to(folder) for path in sources)


def _scan(cache_dir: Path | None) -> "HFCacheInfo | None":
    # Loaded when somebody asks: it would double the time that a daemon takes to start.
    from huggingface_hub import CacheNotFound, scan_cache_dir

    try:
        return scan_cache_dir(cache_dir)
    except CacheNotFound:
        return None


def _models_in(cache: "HFCacheInfo | None") -> "Iterator[CachedRepoInfo]":
    return (repo for repo in (cache.repos if cache else ()) if repo.repo_type == "model")


def _names(options: dict[str, Any], source: str) -> bool:
    return source.encode() in msgspec.json.encode(options)


def _size(path: Path) -> int:
    files = [path] if path.is_file() else islice(path.rglob("*"), _MAX_FILES)
    return sum(file.stat().st_size for file in files if file.is_file())


def _default_cache_dir() -> Path:
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE)


def _nearest_folder(path: Path) -> Path:
    """This folder, or the first above it that is there."""
    return next(folder for folder in (path, *path.parents) if folder.is_dir())
