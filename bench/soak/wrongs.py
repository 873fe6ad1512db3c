"""Requests that can never be answered: all of them get 400."""

import random
from collections.abc import Callable
from typing import Any

from bench.soak.server import MODEL

Wrong = tuple[str, dict[str, Any] | bytes, dict[str, str]]

_CHAT = "/v1/chat/completions"
_FIELDS: list[dict[str, Any]] = [
    {"temperature": 3}, {"temperature": "warm"}, {"top_p": -0.1}, {"n": 0}, {"n": 99}, {"max_tokens": 0}, {"stop": ""},
    {"stop": ["x"] * 99}, {"logit_bias": {"999999": 1}}, {"logit_bias": {"a": 1}}, {"top_logprobs": 3},
    {"no_such_parameter": 1}, {"messages": []}, {"messages": [{"role": "king", "content": "x"}]},
    {"messages": [{"role": "user", "content": 5}]}, {"messages": "hello"}, {"max_tokens": 10**6},
    {"stream_options": {"include_usage": True}}, {"response_format": {"type": "json_schema"}},
    {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "nothing"}}}},
    {"structured_outputs": {"regex": "(["}}, {"structured_outputs": {"grammar": "root ::= undefined"}},
    {"tools": [{"type": "function"}]}, {"tool_choice": "required"}, {"min_p": 2}, {"stop_token_ids": [-1]},
]  # fmt: skip


def wrong_field(chance: random.Random) -> Wrong:
    body = {"model": MODEL, "messages": [{"role": "user", "content": "Hello"}], "stream": chance.random() < 0.5}
    wrong = chance.choice([field for field in _FIELDS if not (body["stream"] and "stream_options" in field)])
    return _CHAT, body | wrong, {}


def too_long(chance: random.Random) -> Wrong:
    content = " ".join(["word"] * chance.choice((3000, 30_000)))
    return _CHAT, {"model": MODEL, "messages": [{"role": "user", "content": content}]}, {}


def no_json(chance: random.Random) -> Wrong:
    bodies = (b"", b"{", b"[]", b'{"model": "\xff"}', b"[" * 5000, chance.randbytes(200), b'{"model": NaN}')
    return _CHAT, chance.choice(bodies), {}


def deep_schema(chance: random.Random) -> Wrong:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(200):
        schema = {"type": "array", "items": schema}
    body = {"model": MODEL, "messages": [{"role": "user", "content": "x"}]}
    asked = {"response_format": {"type": "json_schema", "json_schema": {"name": "deep", "schema": schema}}}
    return _CHAT, body | asked, {}


def wrong_prompt(chance: random.Random) -> Wrong:
    prompts: tuple[Any, ...] = ([], [[]], [10**6], [-1], ["a", 1], 5, ["x"] * 99, "x " * 5000)
    return "/v1/completions", {"model": MODEL, "prompt": chance.choice(prompts)}, {}


def wrong_input(chance: random.Random) -> Wrong:
    inputs: tuple[Any, ...] = ("", [], [""], [10**6], {"a": 1}, "word " * 5000)
    return "/v1/embeddings", {"model": MODEL, "input": chance.choice(inputs)}, {}


def wrong_id(chance: random.Random) -> Wrong:
    body = {"model": MODEL, "messages": [{"role": "user", "content": "Hello"}]}
    return _CHAT, body, {"X-Request-ID": "x" * chance.choice((201, 4000))}


WRONGS: list[Callable[[random.Random], Wrong]] = [
    wrong_field, wrong_field, wrong_field, too_long, no_json, deep_schema, wrong_prompt, wrong_input, wrong_id,
]  # fmt: skip
