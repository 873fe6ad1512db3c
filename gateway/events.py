"""Rules of server-sent events: bytes as they arrive → whole events, unparsed."""

from collections.abc import Iterator

DONE = b"data: [DONE]\n\n"
MAX_EVENT_BYTES = 4 * 1024 * 1024

_END = b"\n\n"


class EventTooLong(ValueError):
    """An event goes on beyond MAX_EVENT_BYTES."""


class EventBuffer:
    """Holds back what is not yet a whole event, and nothing else."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, chunk: bytes) -> bytes:
        """The events that are whole now, end to end; empty if none is. Raises EventTooLong."""
        data = self._rest + chunk
        if b"\r" in data:
            # Inside JSON a carriage return is always escaped, so these are line ends. A lone one may be half a pair.
            data = data.replace(b"\r\n", b"\n")
        end = data.rfind(_END)
        whole, self._rest = (data[: end + 2], data[end + 2 :]) if end >= 0 else (b"", data)
        if len(self._rest) > MAX_EVENT_BYTES:
            raise EventTooLong
        return whole


def split_events(block: bytes) -> Iterator[bytes]:
    """The events of a block of whole ones, each with the empty line that ends it."""
    return (event + _END for event in block.split(_END) if event)


def event_data(event: bytes) -> bytes:
    """What the `data:` lines of one event carry; empty for a comment."""
    lines = (line[5:].removeprefix(b" ") for line in event.split(b"\n") if line.startswith(b"data:"))
    return b"\n".join(lines)
