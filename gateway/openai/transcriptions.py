"""POST /v1/audio/transcriptions: speech to text, by a replica or a provider that can."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

import msgspec
from django.conf import settings
from django.http.response import HttpResponseBase
from drf_spectacular.utils import extend_schema
from msgspec import Meta
from rest_framework.request import Request as HTTPRequest

from gateway.api.form_parser import FormParser
from gateway.api.schema import as_form, described
from gateway.api.translated import TranslatedGeneration
from gateway.api.views import AnyGeneration, InferenceView
from gateway.errors import InvalidRequest, UnsupportedMediaType
from gateway.openai.parameters import Neutral, Request, check_neutral
from protocol.subtitles import PLAIN, PlainFormat, Told
from protocol.transcription import ENDPOINT, Audio

NEUTRAL: Neutral = {"stream": (False,), "chunking_strategy": ("auto",)}


class TranscriptionRequest(Request, kw_only=True):
    """The form. `file` is a recording in a format that the model's engine reads."""

    file: Audio
    language: Annotated[str, Meta(pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$")] | None = None
    prompt: str | None = None
    response_format: Literal["json", "text", "verbose_json", "srt", "vtt"] | None = None
    temperature: Annotated[float, Meta(ge=0, le=1)] | None = None
    timestamp_granularities: list[Literal["word", "segment"]] | None = None
    # From here on only what asks for nothing is let through: see NEUTRAL.
    stream: bool | None = None
    chunking_strategy: str | None = None


class PlainWords:
    """The answer without its JSON."""

    def __init__(self, plain: PlainFormat) -> None:
        self._plain = plain

    def answer(self, body: bytes) -> bytes:
        return self._plain.write(msgspec.json.decode(body, type=Told)).encode()

    def events(self, block: bytes) -> bytes:
        raise NotImplementedError("transcriptions do not stream")


class TranscriptionsView(InferenceView):
    """Writes down what is said in a recording."""

    endpoint: ClassVar = ENDPOINT
    request_type: ClassVar = TranscriptionRequest
    parser_classes = (FormParser,)

    @property
    def max_body_bytes(self) -> int:
        return settings.MAX_AUDIO_BYTES

    async def body(self) -> bytes:
        if not self.http_request.META.get("CONTENT_TYPE", "").lower().startswith(FormParser.media_type):
            raise UnsupportedMediaType("Send a form, with the header Content-Type: multipart/form-data.")
        return await super().body()

    def check(self, asked: TranscriptionRequest) -> None:
        check_neutral(asked, NEUTRAL)
        if not asked.file.data:
            raise InvalidRequest("'file' is empty. Send a recording.", param="file")
        if asked.timestamp_granularities and asked.response_format != "verbose_json":
            raise InvalidRequest(
                "'timestamp_granularities' needs 'response_format' to be 'verbose_json'.",
                param="timestamp_granularities",
            )

    async def checked(self, asked: TranscriptionRequest, body: bytes) -> tuple[TranscriptionRequest, bytes]:
        self.check(asked)
        given = {name: value for name, value in msgspec.structs.asdict(asked).items() if value is not None}
        # Whoever is asked answers in JSON, so that usage and errors can be told apart from what was said.
        plain = PLAIN.get(asked.response_format or "")
        return asked, msgspec.json.encode({**given, **({"response_format": plain.source} if plain else {})})

    def said(self, generation: AnyGeneration, asked: TranscriptionRequest) -> AnyGeneration:
        plain = PLAIN.get(asked.response_format or "")
        return TranslatedGeneration(generation, PlainWords(plain)) if plain else generation

    async def _response(self, generation: AnyGeneration, headers: Mapping[str, str]) -> HttpResponseBase:
        response = await super()._response(generation, headers)
        if isinstance(generation, TranslatedGeneration):
            response["Content-Type"] = "text/plain; charset=utf-8"
        return response

    @extend_schema(**as_form(described("createTranscription", TranscriptionRequest, "Transcription")))
    async def post(self, request: HTTPRequest) -> Any:
        return await super().post(request)
