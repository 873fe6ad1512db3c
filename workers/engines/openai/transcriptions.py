"""POST /v1/audio/transcriptions: a form, or JSON with the file in it where the gateway has read the form already."""

from typing import Annotated, Any, Literal

import msgspec

from protocol.subtitles import PLAIN, Told
from protocol.transcription import Audio
from workers.engines.base import SpokenSegment, Transcribe, Transcript
from workers.engines.openai.call import Body
from workers.engines.openai.parameters import NOTES, Neutral, decode_object, read_parameters
from workers.errors import BadRequest

NEUTRAL: Neutral = {**NOTES, "stream": (False,), "chunking_strategy": ("auto",)}


class TranscriptionParameters(msgspec.Struct, kw_only=True):
    """The body of the request."""

    model: str
    file: Audio
    language: str | None = None
    prompt: str | None = None
    response_format: Literal["json", "verbose_json", "text", "srt", "vtt"] = "json"
    temperature: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.0
    timestamp_granularities: list[Literal["segment", "word"]] = msgspec.field(default_factory=list)

    def wanted(self) -> Transcribe:
        """Raises BadRequest."""
        if "word" in self.timestamp_granularities:
            raise BadRequest(
                "This model tells the times of segments, not of words: leave 'word' out.",
                param="timestamp_granularities",
                code="unsupported_value",
            )
        return Transcribe(data=self.file.data, language=self.language, prompt=self.prompt, temperature=self.temperature)


def read_transcription(body: bytes) -> TranscriptionParameters:
    """The parameters in this body. Raises BadRequest."""
    return read_parameters(TranscriptionParameters, decode_object(body), NEUTRAL)


def read_transcription_form(fields: dict[str, Any]) -> TranscriptionParameters:
    """The parameters in the fields of a form. Raises BadRequest."""
    return read_parameters(TranscriptionParameters, fields, NEUTRAL, is_form=True)


def transcription_reply(parameters: TranscriptionParameters, said: Transcript) -> Body | str:
    """The answer: JSON, or plain text where that is wanted."""
    if plain := PLAIN.get(parameters.response_format):
        return plain.write(msgspec.convert(_told(parameters, said), Told))
    told = _told(parameters, said)
    return {"text": told["text"], "usage": told["usage"]} if parameters.response_format == "json" else told


def _told(parameters: TranscriptionParameters, said: Transcript) -> Body:
    usage = {
        "type": "duration",
        "seconds": round(said.duration_s, 2),
        "prompt_tokens": said.usage.prompt_tokens,
        "completion_tokens": said.usage.completion_tokens,
    }
    return {
        "task": "transcribe",
        "language": said.language,
        "duration": round(said.duration_s, 2),
        "text": said.text,
        "segments": [_segment(parameters, index, segment) for index, segment in enumerate(said.segments)],
        "usage": usage,
    }


def _segment(parameters: TranscriptionParameters, index: int, segment: SpokenSegment) -> Body:
    return {
        "id": index,
        # In frames of 10 ms.
        "seek": round(segment.window_start_s * 100),
        "start": segment.start_s,
        "end": segment.end_s,
        "text": segment.text,
        "tokens": list(segment.tokens),
        "temperature": parameters.temperature,
        "avg_logprob": segment.avg_logprob,
        "compression_ratio": segment.compression_ratio,
        "no_speech_prob": segment.no_speech_prob,
    }
