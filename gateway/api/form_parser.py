"""A form with a file → a typed request; every error names the parameter."""

from collections.abc import Sequence
from io import BytesIO
from typing import IO, Any

import msgspec
from django.core.exceptions import SuspiciousOperation
from django.core.files.uploadedfile import InMemoryUploadedFile, UploadedFile
from django.core.files.uploadhandler import FileUploadHandler
from django.http.multipartparser import MultiPartParser, MultiPartParserError
from django.utils.datastructures import MultiValueDict
from rest_framework.parsers import BaseParser

from gateway.api.parser import wrong_value
from gateway.errors import InvalidRequest
from protocol.transcription import Audio

_MAX_NAME_CHARS = 200


class FormParser(BaseParser):
    """Decodes into the view's `request_type`, which has one file, `file`."""

    media_type = "multipart/form-data"

    def parse(self, stream: IO[Any], media_type: str | None = None, parser_context: Any = None) -> Any:
        """Raises InvalidRequest."""
        fields, files = _parts(stream, parser_context["request"].META)
        values: dict[str, Any] = {name.removesuffix("[]"): _value(name, given) for name, given in fields.lists()}
        if file := files.get("file"):
            values["file"] = _audio(file)
        try:
            return msgspec.convert(values, parser_context["view"].request_type, strict=False)
        except msgspec.ValidationError as error:
            raise wrong_value(str(error)) from None


class _InMemory(FileUploadHandler):
    """The body was bounded before it came here, and nothing of it may lie on a disk."""

    def new_file(self, *args: Any, **kwargs: Any) -> None:
        super().new_file(*args, **kwargs)
        self._parts: list[bytes] = []

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        self._parts.append(raw_data)

    def file_complete(self, file_size: int) -> UploadedFile:
        content = BytesIO(b"".join(self._parts))
        return InMemoryUploadedFile(content, self.field_name, self.file_name, self.content_type, file_size, None)


def _parts(stream: Any, meta: dict[str, Any]) -> tuple[MultiValueDict[str, str], MultiValueDict[str, UploadedFile]]:
    try:
        return MultiPartParser(meta, stream, [_InMemory()], "utf-8").parse()
    except (MultiPartParserError, SuspiciousOperation) as error:
        raise InvalidRequest(f"The form cannot be read: {str(error)[:200]} Send multipart/form-data.") from None


def _value(name: str, given: Sequence[Any]) -> Any:
    if name.endswith("[]"):
        return given
    if len(given) > 1:
        raise InvalidRequest(f"'{name[:64]}' is given several times. Give it once.", param=name)
    return given[0]


def _audio(file: Any) -> Audio:
    name = (file.name or "audio")[-_MAX_NAME_CHARS:]
    return Audio(name=name, type=file.content_type or "application/octet-stream", data=file.read())
