"""Forms of answers → constraints that say, token by token, what may come next. By llguidance.

Its matchers walk a grammar bit by bit while an answer grows: there is no automaton to be built beforehand that a schema
could blow up, and every step has a budget of its own.
"""

import asyncio
import re
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import llguidance.hf
import msgspec
import numpy as np
import torch
from llguidance import LLMatcher, LLParserLimits, LLTokenizer

from workers.engines.transformers.answer_grammar import AnswerGrammar, Wanted
from workers.engines.transformers.markup import Markup
from workers.errors import BadRequest, EngineFailed

MAX_COMPILE_S = 10.0
_MAX_CACHED = 64
_MAX_REASON_LENGTH = 300
LIMITS = LLParserLimits(
    max_items_in_row=10_000,
    max_lexer_states=20_000,
    max_grammar_size=200_000,
    # The reason is shown to the caller, and an engine's log is no place for schemas either.
    verbose_errors=False,
)
_TOO_COMPLEX = "The answer cannot go on in the form that was asked for: that has become too complex. Simplify it."
_WHITE_SPACE = re.compile(r"\s+")


class Constraint:
    """Follows one answer. For one thread at a time."""

    def __init__(self, matcher: LLMatcher) -> None:
        self._matcher = matcher

    @property
    def is_complete(self) -> bool:
        """Nothing can follow any more."""
        return self._matcher.is_stopped()

    def fits(self, tokens: Sequence[int]) -> bool:
        """Whether they may come next, all of them."""
        return self._matcher.validate_tokens(list(tokens)) == len(tokens)

    def observe(self, tokens: Sequence[int]) -> None:
        """These have joined the answer. Raises EngineFailed as `end` does."""
        if not self._matcher.consume_tokens(list(tokens)):
            raise EngineFailed(_TOO_COMPLEX)

    def end(self) -> None:
        """The answer ends. Raises EngineFailed where it does so only because its form could not be followed further."""
        if self._matcher.is_error():
            raise EngineFailed(_TOO_COMPLEX)

    def allowed(self, vocabulary_size: int) -> torch.Tensor:
        """(vocabulary,) bool: which tokens may come next."""
        packed = np.frombuffer(self._matcher.compute_bitmask(), dtype=np.uint8)
        return torch.from_numpy(np.unpackbits(packed, count=vocabulary_size, bitorder="little").view(np.bool_))


class Grammars:
    """Knows a vocabulary, and the grammars that were asked for lately."""

    def __init__(self, tokenizer: Any, vocabulary_size: int, end_tokens: Sequence[int], markup: Markup) -> None:
        """Raises ValueError for a tokenizer that the library cannot read. Takes seconds for a large vocabulary."""
        self._vocabulary: LLTokenizer = llguidance.hf.from_tokenizer(
            tokenizer, n_vocab=max(vocabulary_size, len(tokenizer)), eos_token=list(end_tokens) or None
        )
        self._markup = markup
        self._compiling = ThreadPoolExecutor(2, thread_name_prefix="grammar")
        self._cache: OrderedDict[bytes, LLMatcher] = OrderedDict()

    async def constraint(self, wanted: Wanted) -> Constraint:
        """For one answer. Raises BadRequest, with the reason, for what cannot be enforced."""
        key = msgspec.json.encode(wanted)
        matcher = self._cache.pop(key, None) or await self._compiled(wanted)
        self._cache[key] = matcher
        while len(self._cache) > _MAX_CACHED:
            self._cache.popitem(last=False)
        return Constraint(matcher.deep_copy())

    def close(self) -> None:
        """Waits for what is being compiled."""
        self._compiling.shutdown()

    async def _compiled(self, wanted: Wanted) -> LLMatcher:
        running = asyncio.get_running_loop().run_in_executor(self._compiling, self._compile, wanted)
        param = wanted.param
        try:
            return await asyncio.wait_for(running, MAX_COMPILE_S)
        except TimeoutError:
            raise BadRequest(f"'{param}' takes too long to compile. Simplify it.", param=param) from None
        except ValueError as error:
            raise BadRequest(f"'{param}' cannot be enforced: {_shortened(str(error))}", param=param) from error

    def _compile(self, wanted: Wanted) -> LLMatcher:
        """The matcher at its start. Raises ValueError with the reason why there is none."""
        grammar = AnswerGrammar(wanted, self._markup, self._vocabulary.is_special_token).text()
        matcher = LLMatcher(self._vocabulary, grammar, limits=LIMITS, log_level=0)
        probe = matcher.deep_copy()
        if not probe.is_error():
            probe.compute_bitmask()
        # Stopped before the first token: a schema that goes in circles, for example.
        if probe.is_error() or probe.is_stopped():
            is_empty = probe.stop_reason().startswith("NoExtension")
            raise ValueError("there is no answer that fits." if is_empty else probe.get_error())
        return matcher


def _shortened(reason: str) -> str:
    return _WHITE_SPACE.sub(" ", reason.replace("<non-verbose/>", "")).strip()[:_MAX_REASON_LENGTH]
