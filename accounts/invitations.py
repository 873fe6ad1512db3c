"""How a person whom nobody knows yet gets in: by a link that an administrator made, which is good once."""

from datetime import timedelta

from django.contrib.auth.models import AbstractUser
from django.http import HttpRequest
from django.utils.timezone import now

from accounts.models import Invitation, Team, User
from audit.models import Door
from audit.recording import actor_of, record
from audit.states import state_of
from protocol.tokens import TokenKind, hash_token, is_well_formed, make_token, token_hint

_SESSION_KEY = "invitation"


def invite(name: str, *, team: Team | None, lifetime: timedelta, created_by: AbstractUser) -> tuple[Invitation, str]:
    """A new invitation and its text, which is shown this once."""
    text = make_token(TokenKind.INVITATION)
    invitation = Invitation.objects.create(
        name=name,
        team=team,
        token_hash=hash_token(text),
        hint=token_hint(text),
        expires_at=now() + lifetime,
        created_by_id=created_by.pk,
    )
    return invitation, text


def bring(request: HttpRequest, text: str) -> Invitation | None:
    """The visitor came by the link of an invitation: it stays with them until they sign up. None: it is no good."""
    if not is_well_formed(text, TokenKind.INVITATION):
        return None
    invitation = Invitation.objects.usable().filter(token_hash=hash_token(text)).first()
    if invitation:
        request.session[_SESSION_KEY] = invitation.pk
    return invitation


def brought(request: HttpRequest) -> Invitation | None:
    """The invitation that this visitor came with, as long as it is good."""
    number = request.session.get(_SESSION_KEY)
    return Invitation.objects.usable().filter(pk=number).select_related("team").first() if number else None


def use(request: HttpRequest, invitation: Invitation, user: User) -> bool:
    """Whether it was still good: of two who race with one link, one gets in."""
    before = state_of(invitation)
    if not Invitation.objects.usable().filter(pk=invitation.pk).update(used_at=now(), used_by=user):
        return False
    request.session.pop(_SESSION_KEY, None)
    invitation.refresh_from_db()
    record(actor_of(request, Door.SIGN_IN), "used", invitation, before=before, after=state_of(invitation))
    return True
