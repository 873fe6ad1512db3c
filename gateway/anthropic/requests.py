"""A request of Anthropic's Messages API, as types. What is no field here is refused by name."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from gateway.openai.parameters import Name, Probability, StopString, TokenLimit

Notes = dict[str, Any]
"""Hints for Anthropic's own servers, without effect: engines here find by themselves what they have in a cache."""


class Text(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, tag="text"):
    """A piece of text."""

    text: str
    cache_control: Notes | None = None
    citations: list[Any] | None = None


class InlineImage(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, tag="base64"):
    """The bytes of a picture."""

    media_type: Literal["image/jpeg", "image/png", "image/gif", "image/webp"]
    data: str


class LinkedImage(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, tag="url"):
    """Where a picture is."""

    url: str


class Image(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, tag="image"):
    """A picture, for models that see."""

    source: InlineImage | LinkedImage
    cache_control: Notes | None = None


class ToolUse(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, tag="tool_use"):
    """A call that the model made earlier."""

    id: Name
    name: Name
    input: dict[str, Any]
    cache_control: Notes | None = None
    caller: Notes | None = None


class ToolResult(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, tag="tool_result"):
    """What came of a call."""

    tool_use_id: Name
    content: str | list[Text | Image] = ""
    is_error: bool = False
    cache_control: Notes | None = None


class Thinking(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, tag="thinking"):
    """What the model thought before an earlier answer. Models here are not shown it again."""

    thinking: str
    signature: str = ""


class HiddenThinking(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, tag="redacted_thinking"):
    """The same, encrypted by Anthropic."""

    data: str


Block = Text | Image | ToolUse | ToolResult | Thinking | HiddenThinking


class Turn(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """One message."""

    role: Literal["user", "assistant"]
    content: str | list[Block]


class Tool(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A function that the caller runs. Tools that run at Anthropic have other types, and are refused."""

    name: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]
    input_schema: dict[str, Any]
    type: Literal["custom"] | None = None
    description: str | None = None
    strict: bool | None = None
    cache_control: Notes | None = None
    eager_input_streaming: bool | None = None


class ToolChoice(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """`name` goes with the type "tool"."""

    type: Literal["auto", "any", "tool", "none"]
    name: Name | None = None
    disable_parallel_tool_use: bool | None = None


class ThinkingSetting(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Whether to show what the model thinks. How much it thinks is its own matter."""

    type: Literal["enabled", "disabled", "adaptive"]
    budget_tokens: TokenLimit | None = None
    display: Literal["summarized", "omitted"] | None = None

    @property
    def is_shown(self) -> bool:
        return self.type != "disabled" and self.display != "omitted"


class Format(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """JSON that follows a schema."""

    type: Literal["json_schema"]
    schema: dict[str, Any]


class OutputConfig(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """How the answer is to look."""

    format: Format | None = None
    effort: str | None = None


class Metadata(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """On whose behalf the caller asks."""

    user_id: str | None = None


class Conversation(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What the model is shown: the body of /v1/messages/count_tokens."""

    model: Name
    messages: Annotated[list[Turn], Meta(min_length=1)]
    system: str | list[Text] | None = None
    tools: list[Tool] | None = None
    tool_choice: ToolChoice | None = None
    thinking: ThinkingSetting | None = None
    output_config: OutputConfig | None = None
    cache_control: Notes | None = None


class MessagesRequest(Conversation, kw_only=True):
    """The body of /v1/messages."""

    max_tokens: TokenLimit
    stream: bool | None = None
    temperature: Probability | None = None
    top_p: Probability | None = None
    top_k: Annotated[int, Meta(ge=1)] | None = None
    stop_sequences: Annotated[list[StopString], Meta(max_length=4)] | None = None
    metadata: Metadata | None = None
    service_tier: Literal["auto", "standard_only"] | None = None
