"""A form with a file, as browsers and OpenAI's clients send recordings → fields. Nothing of it lies on a disk."""

from typing import Any

from aiohttp import BodyPartReader, web

from protocol.transcription import Audio
from workers.errors import BadRequest

MEDIA_TYPE = "multipart/form-data"
_MAX_NAME_CHARS = 200


async def read_form(request: web.Request, *, max_bytes: int) -> dict[str, Any]:
    """Texts, lists of them (`name[]`), and an Audio for each file. Raises BadRequest, HTTPRequestEntityTooLarge."""
    fields: dict[str, Any] = {}
    try:
        async for part in await request.multipart():
            if not isinstance(part, BodyPartReader):
                raise ValueError("a part of several parts")
            value = await _value(part, max_bytes)
            max_bytes -= len(value.data if isinstance(value, Audio) else value)
            _add(fields, part.name or "", value)
    except ValueError as error:
        raise BadRequest("The form cannot be read. Send multipart/form-data.") from error
    return fields


def _add(fields: dict[str, Any], name: str, value: str | Audio) -> None:
    if name.endswith("[]"):
        fields.setdefault(name.removesuffix("[]"), []).append(value)
    elif name in fields:
        raise BadRequest(f"'{name[:64]}' is given several times. Give it once.", param=name[:64])
    else:
        fields[name] = value


async def _value(part: BodyPartReader, max_bytes: int) -> str | Audio:
    data = bytearray()
    while chunk := await part.read_chunk():
        data += chunk
        if len(data) > max_bytes:
            raise web.HTTPRequestEntityTooLarge(max_size=max_bytes, actual_size=len(data))
    if part.filename is None:
        return data.decode()
    kind = part.headers.get("Content-Type", "application/octet-stream")
    return Audio(name=part.filename[-_MAX_NAME_CHARS:], type=kind, data=bytes(data))
