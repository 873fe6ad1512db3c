"""People, the teams they belong to, and how they got in."""

from collections.abc import Iterable
from typing import ClassVar

from django.conf import settings
from django.contrib.auth.models import AbstractUser
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils.crypto import get_random_string
from django.utils.timezone import now
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.limits import Limited


class Team(Limited):
    """People who share a claim on the models; its limits are for all of them together."""

    name = models.CharField(_("name"), max_length=100, unique=True)
    weight = models.PositiveSmallIntegerField(
        _("weight"),
        default=1,
        validators=[MinValueValidator(1), MaxValueValidator(100)],
        help_text=_(
            "When requests must wait, each key of a team of weight 3 gets three times the turns of a key of weight 1. "
            "People without a team have weight 1."
        ),
    )

    class Meta:
        verbose_name = _("team")
        verbose_name_plural = _("teams")
        ordering: ClassVar = ["name"]

    def __str__(self) -> str:
        return self.name


class TeamRole(models.TextChoices):
    """What somebody may do in their team."""

    MEMBER = "member", _("member")
    MANAGER = "manager", _("manager")


class User(AbstractUser):
    """A person, or a service account: a program's owner of keys, as which nobody can sign in.

    Staff run the fleet; everybody else chats and holds keys.
    """

    team = models.ForeignKey(
        Team, models.SET_NULL, null=True, blank=True, related_name="members", verbose_name=_("team")
    )
    team_role = models.CharField(
        _("role in the team"),
        max_length=16,
        choices=TeamRole,
        default=TeamRole.MEMBER,
        help_text=_("Managers see what their team uses, and issue and disable its keys."),
    )
    is_service = models.BooleanField(
        _("service account"),
        default=False,
        help_text=_("Owns keys for programs. Nobody can sign in as it, whatever password it has."),
    )

    def check_password(self, raw_password: str | None) -> bool:
        return not self.is_service and super().check_password(raw_password)

    def get_session_auth_hash(self) -> str:
        """Of a service account another one each time, so that no session of it holds, however it was begun."""
        return get_random_string(64) if self.is_service else super().get_session_auth_hash()

    def get_session_auth_fallback_hash(self) -> Iterable[str]:
        return () if self.is_service else super().get_session_auth_fallback_hash()

    @property
    def manages_team(self) -> bool:
        return self.team_id is not None and self.team_role == TeamRole.MANAGER

    accepted_terms = models.ForeignKey(
        "Terms",
        models.SET_NULL,
        null=True,
        editable=False,
        related_name="accepted_by",
        verbose_name=_("accepted terms"),
    )
    accepted_terms_at = models.DateTimeField(_("accepted"), null=True, editable=False)

    @property
    def weight(self) -> int:
        """What a turn of theirs counts against one of others, when requests must wait."""
        return self.team.weight if self.team else 1


class InvitationQuerySet(models.QuerySet["Invitation"]):
    def usable(self) -> "InvitationQuerySet":
        """Neither used nor expired."""
        return self.filter(used_at=None, expires_at__gt=now())


class Invitation(models.Model):
    """Lets one person make an account. Only its hash is kept; the link is shown once. Withdrawn by deleting it."""

    name = models.CharField(_("for whom"), max_length=100)
    team = models.ForeignKey(Team, models.CASCADE, null=True, blank=True, verbose_name=_("team"))
    token_hash = models.CharField(max_length=64, unique=True, editable=False)
    hint = models.CharField(_("link"), max_length=40, editable=False)
    expires_at = models.DateTimeField(_("expires"))
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.SET_NULL,
        null=True,
        editable=False,
        related_name="invitations_made",
        verbose_name=_("issued by"),
    )
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    used_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.SET_NULL,
        null=True,
        editable=False,
        related_name="invitations_used",
        verbose_name=_("used by"),
    )
    used_at = models.DateTimeField(_("used"), null=True, editable=False)

    objects = InvitationQuerySet.as_manager()

    class Meta:
        verbose_name = _("invitation")
        verbose_name_plural = _("invitations")
        ordering: ClassVar = ["-created_at"]

    def __str__(self) -> str:
        return self.name


class Terms(models.Model):
    """A version of the terms of use. The newest is in force; without text it asks nothing. Never changed."""

    text = models.TextField(
        _("text"),
        blank=True,
        max_length=100_000,
        help_text=_(
            "Plain text; an empty line begins a paragraph. Everybody, you too, is asked to accept it before anything "
            "else works. Empty: nobody is asked any more."
        ),
    )
    published_at = models.DateTimeField(_("published"), auto_now_add=True)
    published_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, editable=False, related_name="+", verbose_name=_("by")
    )

    class Meta:
        verbose_name = _("terms of use")
        verbose_name_plural = _("terms of use")
        ordering: ClassVar = ["-pk"]

    def __str__(self) -> str:
        return gettext("Version %(number)s") % {"number": self.pk}


class WhoNeedsFactor(models.TextChoices):
    """Who may do nothing before they have a second factor."""

    NOBODY = "nobody", _("nobody: each as they like")
    STAFF = "staff", _("those who may enter the admin")
    EVERYBODY = "everybody", _("everybody")


class SignInRules(models.Model):
    """What administrators ask of all who sign in: one row, or none while nothing was decided."""

    second_factor_for = models.CharField(
        _("a second factor is asked of"),
        max_length=16,
        choices=WhoNeedsFactor,
        default=WhoNeedsFactor.NOBODY,
        help_text=_(
            "Who has none is led to the page where one is added, you too, and can do nothing else until then. Keys "
            "keep working."
        ),
    )

    class Meta:
        verbose_name = _("rules of signing in")
        verbose_name_plural = _("rules of signing in")

    def __str__(self) -> str:
        return gettext("Second factor: %(who)s") % {"who": self.get_second_factor_for_display()}

    def ask_for_factor(self, user: User) -> bool:
        match self.second_factor_for:
            case WhoNeedsFactor.EVERYBODY:
                return True
            case WhoNeedsFactor.STAFF:
                return user.is_staff
        return False
