"""Rule: what in a request or an answer people and models have written, and where it stands."""

from collections.abc import Iterator
from typing import Any

import msgspec

Text = tuple[str, str]
"""Where it stands, as in `messages[2].content`; the text."""

_SAID = ("messages", "prompt", "suffix", "input", "query", "documents")
_SHOWN = ("tools", "functions", "response_format", "structured_outputs")
"""Structures that models get to read: names and keys, too."""
_NOT_SAID = frozenset(
    {"role", "type", "id", "object", "model", "logprobs", "finish_reason", "stop_reason", "tool_call_id"}
    | {"image_url", "input_audio", "file", "token_ids", "prompt_logprobs", "prompt_token_ids"}
)


class _Answer(msgspec.Struct):
    choices: list[Any] = []
    text: str = ""
    segments: list[Any] = []


def texts_of_request(body: bytes) -> Iterator[Text]:
    """Of a request in OpenAI's words, checked already."""
    fields = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    for name in _SAID:
        if name in fields:
            yield from texts_in(msgspec.json.decode(fields[name]), name)
    for name in _SHOWN:
        if name in fields:
            yield name, bytes(fields[name]).decode()


def token_ids_in(body: bytes) -> str | None:
    """The parameter that holds token ids in the place of text; None if there is none."""
    fields = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    for name in ("prompt", "input"):
        value = msgspec.json.decode(fields.get(name, b"null"))
        if isinstance(value, list) and any(not isinstance(one, str) for one in value):
            return name
    return None


def texts_of_answer(body: bytes) -> Iterator[Text]:
    """Of a whole answer in OpenAI's words."""
    answer = msgspec.json.decode(body, type=_Answer)
    yield from texts_in(answer.choices, "choices")
    yield "text", answer.text
    yield from texts_in(answer.segments, "segments")


def texts_in(value: Any, where: str) -> Iterator[Text]:
    """Every text within, and the parts of a message also as the one text that a model reads."""
    match value:
        case str():
            yield where, value
        case list():
            if len(value) > 1 and (joined := "".join(_part_texts(value))):
                yield where, joined
            for position, item in enumerate(value):
                yield from texts_in(item, f"{where}[{position}]")
        case dict():
            for key, item in value.items():
                if key not in _NOT_SAID:
                    yield from texts_in(item, f"{where}.{key}")


def _part_texts(parts: list[Any]) -> Iterator[str]:
    for part in parts:
        if isinstance(part, dict) and isinstance(part.get("text"), str):
            yield part["text"]
