"""Providers and what they offer, as text and as values."""

from collections.abc import Sequence
from typing import Any

from fleet.management.tables import paragraph, table
from fleet.models import Provider, ProviderModel
from fleet.provider_overview import provider_view


def providers_text(providers: Sequence[Provider], offers: Sequence[ProviderModel]) -> str:
    lines = [table(("PROVIDER", "KIND", "STATE", "KEY", "BASE URL"), [_provider_row(one) for one in providers])]
    lines += [paragraph(f"{one}: {one.probe_detail}") for one in providers if one.probe_detail]
    if offers:
        lines += [
            "",
            table(("MODEL", "PROVIDER", "NAME THERE", "IN", "CACHED", "OUT"), [_offer_row(o) for o in offers]),
        ]
    return "\n".join(lines)


def provider_values(providers: Sequence[Provider], offers: Sequence[ProviderModel]) -> list[dict[str, Any]]:
    return [
        {
            "id": provider.pk,
            "name": provider.name,
            "kind": provider.kind,
            "base_url": provider.base_url,
            "has_key": bool(provider.credential),
            "enabled": provider.is_enabled,
            "failure": provider.probe_failure,
            "detail": provider.probe_detail,
            "models": [_offer_values(offer) for offer in offers if offer.provider_id == provider.pk],
        }
        for provider in providers
    ]


def _offer_values(offer: ProviderModel) -> dict[str, Any]:
    prices = {name: getattr(offer, name) for name in ("input_price", "cached_input_price", "output_price")}
    return {
        "id": str(offer.pk),
        "model": offer.model.name,
        "upstream_name": offer.upstream_name,
        "enabled": offer.is_enabled,
        **{name: str(price) if price is not None else None for name, price in prices.items()},
    }


def _provider_row(provider: Provider) -> tuple[object, ...]:
    has_key = "set" if provider.credential else "none"
    return provider.name, provider.kind, provider_view(provider).state, has_key, provider.base_url or "the usual one"


def _offer_row(offer: ProviderModel) -> tuple[object, ...]:
    prices = (offer.input_price, offer.cached_input_price, offer.output_price)
    shown = (f"{price.normalize():f}" if price is not None else "–" for price in prices)
    return offer.model.name, offer.provider.name, offer.upstream_name, *shown
