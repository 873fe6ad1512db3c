"""Which of the files that a hub has of a model are downloaded, whichever hub it is."""

import shutil
from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path

from workers.errors import LoadError

NEEDED = ("*.safetensors", "*.json", "*.jinja", "*.txt", "*.model", "*.tiktoken")
CODE = ("*.py",)
PICKLES = ("pytorch_model*.bin",)
SPARE = ("[!0-9]*/*.safetensors", "consolidated*.safetensors", "*.fp16*.safetensors", "*.fp32*.safetensors")
"""The same weights again, for other programs or in another number format. Folders that begin with a digit belong to
models in sentence-transformers' form."""


def chosen(paths: Iterable[str], *, is_trusted: bool) -> set[str]:
    """Those that an engine reads; code, and pickles where there is nothing else, only of a model that is trusted."""
    kept = [path for path in paths if not _matches(path, SPARE)]
    found = {path for path in kept if _matches(path, (*NEEDED, *CODE) if is_trusted else NEEDED)}
    has_weights = any(path.endswith(".safetensors") for path in found)
    return found if has_weights or not is_trusted else found | {path for path in kept if _matches(path, PICKLES)}


def check_room(source: str, missing: int, cache: Path) -> None:
    """Raises LoadError when so many bytes do not fit where the cache lies."""
    cache = cache.expanduser().absolute()
    free = shutil.disk_usage(next(folder for folder in (cache, *cache.parents) if folder.is_dir())).free
    if free < missing:
        raise LoadError(
            f"{source!r} needs {missing / 1e9:.1f} GB more on this worker's disk, which has {free / 1e9:.1f} GB free. "
            f"Make room in {cache}, or set HF_HOME or MODELSCOPE_CACHE to a folder on a larger disk."
        )


def _matches(path: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(path, pattern) for pattern in patterns)
