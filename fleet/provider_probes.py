"""Whether providers answer and take our keys: asked every minute, since nobody reports for them."""

import asyncio
from collections.abc import Sequence

from django.utils.timezone import now

from fleet.errors import ProviderFault
from fleet.models import Provider
from fleet.provider_access import ProviderAccess, access_to
from fleet.provider_catalogue import fetch_catalogue

_MAX_AT_A_TIME = 32
_LONGEST_DETAIL = 300


def probe_providers() -> int:
    """Ask every enabled provider for its models; how many did not give them."""
    providers = list(Provider.objects.filter(is_enabled=True))
    faults = asyncio.run(_ask_all([access_to(provider) for provider in providers]))
    for provider, fault in zip(providers, faults, strict=True):
        note_probe(provider, fault)
    return sum(fault is not None for fault in faults)


def note_probe(provider: Provider, fault: ProviderFault | None) -> None:
    """What came of asking it; nothing, if the provider has been changed meanwhile."""
    failure, detail = (fault.failure, str(fault)[:_LONGEST_DETAIL]) if fault else ("", "")
    unchanged = Provider.objects.filter(pk=provider.pk, changed_at=provider.changed_at)
    unchanged.update(probed_at=now(), probe_failure=failure, probe_detail=detail)


async def _ask_all(accesses: Sequence[ProviderAccess]) -> list[ProviderFault | None]:
    turns = asyncio.Semaphore(_MAX_AT_A_TIME)
    return await asyncio.gather(*(_ask(access, turns) for access in accesses))


async def _ask(access: ProviderAccess, turns: asyncio.Semaphore) -> ProviderFault | None:
    async with turns:
        try:
            await fetch_catalogue(access)
        except ProviderFault as fault:
            return fault
    return None
