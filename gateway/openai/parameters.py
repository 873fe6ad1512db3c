"""Parameters that several endpoints share, as types; and the rule that nothing is silently ignored.

A parameter that is not a field of the request is refused by name. One that is a field only to be let through where it
asks for nothing stands in the endpoint's NEUTRAL table with the values that do. null always means "not given".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from gateway.errors import InvalidRequest
from protocol.parameters import VISION, needed

BEGINNING_LENGTH = 1024
"""Characters of a text that count for `Request.beginning`."""

Neutral = Mapping[str, tuple[Any, ...]]
"""Parameter → the values that ask for nothing."""

Temperature = Annotated[float, Meta(ge=0, le=2, description="0 always takes the likeliest token.")]
Probability = Annotated[float, Meta(ge=0, le=1)]
Seed = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1, description="The same seed gives the same answer.")]
TokenLimit = Annotated[int, Meta(ge=1)]
StopString = Annotated[str, Meta(min_length=1)]
StopStrings = Annotated[list[StopString], Meta(max_length=4)]
TokenId = Annotated[int, Meta(ge=0, le=2**31 - 1)]
Name = Annotated[str, Meta(min_length=1)]

Penalty = Annotated[float, Meta(ge=-2, le=2)]
Bias = Annotated[float, Meta(ge=-100, le=100)]


class ImageURL(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A link to a picture, or the picture itself as a data URI. Models that know no `detail` look as they always do."""

    url: str
    detail: Literal["auto", "low", "high"] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedImage:
    """An image, and the parameter that holds it."""

    param: str
    image: ImageURL


class Request(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What every request has."""

    model: Name
    user: str | None = None

    @property
    def needs(self) -> dict[str, str]:
        """What a replica must be able to do beyond the endpoint itself, each with the parameter that asks for it."""
        return {}

    @property
    def images(self) -> Sequence[PlacedImage]:
        """What it shows, in the messages' order."""
        return ()

    @property
    def session(self) -> str:
        """Whose requests belong together; empty where the caller does not say."""
        return self.user or ""

    @property
    def beginning(self) -> str:
        """What all turns of a conversation begin with, cut where long; empty where there is no conversation."""
        return ""


def need_of(images: Sequence[PlacedImage]) -> dict[str, str]:
    """See Request.needs."""
    return {VISION: images[0].param} if images else {}


class StreamOptions(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """How a stream is to be sent."""

    include_usage: bool | None = None
    include_obfuscation: bool | None = None


class SchemaFormat(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The `json_schema` of a response format."""

    name: Annotated[str, Meta(min_length=1, max_length=256)]
    schema: dict[str, Any] | None = None
    strict: bool | None = None
    description: str | None = None


class ResponseFormat(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What the answer must look like. `json_schema` goes with the type of that name."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: SchemaFormat | None = None


class StructuredOutputs(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """vLLM's: one of these says what the answer must look like."""

    json: str | dict[str, Any] | None = None
    regex: str | None = None
    choice: Annotated[list[str], Meta(min_length=1)] | None = None
    grammar: str | None = None
    json_object: Literal[True] | None = None


class GenerationRequest(Request, kw_only=True):
    """What chat and legacy completions share."""

    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: TokenLimit | None = None
    temperature: Temperature | None = None
    top_p: Probability | None = None
    seed: Seed | None = None
    stop: StopString | StopStrings | None = None
    n: Annotated[int, Meta(ge=1, le=16)] | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    logit_bias: Annotated[dict[str, Bias], Meta(description="By token id.")] | None = None
    # From here on the names are vLLM's.
    top_k: Annotated[int, Meta(ge=-1, le=2**31 - 1)] | None = None
    min_p: Probability | None = None
    repetition_penalty: Annotated[float, Meta(gt=0, le=10)] | None = None
    min_tokens: Annotated[int, Meta(ge=0)] | None = None
    ignore_eos: bool | None = None
    stop_token_ids: Annotated[list[TokenId], Meta(max_length=64)] | None = None
    structured_outputs: StructuredOutputs | None = None

    @property
    def needs(self) -> dict[str, str]:
        """See protocol.parameters.needed."""
        return needed(msgspec.structs.asdict(self))


def check_generation(asked: GenerationRequest, neutral: Neutral) -> None:
    """Raises InvalidRequest."""
    check_neutral(asked, neutral)
    if len(msgspec.to_builtins(asked.structured_outputs) or ()) > 1:
        raise InvalidRequest(
            "An answer has one form: give one field of 'structured_outputs'.",
            param="structured_outputs",
            code="invalid_value",
        )
    if asked.stream_options is None:
        return
    if not asked.stream:
        raise InvalidRequest("'stream_options' is only allowed when 'stream' is true.", param="stream_options")
    if asked.stream_options.include_obfuscation:
        raise unsupported("stream_options.include_obfuscation", (False,))


def check_neutral(asked: msgspec.Struct, neutral: Neutral) -> None:
    """Raises InvalidRequest for the first parameter that asks for what no engine here does."""
    for name, values in neutral.items():
        value = getattr(asked, name)
        if value is not None and value not in values:
            raise unsupported(name, values)


def unsupported(param: str, values: tuple[Any, ...]) -> InvalidRequest:
    """The refusal of a value that is well formed, but cannot be honoured."""
    allowed = " or ".join(msgspec.json.encode(value).decode() for value in values)
    hint = f"Leave it out, or set it to {allowed}." if values else "Leave it out."
    return InvalidRequest(
        f"Unsupported value: '{param}' has no effect on this server's models. {hint}",
        param=param,
        code="unsupported_value",
    )


def check_inputs(given: str | list[Any], param: str, *, most: int) -> None:
    """One text, some texts, one list of token ids, or some lists of them; nothing empty, nothing mixed.

    Raises InvalidRequest. (A type cannot say it: msgspec tells lists of one kind from lists of another by no means.)
    """
    items = given if isinstance(given, list) else [given]
    if isinstance(given, list) and not _is_uniform(given):
        raise InvalidRequest(
            f"Invalid value for '{param}': expected a string, a list of strings, a list of token ids, or a list of "
            "lists of token ids; not mixed, and no list empty.",
            param=param,
            code="invalid_value",
        )
    if len(items) > most and not isinstance(items[0], int):
        raise InvalidRequest(f"'{param}' takes up to {most} items in one request.", param=param, code="invalid_value")


def _is_uniform(items: list[Any]) -> bool:
    return any(_matches(items, kind) for kind in (list[str], Annotated[list[TokenId], Meta(min_length=1)])) or _matches(
        items, list[Annotated[list[TokenId], Meta(min_length=1)]]
    )


def _matches(items: list[Any], kind: Any) -> bool:
    try:
        msgspec.convert(items, kind)
    except msgspec.ValidationError:
        return False
    return bool(items)
