"""What single tokens say: as text, and as the bytes that a reader may put together."""

import re
from typing import Any

from workers.engines.base import TokenLogprob
from workers.engines.transformers.sampling import TokenLogprobs

_BYTE_TOKEN = re.compile(r"<0x([0-9A-F]{2})>")


class Speller:
    """Knows a tokenizer. Tokens may hold parts of characters; those become bytes that are no text."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer

    def spelled(self, logprobs: TokenLogprobs) -> TokenLogprob:
        """The same in words."""
        top = tuple(self._spell(token, logprob) for token, logprob in logprobs.top)
        return self._spell(logprobs.token, logprobs.logprob, top)

    def _spell(self, token: int, logprob: float, top: tuple[TokenLogprob, ...] = ()) -> TokenLogprob:
        text = self._tokenizer.decode([token], clean_up_tokenization_spaces=False)
        spelling = self._broken(token) if "\ufffd" in text else text.encode()
        return TokenLogprob(text=text, spelling=spelling, logprob=logprob, top=top)

    def _broken(self, token: int) -> bytes:
        piece = str(self._tokenizer.convert_ids_to_tokens(token))
        if found := _BYTE_TOKEN.fullmatch(piece):
            return bytes([int(found[1], 16)])
        return bytes(_BYTES_BY_CHARACTER[character] for character in piece if character in _BYTES_BY_CHARACTER)


def _byte_level_alphabet() -> dict[str, int]:
    """How byte-level tokenizers write bytes: printable ones as themselves, the others from U+0100 on. As GPT-2."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + at): byte for at, byte in enumerate(others)}


_BYTES_BY_CHARACTER = _byte_level_alphabet()
