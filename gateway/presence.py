"""Whether somebody still waits for an answer."""

from dataclasses import dataclass


@dataclass(slots=True)
class Presence:
    """Of the one who asked. Who leaves says so here; whatever else ends a request early is our own doing."""

    has_gone: bool = False

    def leave(self) -> None:
        self.has_gone = True
