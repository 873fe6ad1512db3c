"""What is known of each kind of provider: where its API is, which dialect it speaks, how it wants to see the key."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from fleet.models import ProviderKind


class Dialect(StrEnum):
    """The words of a provider's API."""

    OPENAI = "openai"
    ANTHROPIC = "anthropic"


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    base_url: str = ""
    """Empty: the administrator must say."""
    dialect: Dialect = Dialect.OPENAI
    key_header: str = "Authorization"
    key_prefix: str = "Bearer "
    version_header: str = ""
    """Carries the API version; empty: the query does, as `api-version`."""
    api_version: str = ""
    can_ask_for_usage: bool = True
    """Whether `stream_options` is known there. Who does not know it sends the usage anyway."""


PRESETS: Mapping[str, Preset] = {
    ProviderKind.OPENAI: Preset(base_url="https://api.openai.com/v1"),
    ProviderKind.ANTHROPIC: Preset(
        base_url="https://api.anthropic.com/v1",
        dialect=Dialect.ANTHROPIC,
        key_header="x-api-key",
        key_prefix="",
        version_header="anthropic-version",
        api_version="2023-06-01",
    ),
    # https://RESOURCE.openai.azure.com/openai/v1, each customer's own.
    ProviderKind.AZURE: Preset(key_header="api-key", key_prefix=""),
    ProviderKind.DASHSCOPE: Preset(base_url="https://dashscope.aliyuncs.com/compatible-mode/v1"),
    ProviderKind.DEEPSEEK: Preset(base_url="https://api.deepseek.com/v1"),
    ProviderKind.GEMINI: Preset(base_url="https://generativelanguage.googleapis.com/v1beta/openai"),
    ProviderKind.MISTRAL: Preset(base_url="https://api.mistral.ai/v1", can_ask_for_usage=False),
    ProviderKind.OPENROUTER: Preset(base_url="https://openrouter.ai/api/v1"),
    ProviderKind.FLOTILLA: Preset(),
    ProviderKind.OTHER: Preset(),
}
