"""People, and the teams they belong to."""

from typing import ClassVar

from django.contrib.auth.models import AbstractUser
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils.translation import gettext_lazy as _


class Team(models.Model):
    """People who share a claim on the models."""

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


class User(AbstractUser):
    """A person. Staff run the fleet; everybody else chats and holds keys."""

    team = models.ForeignKey(
        Team, models.SET_NULL, null=True, blank=True, related_name="members", verbose_name=_("team")
    )

    @property
    def weight(self) -> int:
        """What a turn of theirs counts against one of others, when requests must wait."""
        return self.team.weight if self.team else 1
