"""A caller who writes a route's name reads it in the answer; the model that serves it reads its own in the request."""

import re

import msgspec

_MODEL = re.compile(rb'"model": ?"(?:[^"\\]|\\.)*"')


def request_to(body: bytes, model: str) -> bytes:
    """The request, for that model."""
    fields = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    return msgspec.json.encode({**fields, "model": model})


def answer_from(part: bytes, name: str) -> bytes:
    """The answer, or whole events of a stream, as of that name.

    Quotes within a JSON string are escaped, so text that a model writes cannot be mistaken for the field.
    """
    field = b'"model":' + msgspec.json.encode(name)
    return _MODEL.sub(lambda _: field, part)
