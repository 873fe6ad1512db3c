"""How to talk to a provider: its row and its kind's preset, made into what a request needs. The key is in here."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from fleet.models import Provider
from fleet.provider_presets import PRESETS, Dialect, Preset


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderAccess:
    """Immutable, and silent about its secrets when printed."""

    provider_id: int
    name: str
    dialect: Dialect
    base_url: str
    """Without a slash at its end."""
    query: str
    """What follows the question mark of each address; may be empty."""
    headers: Mapping[str, str] = field(repr=False)
    """The credential's among them."""
    credential: str = field(repr=False)
    ca_certificate: str
    """In PEM; empty: the public ones count."""
    can_ask_for_usage: bool
    max_requests_per_minute: int | None
    max_tokens_per_minute: int | None

    @property
    def is_encrypted(self) -> bool:
        return self.base_url.startswith("https:")

    def url(self, path: str) -> str:
        """Of a path such as /models, which may have a query of its own."""
        return self.base_url + path + (f"{'&' if '?' in path else '?'}{self.query}" if self.query else "")

    def redacted(self, text: str) -> str:
        """The text without our key: some providers quote it in their refusals."""
        return text.replace(self.credential, "[redacted]") if self.credential else text


@dataclass(frozen=True, slots=True, kw_only=True)
class HostedModel:
    """A model there."""

    access: ProviderAccess
    name: str
    """As the provider calls it."""
    max_output_tokens: int
    """For dialects in which an answer must have a limit."""


def access_to(provider: Provider) -> ProviderAccess:
    preset = PRESETS[provider.kind]
    version = provider.api_version or preset.api_version
    return ProviderAccess(
        provider_id=provider.pk,
        name=provider.name,
        dialect=preset.dialect,
        base_url=(provider.base_url or preset.base_url).rstrip("/"),
        query=f"api-version={version}" if version and not preset.version_header else "",
        headers=_headers(provider, preset, version),
        credential=provider.credential,
        ca_certificate=provider.ca_certificate,
        can_ask_for_usage=preset.can_ask_for_usage,
        max_requests_per_minute=provider.max_requests_per_minute,
        max_tokens_per_minute=provider.max_tokens_per_minute,
    )


def _headers(provider: Provider, preset: Preset, version: str) -> dict[str, str]:
    headers = {str(name): str(value) for name, value in provider.headers.items()}
    if provider.credential:
        headers[preset.key_header] = preset.key_prefix + provider.credential
    if preset.version_header and version:
        headers[preset.version_header] = version
    return headers
