"""The journal: usage on local disk, from the end of a request until the database has it.

The journal is also the queue. Requests append lines to the newest segment; the writer thread takes segments from the
oldest on, puts their lines into the database and removes what is done. So memory stays small however long the database
is away, and what a killed process leaves behind is a file whose lock is free: whoever looks next replays it.

    append ──▶ segment (locked, O_APPEND) ── write_up ──▶ database, known ids ignored ──▶ segment removed
"""

import logging
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path

import msgspec

from gateway.errors import NotMetered
from gateway.segments import Segment
from gateway.usage import UsageEntry

logger = logging.getLogger(__name__)

_ROTATE_BYTES = 1024 * 1024
_MAX_UNWRITTEN = 10_000

Store = Callable[[list[UsageEntry]], None]
"""Puts entries into the database, leaving out those that are there already. Raises if it is away."""


class Journal:
    """The journal of this process."""

    def __init__(self, folder: Path, store: Store) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._store = store
        self._appending, self._storing = threading.Lock(), threading.Lock()
        self._segments = deque([Segment.create(folder)])
        self._refused_by_disk: deque[bytes] = deque(maxlen=_MAX_UNWRITTEN)

    def append(self, entry: UsageEntry) -> None:
        """Keep the entry. Never raises: what the disk refuses stays in memory, and `check` stops new requests."""
        with self._appending:
            self._refused_by_disk.append(msgspec.json.encode(entry) + b"\n")
            self._write_to_disk()

    def check(self) -> None:
        """Raises NotMetered while a request could not be accounted for."""
        if self._refused_by_disk:
            with self._appending:
                self._write_to_disk()
        if self._refused_by_disk:
            raise NotMetered

    def write_up(self) -> None:
        """Put everything appended before this call into the database. Raises what the store raises."""
        with self._storing:
            while len(self._segments) > 1:
                _store_all(self._segments[0], self._store)
                self._segments.popleft().remove()
            _store_all(self._segments[0], self._store)
            if self._segments[0].num_stored_bytes > _ROTATE_BYTES:
                self._rotate()

    def replay_orphans(self) -> int:
        """See the function of this name. Our own segments are locked, so they are not among them."""
        return replay_orphans(self._folder, self._store)

    def close(self) -> None:
        """What the database did not take stays for the next process, and so does what is appended after this."""
        with self._storing:
            while self._segments:
                self._segments.popleft().close()

    def _write_to_disk(self) -> None:
        try:
            if not self._segments:
                self._segments.append(Segment.create(self._folder))
            while self._refused_by_disk:
                self._segments[-1].append(self._refused_by_disk[0])
                self._refused_by_disk.popleft()
        except OSError:
            logger.exception("Usage cannot be written to %s; requests are refused until it can", self._folder)

    def _rotate(self) -> None:
        fresh = Segment.create(self._folder)
        with self._appending:
            self._segments.append(fresh)


def replay_orphans(folder: Path, store: Store) -> int:
    """Put what dead processes left in the folder into the database. Gives the number of their files."""
    return sum(_replay(path, store) for path in sorted(folder.glob("*.jsonl")))


def _replay(path: Path, store: Store) -> bool:
    orphan = Segment.orphan(path)
    if orphan is None:
        return False
    try:
        _store_all(orphan, store)
    except BaseException:
        orphan.close()
        raise
    orphan.remove()
    return True


def _store_all(segment: Segment, store: Store) -> None:
    while True:
        entries, end = segment.unstored()
        if end == segment.num_stored_bytes:
            return
        if entries:
            store(entries)
        segment.num_stored_bytes = end
