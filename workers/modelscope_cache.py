"""What ModelScope's cache holds, in the layouts that its library has had. Read from the disk, without that library."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

_SHELVES = ("models", "hub/models", "hub", "")
"""Where models lie below the root: as `owner--name` or as `owner/name`."""
_NO_OWNERS = ("models", "hub", "datasets", "studios", "mcps")
"""Other shelves."""
_MARKS = ("snapshots", ".msc", ".mdl", "configuration.json")
"""Any of these makes a folder a download: the root may be anybody's folder, and what is listed can be deleted."""
_MAX_FOLDERS = 10_000
_MAX_FILES = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Download:
    source: str
    """The hub id: owner/name."""
    folder: Path

    def num_bytes(self) -> int:
        """Without links, which lead to files that are counted where they lie."""
        files = (path for path in islice(self.folder.rglob("*"), _MAX_FILES) if not path.is_symlink())
        return sum(file.stat().st_size for file in files if file.is_file())


def default_root() -> Path:
    """Where ModelScope's own library downloads to."""
    return Path(os.environ.get("MODELSCOPE_CACHE") or "~/.cache/modelscope").expanduser()


def downloads(root: Path) -> Iterator[Download]:
    """One model may be there in several layouts; each folder comes once."""
    for shelf in _SHELVES:
        for folder in islice(_folders(root / shelf), _MAX_FOLDERS):
            yield from _on_shelf(folder)


def _on_shelf(folder: Path) -> Iterator[Download]:
    owner, dashes, name = folder.name.partition("--")
    if dashes and _is_download(folder):
        yield Download(source=f"{owner}/{name}", folder=folder)
    elif not dashes:
        for inner in islice(_folders(folder), _MAX_FOLDERS):
            if _is_download(inner):
                # The library writes dots so, which Python's imports would stumble over.
                yield Download(source=f"{folder.name}/{inner.name.replace('___', '.')}", folder=inner)


def _folders(parent: Path) -> Iterator[Path]:
    """No links: newer libraries leave some beside the folder, under the name as it is written on the hub."""
    if parent.is_dir():
        yield from (path for path in sorted(parent.iterdir()) if _is_folder(path))


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink() and path.name not in _NO_OWNERS


def _is_download(folder: Path) -> bool:
    return any((folder / mark).exists() for mark in _MARKS)
