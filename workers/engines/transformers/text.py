"""From tokens to what the caller reads: thoughts, text without stop strings, and tool calls."""

from workers.engines.base import Resume
from workers.engines.stop_strings import StopStrings
from workers.engines.transformers.detokenizer import Detokenizer
from workers.engines.transformers.readers import Piece, Reader


class AnswerText:
    """Follows one answer. What it withholds is only what may still turn out to be something else."""

    def __init__(self, detokenizer: Detokenizer, stops: tuple[str, ...], reader: Reader | None = None) -> None:
        """`reader`: who tells its parts apart; None where all of it is text."""
        self._detokenizer = detokenizer
        self._stops = StopStrings(stops)
        self._reader = reader
        self._num_chars_known = 0

    @property
    def is_stopped(self) -> bool:
        """A stop string has come, or as many calls as there may be."""
        return self._stops.is_matched or (self._reader is not None and self._reader.is_full)

    @property
    def has_tool_calls(self) -> bool:
        return self._reader is not None and self._reader.num_calls > 0

    @property
    def is_thinking(self) -> bool:
        """What comes now is a thought, as far as is known."""
        return self._reader is not None and self._reader.is_thinking

    def push(self, token: int) -> list[Piece]:
        """What can be shown after this token."""
        return self._unknown(self._read(self._stops.push(self._detokenizer.push(token))))

    def replay(self, resume: Resume) -> list[Piece]:
        """What can be shown once these tokens have come, but for what the caller has of the text already."""
        self._num_chars_known = resume.num_chars
        return [piece for token in resume.tokens for piece in self.push(token)]

    def flush(self) -> list[Piece]:
        """The rest, when no token follows."""
        rest = "" if self.is_stopped else self._stops.push(self._detokenizer.flush()) + self._stops.flush()
        pieces = self._read(rest)
        return self._unknown(pieces if self._reader is None else pieces + self._reader.flush())

    def _read(self, text: str) -> list[Piece]:
        return [text] if self._reader is None else self._reader.push(text)

    def _unknown(self, pieces: list[Piece]) -> list[Piece]:
        return list(filter(None, map(self._beyond_known, pieces)))

    def _beyond_known(self, piece: Piece) -> Piece:
        if not isinstance(piece, str):
            return piece
        num_known = min(self._num_chars_known, len(piece))
        self._num_chars_known -= num_known
        return piece[num_known:]
