"""Budgets of which much is used."""

from datetime import datetime, time
from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils.timezone import get_current_timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.models import Team, User
from gateway.limit_words import limit_in_words
from gateway.models.api_key import APIKey


class BudgetWarningQuerySet(models.QuerySet["BudgetWarning"]):
    def seen_by(self, user: User) -> "BudgetWarningQuerySet":
        """Of that person's keys, and of the team that the keys and the person belong to."""
        own = APIKey.objects.filter(owner=user)
        return self.filter(Q(key__in=own) | Q(team__in=own.exclude(team=None).values("team")) | Q(team=user.team_id))

    def worst(self) -> list["BudgetWarning"]:
        """The last of each budget, the fullest first."""
        rows = self.select_related("key__owner", "team").order_by("-percent", "bucket")
        found: dict[str, BudgetWarning] = {}
        for row in rows:
            found.setdefault(row.bucket, row)
        return list(found.values())


class BudgetWarning(models.Model):
    """So much of a budget was used in the period that runs. The row goes when that is true no longer."""

    bucket = models.CharField(max_length=80)
    """Of the limit, see gateway/limits.py."""
    key = models.ForeignKey(APIKey, models.CASCADE, null=True, related_name="budget_warnings")
    team = models.ForeignKey(Team, models.CASCADE, null=True, related_name="budget_warnings")
    measure = models.CharField(max_length=10)
    span = models.CharField(max_length=10)
    period = models.DateField()
    """Its first day."""
    ends_on = models.DateField()
    """The first day of the next one."""
    percent = models.PositiveSmallIntegerField()
    amount = models.FloatField()
    """Of the budget."""
    created_at = models.DateTimeField(auto_now_add=True)
    mailed_at = models.DateTimeField(null=True)

    objects = BudgetWarningQuerySet.as_manager()

    class Meta:
        verbose_name = _("budget warning")
        verbose_name_plural = _("budget warnings")
        ordering: ClassVar = ["-created_at"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["bucket", "period", "percent"], name="one_warning_for_each_step")
        ]

    def __str__(self) -> str:
        return f"{self.bucket} {self.percent} %"

    @property
    def is_used_up(self) -> bool:
        return self.percent >= 100

    @property
    def whose(self) -> str:
        if self.key:
            return gettext("the key “%(name)s” of %(owner)s") % {"name": self.key.name, "owner": self.key.owner}
        return gettext("the team “%(name)s”") % {"name": self.team}

    @property
    def title(self) -> str:
        """`80 % of 1,000 tokens a month of the key “nightly” of ada are used`."""
        given = {"percent": self.percent, "budget": self.budget, "whose": self.whose}
        return gettext("%(percent)s %% of the budget of %(whose)s are used: %(budget)s") % given

    @property
    def budget(self) -> str:
        return limit_in_words(self.measure, self.span, self.amount)

    @property
    def begins_anew_at(self) -> datetime:
        return datetime.combine(self.ends_on, time.min, get_current_timezone())
