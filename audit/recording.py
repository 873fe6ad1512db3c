"""The one way into the audit log."""

import time
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Any

from django.core.cache import cache
from django.db.models import Model
from django.http import HttpRequest
from django.utils.text import slugify

from audit.models import AuditEntry, Door
from audit.states import State, difference

MOST_OF_A_NETWORK, MOST_OF_ALL = 10, 200
"""Entries a minute that `record_braked` writes."""
_REMEMBERED_S = 24 * 3600
_LONGEST_NAME, _LONGEST_ACT, _LONGEST_ADDRESS = 200, 200, 45


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Who acts, by which door and from where."""

    door: Door
    name: str
    user_id: int | None = None
    address: str = ""


def actor_of(request: HttpRequest, door: Door) -> Actor:
    """Behind a proxy the address is what the web server believes of X-Forwarded-For."""
    user: Any = request.user
    name = user.get_username() if user and user.is_authenticated else ""
    return Actor(door=door, name=name, user_id=user.pk if user else None, address=request.META.get("REMOTE_ADDR", ""))


def record_braked(actor: Actor, act: str, row: Model | None = None) -> None:
    """As `record`, for what anybody may do as often as they like: so many entries a minute from one network, and so
    many in all; the rest is counted, and the network's next entry says how many there were."""
    minute, network = int(time.time() // 60), _network(actor.address)
    # Caches know no names with spaces.
    kind = slugify(act)
    left_out = f"audit:left-out:{kind}:{network}"
    is_beyond = _counted(f"audit:{kind}:{minute}:{network}") > MOST_OF_A_NETWORK
    if is_beyond or _counted(f"audit:{kind}:{minute}") > MOST_OF_ALL:
        _counted(left_out, _REMEMBERED_S)
        return
    missing = cache.get(left_out, 0)
    cache.delete(left_out)
    record(actor, act, row, after={"entries left out before": missing} if missing else {})


def _counted(name: str, kept_s: int = 120) -> int:
    """One more; how many there are now."""
    cache.add(name, 0, kept_s)
    try:
        return int(cache.incr(name))
    except ValueError:
        # It expired between the two.
        return 1


def _network(address: str) -> str:
    """Who has an IPv6 address has 2^64 of them."""
    try:
        found = ip_address(address)
    except ValueError:
        return ""
    return str(found if found.version == 4 else ip_network((found, 64), strict=False))


def record(actor: Actor, act: str, row: Model | None = None, *, before: State = {}, after: State = {}) -> None:  # noqa: B006
    """One entry. Of the states, only what differs is kept."""
    changed_from, changed_to = difference(before, after)
    AuditEntry.objects.create(
        actor_id=actor.user_id,
        actor_name=actor.name[:150],
        door=actor.door,
        act=act[:_LONGEST_ACT],
        object_kind=row._meta.label_lower if row else "",
        object_id=str(row.pk) if row and row.pk else "",
        object_name=str(row)[:_LONGEST_NAME] if row else "",
        before=changed_from,
        after=changed_to,
        address=actor.address[:_LONGEST_ADDRESS],
    )
