"""Token ids to text, piece by piece: whole characters, exact spaces."""

from typing import Any

_REPLACEMENT = "�"
_MAX_PENDING_TOKENS = 8
"""A character of four bytes comes in at most four tokens; what is still broken after these was never one."""


class Detokenizer:
    """Follows one generation.

    A token's text depends on its neighbours (spaces, characters of several tokens), so a window of ids is decoded:
    those of the last piece that was given out, then the pending ones. What the window's text has beyond what was
    given out is new.
    """

    def __init__(self, tokenizer: Any, context: list[int], hidden: frozenset[int] | None = None) -> None:
        """`context`: the last ids of the prompt when the text continues it, none when it begins anew.

        `hidden`: tokens that are no text; None: all of the tokenizer's control tokens.
        """
        self._tokenizer = tokenizer
        self._hidden = hidden
        self._window = list(context)
        self._num_read = len(context)
        self._num_shown = len(self._decode(self._window))

    def push(self, token: int) -> str:
        """The text that this token completes, perhaps none."""
        self._window.append(token)
        text = self._decode(self._window)
        is_broken = text.endswith(_REPLACEMENT)
        if is_broken and len(self._window) - self._num_read < _MAX_PENDING_TOKENS:
            # A byte-level tokenizer may end one character and begin another in the same token.
            return self._show(text[: len(text.rstrip(_REPLACEMENT))])
        new = self._show(text)
        # A broken end cannot begin the next window: what follows would be decoded together with it.
        self._window = self._window[self._num_read :]
        self._num_read = len(self._window)
        self._num_shown = len(self._decode(self._window))
        return new

    def flush(self) -> str:
        """What is left at the end, broken characters included."""
        return self._show(self._decode(self._window))

    def _show(self, text: str) -> str:
        new = text[self._num_shown :]
        self._num_shown = max(self._num_shown, len(text))
        return new

    def _decode(self, ids: list[int]) -> str:
        if self._hidden is not None:
            ids = [token for token in ids if token not in self._hidden]
        skips = self._hidden is None
        return self._tokenizer.decode(ids, skip_special_tokens=skips, clean_up_tokenization_spaces=False)
