"""What was used of limits, where no Redis keeps it."""

from typing import ClassVar

from django.db import models


class Allowance(models.Model):
    """One limit's entries, see gateway/limits.py: `{label: [amount, until]}`."""

    bucket = models.CharField(max_length=80, primary_key=True)
    entries = models.JSONField(default=dict)
    expires_at = models.FloatField(default=0, db_index=True)
    """When the last entry counts no longer, in seconds since the epoch; the row may go then."""

    class Meta:
        ordering: ClassVar = ["bucket"]

    def __str__(self) -> str:
        return self.bucket
