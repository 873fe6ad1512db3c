"""Texts that are only read (embedded, labelled, ranked) to token ids, and what becomes of one that is too long."""

from collections.abc import Sequence
from dataclasses import dataclass

from protocol.engines import LongInputs
from workers.engines.limits import check_input_length, check_length
from workers.engines.transformers.prompts import Pair, PromptEncoder
from workers.errors import BadRequest

Pieces = list[list[int]]
"""Of one text: itself, or, where it is longer than the model's context, parts of it."""

MAX_PIECES = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """What a tokenizer puts before and after a text."""

    before: list[int]
    after: list[int]

    def cut(self, ids: list[int], most: int) -> Pieces:
        """In parts of `most` tokens, each with the same around it as the whole had."""
        inner = ids[len(self.before) : len(ids) - len(self.after)]
        size = max(1, most - len(self.before) - len(self.after))
        return [[*self.before, *inner[at : at + size], *self.after] for at in range(0, len(inner), size)]


_NOTHING = Around(before=[], after=[])


class InputEncoder:
    """Not safe for threads, as its tokenizer is not."""

    def __init__(
        self, encoder: PromptEncoder, *, context_length: int, vocabulary_size: int, long_inputs: LongInputs
    ) -> None:
        self._encoder = encoder
        self._context_length = context_length
        self._vocabulary_size = vocabulary_size
        self._long_inputs = long_inputs
        self._around = _around(encoder)

    def pieces(self, inputs: Sequence[str | list[int]]) -> list[Pieces]:
        """Of each, in order; one piece each unless the long are averaged. Raises BadRequest, ContextLengthExceeded."""
        return [self._pieces(item, position) for position, item in enumerate(inputs)]

    def _pieces(self, item: str | list[int], position: int) -> Pieces:
        is_text = isinstance(item, str)
        ids = self._encoder.encode_input(item, self._most) if isinstance(item, str) else item
        check_ids(ids, self._vocabulary_size, param="input")
        if not ids:
            raise BadRequest("'input' holds a text without a single token.", param="input")
        if self._long_inputs is LongInputs.CUT:
            return self._cut(ids, is_text=is_text)[:1]
        check_input_length(len(ids), position, self._most)
        return self._cut(ids, is_text=is_text)

    def pairs(self, query: str, documents: Sequence[str]) -> list[Pair]:
        """Each document with the query. Raises ContextLengthExceeded."""
        check_length(len(self._encoder.encode_pair(query, "")) + 1, self._context_length, param="query")
        return [self._pair(query, document, position) for position, document in enumerate(documents)]

    def _pair(self, query: str, document: str, position: int) -> Pair:
        pair = self._encoder.encode_pair(query, document)
        if len(pair) > self._context_length and self._long_inputs is LongInputs.CUT:
            return self._encoder.encode_pair(query, document, cut_to=self._context_length)
        check_length(len(pair), self._context_length, param=f"documents[{position}]")
        return pair

    @property
    def _most(self) -> int:
        return self._context_length * (MAX_PIECES if self._long_inputs is LongInputs.AVERAGE else 1)

    def _cut(self, ids: list[int], *, is_text: bool) -> Pieces:
        if len(ids) <= self._context_length:
            return [ids]
        return (self._around if is_text else _NOTHING).cut(ids, self._context_length)


def check_ids(ids: Sequence[int], vocabulary_size: int, *, param: str) -> None:
    """Raises BadRequest for one that the model has no embedding of: on a GPU it would end the engine."""
    for token in ids:
        if not 0 <= token < vocabulary_size:
            raise BadRequest(
                f"Token id {token} is outside this model's vocabulary of {vocabulary_size}. Send text, or ids of this "
                "model's own tokenizer.",
                param=param,
            )


def _around(encoder: PromptEncoder) -> Around:
    whole, bare = encoder.encode_input("a"), encoder.encode_input("a", is_bare=True)
    at = next((at for at in range(len(whole)) if whole[at : at + len(bare)] == bare), None)
    return _NOTHING if at is None else Around(before=whole[:at], after=whole[at + len(bare) :])
