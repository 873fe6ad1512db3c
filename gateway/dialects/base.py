"""What a dialect must do. Pure: bytes in, bytes out."""

from typing import Protocol


class Translation(Protocol):
    """One exchange with a provider: our request into its words, its answer into ours."""

    path: str
    """Where the request goes, after the base URL."""

    def request(self, body: bytes) -> bytes:
        """Raises InvalidRequest for what the provider's API cannot be asked."""

    def answer(self, body: bytes) -> bytes:
        """A whole answer. Raises ValueError where it is none."""

    def events(self, block: bytes) -> bytes:
        """Whole events of a stream, in their order; may be empty. Raises ValueError."""
