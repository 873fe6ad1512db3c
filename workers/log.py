"""The daemon's log: written to stderr, and the last of it kept for whoever asks. Engines' lines are part of it."""

import logging
from collections import deque

from protocol.inspection import MAX_LOG_BYTES, MAX_LOG_LINE_LENGTH, MAX_LOG_LINES
from protocol.redaction import RedactSecrets

_FORMAT = "%(asctime)s %(levelname)s %(message)s"


class LogKeeper(logging.Handler):
    """Keeps the last lines in memory."""

    def __init__(self) -> None:
        super().__init__()
        self._lines: deque[str] = deque(maxlen=MAX_LOG_LINES)

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.extend(line[:MAX_LOG_LINE_LENGTH] for line in self.format(record).splitlines())

    def tail(self) -> list[str]:
        """As many of the last lines as MAX_LOG_BYTES hold, the latest last."""
        found: list[str] = []
        room = MAX_LOG_BYTES
        for line in reversed(self._lines.copy()):
            room -= len(line.encode("utf-8", "replace")) + 1
            if room < 0:
                break
            found.append(line)
        return found[::-1]


def start_logging() -> LogKeeper:
    """To stderr and into the keeper that is returned, without any secret."""
    keeper = LogKeeper()
    handlers: list[logging.Handler] = [logging.StreamHandler(), keeper]
    for handler in handlers:
        handler.addFilter(RedactSecrets())
    logging.basicConfig(level=logging.INFO, format=_FORMAT, handlers=handlers)
    return keeper
