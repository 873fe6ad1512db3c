"""A request for a transcription on its way: JSON, like all others, until somebody who wants OpenAI's form is asked."""

import uuid
from collections.abc import Iterator

import msgspec

ENDPOINT = "audio/transcriptions"


class Audio(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A file; its bytes are base64 in JSON."""

    name: str
    type: str
    data: bytes


class _Body(msgspec.Struct):
    file: Audio


def form_of(body: bytes) -> tuple[bytes, str]:
    """The request as multipart/form-data, and the content type that says so. Raises msgspec.DecodeError."""
    boundary = uuid.uuid4().hex
    file = msgspec.json.decode(body, type=_Body).file
    fields = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    del fields["file"]
    lines = [line for name, value in fields.items() for line in _field(boundary, name, msgspec.json.decode(value))]
    head = f'Content-Disposition: form-data; name="file"; filename="{_quoted(file.name)}"'
    lines += [_delimiter(boundary), head.encode(), b"Content-Type: " + file.type.encode(), b"", file.data]
    return b"\r\n".join([*lines, _delimiter(boundary) + b"--", b""]), f"multipart/form-data; boundary={boundary}"


def _field(boundary: str, name: str, value: object) -> Iterator[bytes]:
    """Several lines for each of its values; a list is several values of `name[]`."""
    name, values = (f"{name}[]", value) if isinstance(value, list) else (name, [value])
    for one in values:
        text = one if isinstance(one, str) else msgspec.json.encode(one).decode()
        disposition = f'Content-Disposition: form-data; name="{_quoted(name)}"'
        yield from (_delimiter(boundary), disposition.encode(), b"", text.encode())


def _delimiter(boundary: str) -> bytes:
    return f"--{boundary}".encode()


def _quoted(text: str) -> str:
    return text.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
