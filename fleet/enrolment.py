"""How a machine becomes a worker: it trades the join token that an administrator issued for its own credential."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import transaction
from django.utils.timezone import now

from fleet.addresses import PinnedAddress, is_within, pin_for
from fleet.errors import JoinTokenRefused
from fleet.models import Cause, JoinToken, JoinTokenState, Transition, Worker
from protocol.codec import to_builtins
from protocol.control import Enrolled, Enrolment
from protocol.tokens import TokenKind, hash_token, is_well_formed, make_token, token_hint

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser

logger = logging.getLogger(__name__)


THIS_MACHINE = "127.0.0.1"
_UNUSABLE = {
    JoinTokenState.REVOKED: "was revoked",
    JoinTokenState.EXPIRED: "has expired",
    JoinTokenState.USED_UP: "is used up",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """Under which a machine may join."""

    networks: Sequence[str] = ()
    """From where the token may be used; empty: from anywhere."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """What the worker gets."""
    needs_approval: bool = False
    """Whether it runs nothing before an administrator has approved it."""


def issue_join_token(
    name: str,
    *,
    lifetime: timedelta,
    max_uses: int | None,
    created_by: "AbstractBaseUser | None",
    terms: Terms = Terms(),
) -> tuple[JoinToken, str]:
    """A new join token and its text, which is shown this once. `max_uses` None: as often as wanted until it expires."""
    text = make_token(TokenKind.JOIN_TOKEN)
    token = JoinToken.objects.create(
        name=name,
        token_hash=hash_token(text),
        hint=token_hint(text),
        expires_at=now() + lifetime,
        max_uses=max_uses,
        networks=list(terms.networks),
        labels=dict(terms.labels),
        needs_approval=terms.needs_approval,
        created_by_id=created_by.pk if created_by else None,
    )
    return token, text


def usable_join_token(text: str, peer: str = THIS_MACHINE) -> JoinToken:
    """The row of this token, which `peer`, an IP address, shows. Raises JoinTokenRefused, which says why."""
    if not is_well_formed(text, TokenKind.JOIN_TOKEN):
        raise JoinTokenRefused("This is not a join token. Issue one in the admin and paste it whole.")
    token = JoinToken.objects.filter(token_hash=hash_token(text)).first()
    if token is None:
        raise JoinTokenRefused("This join token is unknown here. Issue one in the admin of this server.")
    if why := _UNUSABLE.get(token.state):
        raise JoinTokenRefused(f"The join token “{token.name}” {why}. Issue another one in the admin.")
    if token.networks and not is_within(peer, token.networks):
        allowed = ", ".join(token.networks)
        raise JoinTokenRefused(f"The join token “{token.name}” may be used from {allowed} only, not from {peer}.")
    return token


def enrol(token_text: str, enrolment: Enrolment, *, peer: str = THIS_MACHINE) -> Enrolled:
    """The new worker's id and credential, against one use of the token. `peer`: the IP address that asks.

    Raises JoinTokenRefused, AddressRefused.
    """
    token = usable_join_token(token_text, peer)
    address = pin_for(peer, enrolment.address, settings.WORKER_NETWORKS)
    credential = make_token(TokenKind.WORKER_CREDENTIAL)
    with transaction.atomic():
        if not JoinToken.objects.filter(pk=token.pk).take_use():
            raise JoinTokenRefused(f"The join token “{token.name}” is used up. Issue another one in the admin.")
        worker = _make_worker(enrolment, token=token, address=address, credential=credential)
        Transition.objects.note(worker, "", worker.state, Cause.JOINED, detail=token.name)
    logger.info("%s joined from %s with the join token “%s”.", worker.name, worker.address, token.name)
    return Enrolled(
        worker_id=str(worker.pk),
        credential=credential,
        heartbeat_interval_s=settings.HEARTBEAT_INTERVAL.total_seconds(),
    )


def _make_worker(enrolment: Enrolment, *, token: JoinToken, address: PinnedAddress, credential: str) -> Worker:
    return Worker.objects.create(
        name=enrolment.name,
        address=address.url,
        pinned_ip=address.ip,
        credential_hash=hash_token(credential),
        gateway_secret=enrolment.gateway_secret,
        join_token=token,
        labels=token.labels,
        awaits_approval=token.needs_approval,
        hardware=to_builtins(enrolment.hardware),
        certificate_sha256=enrolment.certificate_sha256,
        software_version=enrolment.software_version,
    )
