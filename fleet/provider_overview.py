"""How the providers are, on plain values, as far as the last probe knows."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Prefetch
from django.utils.translation import pgettext

from fleet.badges import Badge
from fleet.models import Provider, ProviderFailure, ProviderModel


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A model that a provider answers for."""

    model: str
    """The name that callers use."""
    upstream_name: str
    provider_id: int
    provider: str
    badge: Badge
    """Of the provider."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderView:
    """`failure` is a ProviderFailure, or nothing; `detail` the provider's own words."""

    provider_id: int
    name: str
    is_enabled: bool
    models: tuple[tuple[str, str], ...]
    """The name that callers use and the provider's own, of each model that gets requests."""
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
    def badge(self) -> Badge:
        return Badge(text=self.state, tone=self.tone)

    @property
    def offers(self) -> tuple[Offer, ...]:
        """Empty while it is disabled."""
        return tuple(
            Offer(model=ours, upstream_name=theirs, provider_id=self.provider_id, provider=self.name, badge=self.badge)
            for ours, theirs in (self.models if self.is_enabled else ())
        )

    @property
    def explanation(self) -> str:
        """What is wrong, in a sentence without its end."""
        return str(ProviderFailure(self.failure).label) if self.failure else ""


def read_providers() -> tuple[ProviderView, ...]:
    """Two queries; no secret is read."""
    enabled = ProviderModel.objects.filter(is_enabled=True).select_related("model")
    return tuple(
        provider_view(provider, [(offer.model.name, offer.upstream_name) for offer in provider.enabled])
        for provider in Provider.objects.defer("credential").prefetch_related(
            Prefetch("models", enabled, to_attr="enabled")
        )
    )


def provider_view(provider: Provider, models: Iterable[tuple[str, str]] = ()) -> ProviderView:
    return ProviderView(
        provider_id=provider.pk,
        name=provider.name,
        is_enabled=provider.is_enabled,
        models=tuple(models),
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
