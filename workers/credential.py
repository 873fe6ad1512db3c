"""What makes this daemon the worker that the server knows, kept in a folder so that a restart need not enrol."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from protocol import codec
from workers.errors import SettingsInvalid, StateDirInUse, StateUnwritable

_FILE = "credential.json"
_ROOM_BYTES = 16 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """Both secrets of a worker: what it shows to the server, and what the server's gateway shows to it."""

    server: str
    worker_id: str
    credential: str = field(repr=False)
    gateway_secret: str = field(repr=False)


def load(state_dir: Path) -> Credential | None:
    """The kept credential; None if there is none. Raises SettingsInvalid for a file that is not one."""
    path = state_dir / _FILE
    try:
        return codec.decode(Credential, path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, codec.MalformedMessage) as error:
        raise SettingsInvalid(f"{path} cannot be read: {error}. Delete it and join again with a join token.") from error


def save(state_dir: Path, credential: Credential) -> None:
    """Replace the kept credential in one step; only this user may read it. Raises StateUnwritable."""
    draft = _write_draft(state_dir, codec.encode(credential))
    draft.replace(state_dir / _FILE)


def ensure_room(state_dir: Path) -> None:
    """Raises StateUnwritable where a credential could not be kept: to be asked before one is asked for."""
    _write_draft(state_dir, bytes(_ROOM_BYTES)).unlink()


def _write_draft(state_dir: Path, content: bytes) -> Path:
    draft = state_dir / f"{_FILE}.draft"
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise StateUnwritable(f"The folder {state_dir} cannot be written: {error.strerror or error}.") from error
    return draft


def belongs_to(credential: Credential, server: str) -> bool:
    """Whether it may be shown there. A server that moved to another port is still the same; another host is not."""
    return urlsplit(credential.server).hostname == urlsplit(server).hostname


@contextmanager
def sole_use(state_dir: Path) -> Iterator[None]:
    """Hold the folder. Two daemons with one credential would each undo what the other reports. Raises StateDirInUse."""
    try:
        state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = (state_dir / "lock").open("w")
    except OSError as error:
        raise SettingsInvalid(f"The folder {state_dir} cannot be used: {error}. Choose another --state-dir.") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StateDirInUse(
                f"Another worker runs with the folder {state_dir}. Stop it, or give this one another --state-dir."
            ) from error
        yield
