"""How the providers are, on plain values, as far as the last probe knows."""

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, Q
from django.utils.translation import pgettext

from fleet.models import Provider, ProviderFailure


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderView:
    """`failure` is a ProviderFailure, or nothing; `detail` the provider's own words."""

    provider_id: int
    name: str
    is_enabled: bool
    num_models: int
    """That get requests."""
    probed_at: datetime | None
    failure: str
    detail: str

    @property
    def state(self) -> str:
        """In a word or two, for a badge; `tone` is its colour's meaning."""
        if not self.is_enabled:
            return pgettext("provider", "disabled")
        if self.failure:
            return _failure_words()[self.failure]
        return pgettext("provider", "answers") if self.probed_at else pgettext("provider", "not asked yet")

    @property
    def tone(self) -> str:
        if not self.is_enabled or not (self.probed_at or self.failure):
            return "neutral"
        return "danger" if self.failure else "success"

    @property
    def explanation(self) -> str:
        """What is wrong, in a sentence without its end."""
        return str(ProviderFailure(self.failure).label) if self.failure else ""


def read_providers() -> tuple[ProviderView, ...]:
    """One query; no secret is read."""
    enabled = Count("models", filter=Q(models__is_enabled=True))
    return tuple(map(provider_view, Provider.objects.defer("credential").annotate(num_models=enabled)))


def provider_view(provider: Provider) -> ProviderView:
    return ProviderView(
        provider_id=provider.pk,
        name=provider.name,
        is_enabled=provider.is_enabled,
        num_models=getattr(provider, "num_models", 0),
        probed_at=provider.probed_at,
        failure=provider.probe_failure,
        detail=provider.probe_detail,
    )


def _failure_words() -> dict[str, str]:
    return {
        ProviderFailure.UNREACHABLE: pgettext("provider", "unreachable"),
        ProviderFailure.REFUSED: pgettext("provider", "refuses the key"),
        ProviderFailure.FAILED: pgettext("provider", "fails"),
    }
