"""Where a text ends because a stop string appears in it, possibly spread over several deltas."""


class StopStrings:
    """Follows one text. What might be the beginning of a stop string is withheld, and nothing else."""

    def __init__(self, stops: tuple[str, ...]) -> None:
        self._stops = stops
        self._held = ""
        self.is_matched = False

    def push(self, text: str) -> str:
        """What may be shown now that `text` has come: nothing of a stop string, nothing after it."""
        if not self._stops or self.is_matched:
            return "" if self.is_matched else text
        self._held += text
        found = [(at + len(stop), at) for stop in self._stops if (at := self._held.find(stop)) >= 0]
        if found:
            self.is_matched = True
            # The one that is complete first: that does not depend on how the text is cut into deltas.
            return self._release(min(found)[1], keep_rest=False)
        return self._release(len(self._held) - self._ambiguous_length(), keep_rest=True)

    def flush(self) -> str:
        """What was withheld and turned out to be no stop string."""
        return self._release(len(self._held), keep_rest=False)

    def _release(self, end: int, *, keep_rest: bool) -> str:
        shown, rest = self._held[:end], self._held[end:]
        self._held = rest if keep_rest else ""
        return shown

    def _ambiguous_length(self) -> int:
        return max(held_back(self._held, stop) for stop in self._stops)


def held_back(text: str, mark: str) -> int:
    """Length of the longest end of `text` that is a beginning of `mark`, the whole of it not included."""
    longest = min(len(text), len(mark) - 1)
    return next((length for length in range(longest, 0, -1) if mark.startswith(text[-length:])), 0)
