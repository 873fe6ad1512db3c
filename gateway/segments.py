"""One file of the usage journal: lines appended by one process, read by whoever holds its lock."""

import fcntl
import logging
import os
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from gateway.usage import UsageEntry

logger = logging.getLogger(__name__)

BATCH_ROWS = 500
_READ_BYTES = 256 * 1024


class Segment:
    """A file that is locked for as long as this object is open. Appending and storing may go on in two threads."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor
        self._is_torn = False
        self.num_stored_bytes = 0
        """Up to here the database has it."""

    @classmethod
    def create(cls, folder: Path) -> "Segment":
        """A new segment. A name is tried until nobody has taken the fresh file for a dead process's."""
        while True:
            path = folder / f"{os.getpid()}-{uuid.uuid4().hex}.jsonl"
            if segment := cls._locked(path, os.O_CREAT | os.O_EXCL):
                return segment

    @classmethod
    def orphan(cls, path: Path) -> "Segment | None":
        """What a dead process left at that path; None if its process lives, or somebody else has taken care of it."""
        try:
            return cls._locked(path, 0)
        except FileNotFoundError:
            return None

    @classmethod
    def _locked(cls, path: Path, flags: int) -> "Segment | None":
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | flags, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Between opening and locking somebody may have replayed and removed it.
            if os.fstat(descriptor).st_nlink:
                return cls(path, descriptor)
        except BlockingIOError:
            pass
        os.close(descriptor)
        return None

    def append(self, line: bytes) -> None:
        """Write the line whole. Raises OSError; what a full disk cut short is a line of its own, which readers skip."""
        data = b"\n" + line if self._is_torn else line
        written = os.write(self._descriptor, data)
        self._is_torn = written < len(data)
        if self._is_torn:
            raise OSError(f"only {written} of {len(data)} bytes could be written to {self.path}")

    def unstored(self) -> tuple[list[UsageEntry], int]:
        """The next entries that the database lacks, at most BATCH_ROWS, and the position where they end."""
        data = os.pread(self._descriptor, _READ_BYTES, self.num_stored_bytes)
        lines = data[: data.rfind(b"\n") + 1].splitlines(keepends=True)[:BATCH_ROWS]
        return list(self._entries(lines)), self.num_stored_bytes + sum(map(len, lines))

    def _entries(self, lines: Iterable[bytes]) -> Iterator[UsageEntry]:
        for line in lines:
            try:
                yield msgspec.json.decode(line, type=UsageEntry)
            except (msgspec.DecodeError, UnicodeDecodeError):
                if line.strip():
                    logger.error("Skipped a broken line of the usage journal %s: %r", self.path, line[:200])

    def remove(self) -> None:
        """All that can be read of it is stored."""
        self.path.unlink(missing_ok=True)
        os.close(self._descriptor)

    def close(self) -> None:
        """Give the lock back; what is not stored stays for the next process."""
        if os.fstat(self._descriptor).st_size <= self.num_stored_bytes:
            self.remove()
        else:
            os.close(self._descriptor)
