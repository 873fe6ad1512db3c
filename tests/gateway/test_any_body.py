"""Whatever is sent, the answer is no fault of ours and has the API's own shape."""

import json
from typing import Any

import httpx2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.gateway.conftest import HELLO

TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
GOOD: dict[str, dict[str, Any]] = {
    "chat/completions": {
        "model": "fake-1",
        "messages": [*HELLO, {"role": "assistant", "content": [{"type": "text", "text": "Hi"}]}],
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": 5,
        "temperature": 0.5,
        "stop": ["a"],
        "tools": [TOOL],
        "tool_choice": "auto",
        "response_format": {"type": "text"},
    },
    "completions": {"model": "fake-1", "prompt": ["a", "b"], "max_tokens": 5, "seed": 1, "stop": "a"},
    "embeddings": {"model": "fake-1", "input": ["a"], "encoding_format": "float"},
    "tokenize": {"model": "fake-1", "messages": HELLO, "tools": [TOOL]},
    "moderations": {"input": [{"type": "text", "text": "a"}]},
    "responses": {
        "model": "fake-1",
        "input": [*HELLO, {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}],
        "instructions": "Be brief.",
        "tools": [{"type": "function", "name": "f", "parameters": {}}],
        "text": {"format": {"type": "text"}},
        "store": False,
    },
    "messages": {
        "model": "fake-1",
        "max_tokens": 5,
        "system": [{"type": "text", "text": "Be brief."}],
        "messages": [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c", "content": "5"}]}],
        "tools": [{"name": "f", "input_schema": {}}],
        "tool_choice": {"type": "auto"},
    },
}
NAMES = st.sampled_from(sorted({name for body in GOOD.values() for name in body} | {"n", "user", "type", "role"}))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | NAMES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES | st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def paths(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where something can be put in the place of something else."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [at, *(path for key, item in inner for path in paths(item, (*at, key)))]


def replaced(body: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    copy = body.copy()
    copy[path[0]] = replaced(copy[path[0]], path[1:], value)
    return copy


@pytest.mark.parametrize("endpoint", GOOD)
def test_no_body_is_more_than_a_bad_request(gateway, key, endpoint):
    body = GOOD[endpoint]
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    with httpx2.Client(base_url=gateway.url, headers=headers, timeout=30) as client:

        @settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
        @given(path=st.sampled_from(paths(body)), value=VALUES, name=NAMES)
        def ask(path: tuple[Any, ...], value: Any, name: str) -> None:
            spoiled = replaced(body, path, value)
            if isinstance(spoiled, dict) and name not in spoiled:
                spoiled = {**spoiled, name: value}
            answer = client.post(endpoint, content=json.dumps(spoiled).encode())
            assert answer.status_code in (200, 400, 404, 413), (spoiled, answer.text)
            if answer.status_code != 200:
                error = answer.json()["error"]
                expected = {"type", "message"} if endpoint == "messages" else {"message", "type", "param", "code"}
                assert set(error) == expected

        ask()


@pytest.mark.parametrize("endpoint", GOOD)
def test_no_bytes_are_more_than_a_bad_request(gateway, key, endpoint):
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    whole = json.dumps(GOOD[endpoint]).encode()
    with httpx2.Client(base_url=gateway.url, headers=headers, timeout=30) as client:
        for body in (
            whole[:-1],
            whole + b"}",
            b"\xff" + whole,
            whole.replace(b"5", b"NaN"),
            b"[" * 50_000,
            b"0",
            b"{}",
        ):
            assert client.post(endpoint, content=body).status_code in (200, 400)
