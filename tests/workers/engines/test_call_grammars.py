"""Whoever must call a tool does so, in its own family's way of writing, and what it writes is read again."""

import json
import random
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from llguidance import LLMatcher, LLTokenizer
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

from workers.engines.base import Form, ToolCall, ToolUse
from workers.engines.transformers.answer_grammar import AnswerGrammar, Wanted
from workers.engines.transformers.markup import Markup, markup_of
from workers.engines.transformers.thoughts import ThoughtParser
from workers.engines.transformers.tool_calls import ToolCallParser

END = "<|im_end|>"
FAMILIES: dict[str, tuple[str, list[str], bool]] = {
    "hermes": ("<tool_call>", [], False),
    "hermes with tokens": ("<tool_call>", ["<tool_call>", "</tool_call>", "<think>", "</think>"], False),
    "llama": ("<|python_tag|>", ["<|python_tag|>"], True),
    "mistral's list": ("[TOOL_CALLS][", ["[TOOL_CALLS]"], True),
    "mistral": ("[TOOL_CALLS] [ARGS]", ["[TOOL_CALLS]", "[ARGS]", "[THINK]", "[/THINK]"], True),
    "deepseek v3": (
        "<｜tool▁sep｜> ```json",
        ["<｜tool▁calls▁begin｜>", "<｜tool▁sep｜>", "<｜tool▁call▁end｜>"],
        False,
    ),
    "deepseek v3.1": ("<｜tool▁sep｜> </think>", ["<｜tool▁call▁begin｜>", "<think>", "</think>"], False),
}
"""What a template holds, the marks that are tokens of their own, and whether these are control tokens."""
TOOLS = [
    {"type": "function", "function": {"name": "get_weather", "parameters": {
        "type": "object", "required": ["city", "unit"],
        "properties": {"city": {"type": "string", "maxLength": 5}, "unit": {"$ref": "#/$defs/Unit"}},
        "$defs": {"Unit": {"enum": ["C", "F"]}},
    }}},
    {"type": "function", "function": {"name": "now"}},
]  # fmt: skip
DIGITS = Form(kind="regex", source="[0-9]{3}", param="form")


class Model:
    """Says anything that its grammar allows, and likes the characters that end things."""

    def __init__(self, template: str, marks: list[str], are_special: bool) -> None:
        self._tokenizer = Tokenizer(models.BPE())
        self._tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        self._tokenizer.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        trainer = trainers.BpeTrainer(special_tokens=[END], initial_alphabet=alphabet, show_progress=False)
        self._tokenizer.train_from_iterator(['{"name": "get_weather", "arguments": {}}'] * 2, trainer)
        self._tokenizer.add_tokens([AddedToken(mark, special=are_special) for mark in marks])
        self.markup: Markup = markup_of(
            SimpleNamespace(chat_template=template, added_tokens_decoder=self._tokenizer.get_added_tokens_decoder())
        )
        self._end = self._tokenizer.token_to_id(END)
        self._library = LLTokenizer(self._tokenizer.to_str(), eos_token=self._end)
        ending = ('"', "}", "</think>", "[/THINK]", '"}', '"}}', "<", "[")
        self._liked = {token for text, token in self._tokenizer.get_vocab().items() if text in ending}

    def says(self, wanted: Wanted, seed: int) -> str | None:
        """The text with its marks; None where it came to no end."""
        matcher = LLMatcher(self._library, AnswerGrammar(wanted, self.markup, self._library.is_special_token).text())
        draw, tokens = random.Random(seed), list[int]()
        while not matcher.is_stopped() and len(tokens) < 400:
            tokens.append(self._next(matcher, draw))
            assert matcher.consume_token(tokens[-1]), matcher.get_error()
        shown = [token for token in tokens if token not in self.markup.hidden]
        return str(self._tokenizer.decode(shown, skip_special_tokens=False)) if matcher.is_stopped() else None

    def _next(self, matcher: LLMatcher, draw: random.Random) -> int:
        packed = np.frombuffer(matcher.compute_bitmask(), dtype=np.uint8)
        allowed: list[int] = np.unpackbits(packed, bitorder="little").nonzero()[0].tolist()
        return draw.choices(allowed, [20 if token in self._liked else 1 for token in allowed])[0]


@pytest.fixture(scope="module", params=FAMILIES)
def model(request: pytest.FixtureRequest) -> Model:
    return Model(*FAMILIES[request.param])


def answers(model: Model, wanted: Wanted, num: int = 8) -> list[str]:
    """What it says to different seeds, thoughts taken out."""
    texts = [text for seed in range(num) if (text := model.says(wanted, seed)) is not None]
    assert texts
    if wanted.thinking == "never" or model.markup.thoughts is None:
        return texts
    opening = model.markup.thoughts.opening if wanted.thinking == "has begun" else ""
    return [_said(ThoughtParser(model.markup.thoughts, opening), text) for text in texts]


def _said(parser: ThoughtParser, text: str) -> str:
    return "".join(piece for piece in parser.push(text) + parser.flush() if isinstance(piece, str))


def read(model: Model, text: str) -> tuple[str, list[ToolCall]]:
    parser = ToolCallParser(model.markup.calls)
    pieces = parser.push(text) + parser.flush()
    calls = [piece for piece in pieces if isinstance(piece, ToolCall)]
    return "".join(piece for piece in pieces if isinstance(piece, str)), calls


def check(call: ToolCall) -> None:
    arguments: dict[str, Any] = json.loads(call.arguments)
    if call.name == "now":
        assert arguments == {}
    else:
        assert (call.name, sorted(arguments)) == ("get_weather", ["city", "unit"])
        assert arguments["unit"] in ("C", "F")


def test_a_required_call_is_made_and_keeps_to_its_schema(model: Model) -> None:
    wanted = Wanted(tools=TOOLS, tool_use=ToolUse(must_call=("get_weather", "now")))
    called = [read(model, text) for text in answers(model, wanted)]
    assert all(calls and not text.strip() for text, calls in called)
    for _, calls in called:
        for call in calls:
            check(call)
    assert {call.name for _, calls in called for call in calls} == {"get_weather", "now"}


def test_a_named_tool_is_called_once_where_calls_are_not_parallel(model: Model) -> None:
    wanted = Wanted(tools=TOOLS, tool_use=ToolUse(must_call=("get_weather",), is_parallel=False))
    for text in answers(model, wanted):
        assert [call.name for call in read(model, text)[1]] == ["get_weather"]


def test_a_strict_tool_keeps_to_its_schema_whenever_it_is_called(model: Model) -> None:
    wanted = Wanted(tools=TOOLS, tool_use=ToolUse(strict=("get_weather",)))
    for text in answers(model, wanted, num=20):
        for call in read(model, text)[1]:
            check(call)


def test_beside_tools_an_answer_has_its_form_or_is_a_call(model: Model) -> None:
    for text in answers(model, Wanted(form=DIGITS, tools=TOOLS)):
        said, calls = read(model, text)
        assert bool(calls) != (said.isdigit() and len(said) == 3)


@pytest.mark.parametrize("thinking", ["may begin", "has begun"])
def test_a_thought_comes_first_and_the_form_after_it(model: Model, thinking: Any) -> None:
    if model.markup.thoughts and model.markup.thoughts.closing in model.markup.tokens:
        for text in answers(model, Wanted(form=DIGITS, thinking=thinking)):
            assert text.isdigit()
            assert len(text) == 3
