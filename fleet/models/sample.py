"""How busy a worker was, minute by minute."""

from typing import ClassVar

from django.db import models

from fleet.models.worker import Worker


class Sample(models.Model):
    """One worker at its first heartbeat of a minute. Written once, pruned after an hour."""

    worker = models.ForeignKey(Worker, models.CASCADE, related_name="samples")
    minute = models.DateTimeField()
    """Its beginning."""
    num_running = models.PositiveIntegerField()
    num_waiting = models.PositiveIntegerField()
    memory_share = models.FloatField(null=True)
    utilization = models.FloatField(null=True)
    """Both 0 to 1, as in fleet.capacity; None where nobody can tell."""

    class Meta:
        ordering: ClassVar = ["minute"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["worker", "minute"], name="one_sample_a_minute_of_a_worker")
        ]

    def __str__(self) -> str:
        return f"{self.worker} @ {self.minute:%H:%M}"
