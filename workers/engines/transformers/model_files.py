"""The small files beside a model's weights."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers.utils import cached_file


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """Of a folder, or of a hub id."""

    source: str

    def path(self, name: str) -> Path | None:
        """Where it lies; None if the model has no such file."""
        found = cached_file(
            self.source,
            name,
            _raise_exceptions_for_missing_entries=False,
            _raise_exceptions_for_connection_errors=False,
        )
        return Path(found) if found else None

    def read(self, name: str) -> Any:
        """What is in it, as JSON; None if the model has no such file."""
        path = self.path(name)
        return json.loads(path.read_text(encoding="utf-8")) if path else None
