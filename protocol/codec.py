"""Bytes to message and back, checked at the edge."""

from typing import Any, TypeVar

import msgspec

Message = TypeVar("Message")


class MalformedMessage(ValueError):
    """The bytes are not the message that was expected; the text names the field."""


def encode(message: Any) -> bytes:
    """The message as JSON."""
    return msgspec.json.encode(message)


def decode(kind: type[Message], data: bytes) -> Message:
    """The message in this JSON. Raises MalformedMessage with the path of the first field that is wrong."""
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedMessage(str(error)) from error


def to_builtins(message: Any) -> Any:
    """The message as dicts and lists, for a column that keeps JSON."""
    return msgspec.to_builtins(message)
