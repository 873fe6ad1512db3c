"""Whatever is wrong with a request, the answer says what, in OpenAI's shape, and a refused one is on record once."""

import json
import time
from datetime import timedelta

import httpx2
import pytest

from gateway import runtime
from gateway.api.parser import decode_request
from gateway.errors import InvalidRequest
from gateway.models import UsageRecord, UsageState
from gateway.openai.chat import ChatCompletionsView
from gateway.openai.completions import CompletionsView
from gateway.openai.embeddings import EmbeddingsView
from tests.gateway.conftest import HELLO, post, the_record

CHAT = "/chat/completions"
GOOD = {"model": "fake-1", "messages": HELLO}
USER = {"role": "user", "content": "Hello"}


def refusal(view, body) -> InvalidRequest:
    """What the view says to this body before anything else happens."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    with pytest.raises(InvalidRequest) as refused:
        view().check(decode_request(data, view.request_type))
    return refused.value


WRONG_VALUES = [
    ("messages", []),
    ("messages", "Hello"),
    ("messages", None),
    ("messages[0].role", [{"role": "robot", "content": "Hello"}]),
    ("messages[0].content", [{"role": "user", "content": 5}]),
    ("messages[0].content", [{"role": "user"}]),
    ("messages[0].content[0].type", [{"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]}]),
    ("messages[1].tool_calls", [USER, {**USER, "tool_calls": []}]),
    ("messages[0].tool_call_id", [{"role": "tool", "content": "5"}]),
    ("messages[0].reasoning_content", [{**USER, "reasoning_content": "Hm."}]),
    ("messages[0].colour", [{**USER, "colour": "red"}]),
    ("model", 5),
    ("model", ""),
    ("max_tokens", -1),
    ("max_tokens", 0),
    ("max_tokens", 1.5),
    ("max_tokens", "many"),
    ("max_tokens", True),
    ("max_completion_tokens", -5),
    ("temperature", -0.1),
    ("temperature", 2.1),
    ("temperature", "hot"),
    ("top_p", 1.1),
    ("seed", 2**64),
    ("stop", ["a", "b", "c", "d", "e"]),
    ("stop", ""),
    ("stop", 5),
    ("stream", "yes"),
    ("stream_options", {"include_usage": True}),
    ("n", 0),
    ("n", 17),
    ("logprobs", 3),
    ("top_logprobs", 2),
    ("presence_penalty", 2.5),
    ("repetition_penalty", 0),
    ("response_format.type", {"type": "yaml"}),
    ("response_format.json_schema", {"type": "json_schema"}),
    ("structured_outputs", {"regex": "a", "choice": ["b"]}),
    ("structured_outputs.xml", {"xml": "a"}),
    ("function_call", {"name": "nothing"}),
    ("functions[0].name", [{"name": "with space"}]),
    ("tool_choice", "required"),
    ("top_k", -2),
    ("guided_json", {}),
    ("a" * 100_000, 1),
]


@pytest.mark.parametrize(("param", "value"), WRONG_VALUES, ids=lambda item: str(item)[:40])
def test_a_bad_value_is_refused_by_its_name(param, value):
    field = param.split("[")[0].split(".")[0]
    body = GOOD | {field: value}
    error = refusal(ChatCompletionsView, body)
    assert error.param[:60] == param[:60]
    assert len(error.body()) < 1000


@pytest.mark.parametrize(
    "neutral",
    [
        {"n": 1, "logprobs": False, "presence_penalty": 0, "frequency_penalty": 0.0, "logit_bias": {}},
        {"response_format": {"type": "text"}, "tool_choice": "auto", "parallel_tool_calls": True},
        {"messages": [USER, {"role": "assistant", "content": "Yes.", "reasoning_content": "Hm."}, USER]},
        {"max_tokens": None, "stop": None, "user": "ada", "metadata": {"a": "b"}, "store": False},
        {"stop": ["a", "b", "c", "d"], "temperature": 0, "top_p": 1, "seed": -1, "max_completion_tokens": 5},
    ],
)
def test_a_value_that_asks_for_nothing_is_let_through(neutral):
    asked = decode_request(json.dumps(GOOD | neutral).encode(), ChatCompletionsView.request_type)
    ChatCompletionsView().check(asked)


@pytest.mark.parametrize(
    ("view", "body", "param"),
    [
        (CompletionsView, {"model": "fake-1"}, "prompt"),
        (CompletionsView, {"model": "fake-1", "prompt": []}, "prompt"),
        (CompletionsView, {"model": "fake-1", "prompt": ["a", 5]}, "prompt"),
        (CompletionsView, {"model": "fake-1", "prompt": [-1]}, "prompt"),
        (CompletionsView, {"model": "fake-1", "prompt": ["a"] * 17}, "prompt"),
        (CompletionsView, {"model": "fake-1", "prompt": "a", "suffix": "b"}, "suffix"),
        (CompletionsView, {"model": "fake-1", "prompt": "a", "best_of": 2}, "best_of"),
        (EmbeddingsView, {"model": "fake-1"}, "input"),
        (EmbeddingsView, {"model": "fake-1", "input": ""}, "input"),
        (EmbeddingsView, {"model": "fake-1", "input": ["a", ""]}, "input"),
        (EmbeddingsView, {"model": "fake-1", "input": [[1], []]}, "input"),
        (EmbeddingsView, {"model": "fake-1", "input": "a", "dimensions": 0}, "dimensions"),
        (EmbeddingsView, {"model": "fake-1", "input": "a", "encoding_format": "hex"}, "encoding_format"),
    ],
)
def test_the_other_endpoints_check_their_own_parameters(view, body, param):
    assert refusal(view, body).param == param


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b'"text"',
        b"null",
        b"\xff\xfe",
        b'{"model": "fake-1", "messages": [{"role": "user", "content": "\xff"}]}',
        b'{"model": "fake-1", "messages": [{"role": "user", "content": "\\ud800"}]}',
        b'{"model": "fake-1", "messages": [], "temperature": NaN}',
        b'{"model": "fake-1", "messages": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"model": "fake-1", "seed": ' + b"1" * 5000 + b"}",
        b'{"model": "fake-1", "temperature": 1e999}',
    ],
    ids=range(11),
)
def test_a_body_that_is_no_json_object_is_a_bad_request(body):
    assert "JSON" in refusal(ChatCompletionsView, body).message or b"1" in body


@pytest.mark.parametrize("body", [b"", b"{", GOOD | {"max_tokens": -1}], ids=["none", "broken", "negative"])
def test_a_bad_request_is_told_in_openais_shape(gateway, key, body):
    answer = post(gateway, key, CHAT, body)
    assert answer.status_code == 400
    assert set(answer.json()["error"]) == {"message", "type", "param", "code"}


def test_a_body_beyond_the_limit_is_too_large(gateway, key):
    answer = post(gateway, key, CHAT, b" " * 20_000_000)
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "request_too_large")


def test_a_body_that_hides_its_length_is_too_large_as_well(gateway, key, settings):
    settings.MAX_BODY_BYTES = 100_000
    answer = post(gateway, key, CHAT, (b" " * 10_000 for _ in range(50)))
    assert answer.status_code == 413


def test_a_body_that_never_ends_is_not_waited_for(gateway, key, settings):
    settings.BODY_TIMEOUT = timedelta(seconds=0.2)

    def dawdling():
        yield b"{"
        time.sleep(2)
        yield b"}"

    answer = post(gateway, key, CHAT, dawdling())
    assert (answer.status_code, answer.json()["error"]["code"]) == (408, "request_timeout")


def test_a_compressed_body_is_refused_with_a_reason(gateway, key):
    answer = post(gateway, key, CHAT, b"\x1f\x8b", **{"Content-Encoding": "gzip"})
    assert answer.status_code == 415
    assert "Compressed" in answer.json()["error"]["message"]


def test_a_form_is_refused_with_a_reason(gateway, key):
    answer = post(gateway, key, CHAT, b"a=b", **{"Content-Type": "application/x-www-form-urlencoded"})
    assert answer.status_code == 415
    assert "application/json" in answer.json()["error"]["message"]


def test_an_unknown_model_is_not_found(gateway, key):
    error = post(gateway, key, CHAT, GOOD | {"model": "m" * 100_000}).json()["error"]
    assert (error["code"], error["param"]) == ("model_not_found", "model")
    assert len(error["message"]) < 300


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", CHAT, 405), ("OPTIONS", CHAT, 405), ("POST", "/no/such/address", 404), ("GET", "/models/nothing", 404)],
)
def test_a_wrong_address_or_method_gets_openais_shape(gateway, key, method, path, status):
    answer = httpx2.request(method, gateway.url + path, headers={"Authorization": f"Bearer {key}"})
    assert answer.status_code == status
    assert set(answer.json()["error"]) == {"message", "type", "param", "code"}
    assert answer.headers["x-request-id"].startswith("req_")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", CHAT, "POST"),
        ("OPTIONS", CHAT, "POST"),
        ("PATCH", "/models", "GET, HEAD"),
        ("DELETE", "/models/fake-1", "GET, HEAD"),
        ("POST", "/usage", "GET, HEAD"),
        ("PUT", "/responses/resp_1", "GET, DELETE, HEAD"),
        ("GET", "/messages", "POST"),
    ],
)
def test_a_wrong_method_is_told_which_ones_are_right(gateway, key, method, path, allowed):
    answer = httpx2.request(method, gateway.url + path, headers={"Authorization": f"Bearer {key}"})
    assert (answer.status_code, answer.headers["Allow"]) == (405, allowed)
    assert allowed in answer.text


def test_a_refused_request_leaves_one_record(gateway, key, user):
    answer = post(gateway, key, CHAT, GOOD | {"temperature": 9})
    record = the_record()
    assert (record.request_id, record.status_code) == (answer.headers["x-request-id"], 400)
    assert (record.state, record.user_id, record.completion_tokens) == (UsageState.REFUSED, user.pk, 0)


def test_listing_models_leaves_no_record(client):
    client.models.list()
    runtime.current().journal.write_up()
    assert not UsageRecord.objects.exists()
