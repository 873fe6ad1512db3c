"""Who may make an account for themselves, and what is done with it."""

from django.conf import settings
from django.db import models
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from accounts.errors import InvitationGone
from accounts.invitations import brought, use
from accounts.models import User
from audit.models import Door
from audit.recording import actor_of, record


class SignUp(models.TextChoices):
    """settings.SIGN_UP."""

    OPEN = "open", _("open")
    INVITATION = "invitation", _("by invitation")
    CLOSED = "closed", _("closed")


def may_sign_up(request: HttpRequest) -> bool:
    match settings.SIGN_UP:
        case SignUp.OPEN:
            return True
        case SignUp.INVITATION:
            return brought(request) is not None
    return False


def welcome(request: HttpRequest, user: User) -> None:
    """The new account gets what its invitation says. Within the transaction that makes the account.

    Raises InvitationGone when somebody else was faster.
    """
    invitation = brought(request)
    if invitation:
        User.objects.filter(pk=user.pk).update(team=invitation.team)
        user.team = invitation.team
        if not use(request, invitation, user):
            raise InvitationGone
    after = {"username": user.get_username(), "team": str(user.team or ""), "invitation": str(invitation or "")}
    record(actor_of(request, Door.SIGN_IN), "signed up", user, after=after)
