"""A request of OpenAI's Responses API, as types. What is no field here is refused by name."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from gateway.openai.parameters import Name, Neutral, Probability, Temperature, TokenLimit

NEUTRAL: Neutral = {
    "background": (False,),
    "conversation": (),
    "max_tool_calls": (),
    "prompt": (),
    "service_tier": ("auto", "default"),
    "top_logprobs": (0,),
    "truncation": ("disabled",),
}
"""Parameter → the values that ask for nothing."""

Notes = Any
"""What answers carry when they are sent back as history."""


class Text(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, tag="input_text"):
    """A piece of text that the caller wrote."""

    text: str


class PastText(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, tag="output_text"):
    """A piece of text that a model wrote."""

    text: str
    annotations: Notes = None
    logprobs: Notes = None


class Refusal(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, tag="refusal"):
    """What a model wrote instead of an answer."""

    refusal: str


class Image(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, tag="input_image"):
    """A picture, for models that see."""

    image_url: str
    detail: Literal["low", "high", "auto"] | None = None


class Message(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, tag="message"):
    """Something that somebody said."""

    role: Literal["user", "assistant", "system", "developer"]
    content: str | Annotated[list[Text | PastText | Refusal | Image], Meta(min_length=1)]
    id: Notes = None
    status: Notes = None
    phase: Notes = None


class FunctionCall(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, tag="function_call"):
    """A call that a model made earlier."""

    call_id: Name
    name: Name
    arguments: str
    id: Notes = None
    status: Notes = None


class FunctionCallOutput(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, tag="function_call_output"):
    """What came of a call."""

    call_id: Name
    output: str | list[Text | Image]
    id: Notes = None
    status: Notes = None


class Reasoning(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, tag="reasoning"):
    """What a model thought before an earlier answer. Models here are not shown it again."""

    id: Notes = None
    summary: Notes = None
    content: Notes = None
    encrypted_content: Notes = None
    status: Notes = None


Item = Message | FunctionCall | FunctionCallOutput | Reasoning


class Tool(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A function that the caller runs. Tools that run at OpenAI have other types, and are refused."""

    type: Literal["function"]
    name: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]
    parameters: dict[str, Any] | None = None
    description: str | None = None
    strict: bool | None = None


class ToolChoice(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The one that must be called."""

    type: Literal["function"]
    name: Name


class Format(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """`name` and `schema` go with the type "json_schema"."""

    type: Literal["text", "json_object", "json_schema"]
    name: Name | None = None
    schema: dict[str, Any] | None = None
    description: str | None = None
    strict: bool | None = None


class TextSetting(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """How the answer is to look."""

    format: Format | None = None
    verbosity: str | None = None


class ReasoningSetting(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """How much the model is to think; what it thinks is shown whole, where its engine tells that apart."""

    effort: str | None = None
    summary: Literal["auto"] | None = None


class StreamOptions(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """How a stream is to be sent."""

    include_obfuscation: Literal[False] | None = None


class ResponsesRequest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The body."""

    model: Name
    # Messages may leave their type out, so that items are decoded one by one.
    input: Name | Annotated[list[dict[str, Any]], Meta(min_length=1)]
    instructions: str | None = None
    previous_response_id: Name | None = None
    store: bool | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_output_tokens: TokenLimit | None = None
    temperature: Temperature | None = None
    top_p: Probability | None = None
    tools: list[Tool] | None = None
    tool_choice: Literal["auto", "none", "required"] | ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    text: TextSetting | None = None
    reasoning: ReasoningSetting | None = None
    # Reasoning is not shown to models again, so there is nothing to encrypt.
    include: list[Literal["reasoning.encrypted_content"]] | None = None
    # Notes of the caller's own, without effect; the last two say which requests belong together.
    metadata: Annotated[dict[str, Annotated[str, Meta(max_length=512)]], Meta(max_length=16)] | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    user: str | None = None
    # From here on only what asks for nothing is let through: see NEUTRAL.
    background: bool | None = None
    conversation: str | dict[str, Any] | None = None
    max_tool_calls: int | None = None
    prompt: dict[str, Any] | None = None
    service_tier: str | None = None
    top_logprobs: int | None = None
    truncation: str | None = None

    @property
    def is_kept(self) -> bool:
        """As at OpenAI: unless the caller says otherwise."""
        return self.store is not False
