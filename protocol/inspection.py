"""What a worker tells of itself when the server asks it, which it does only while somebody looks.

    server ── GET LOG_PATH ─────────────────▶ worker      LogTail
    server ── GET STORE_PATH ───────────────▶ worker      StoreListing
    server ── DELETE STORE_PATH?source=… ───▶ worker      204; 404: not there; 409: in use

With the gateway's secret, like everything that a worker is asked. Bounded here, at the edge.
"""

from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

from protocol.control import Bytes, Text

LOG_PATH = "/log"
STORE_PATH = "/store"
MAX_LOG_LINES, MAX_LOG_LINE_LENGTH, MAX_LOG_BYTES = 500, 1000, 64 * 1024
MAX_STORED_MODELS = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class LogTail:
    """The last lines of the daemon's log, the latest last; engines' lines begin with `[model]`."""

    lines: Annotated[list[Annotated[str, Meta(max_length=MAX_LOG_LINE_LENGTH)]], Meta(max_length=MAX_LOG_LINES)]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredModel:
    """A model on the worker's disk."""

    source: Text
    """As deployments name it: a hub id, or the path of a folder or file that a replica was told to load."""
    num_bytes: Bytes
    is_downloaded: bool
    """From a hub, so that it can be deleted and would be fetched again; else it is the operator's own."""
    is_in_use: bool
    """A replica of this worker is loaded from it, or is to be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreListing:
    models: Annotated[list[StoredModel], Meta(max_length=MAX_STORED_MODELS)]
    """The largest first."""
    disk_free_bytes: Bytes
    """Where downloaded models lie."""
    disk_total_bytes: Bytes
