"""What every call cost."""

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.db.models.functions import Coalesce
from django.utils.translation import gettext_lazy as _

from gateway.models.content_policy import ContentAction, ContentDirection


class UsageState(models.TextChoices):
    """How a request ended. Written once, with the record; nothing moves it afterwards."""

    COMPLETE = "complete", _("complete")
    CUT_BY_CLIENT = "cut_by_client", _("cut by the client")
    CUT_BY_UPSTREAM = "cut_by_upstream", _("cut by the worker")
    CUT_BY_SERVER = "cut_by_server", _("cut by the server")
    FAILED = "failed", _("failed")
    REFUSED = "refused", _("refused")


class CountSource(models.TextChoices):
    """Who counted the tokens."""

    ENGINE = "engine", _("engine")
    ESTIMATED = "estimated", _("estimated")
    NONE = "none", _("none")


class UsageRecord(models.Model):
    """One authenticated request for inference, however it ended.

    Names are copied in, so that the record outlives the key, the user and the model. No foreign keys: rows come from
    the journal, possibly after what they speak of was deleted.
    """

    request_id = models.CharField(_("request"), max_length=64, unique=True)
    created_at = models.DateTimeField(_("time"), db_index=True)
    user_id = models.BigIntegerField(null=True, db_index=True)
    user_name = models.CharField(_("user"), max_length=150, blank=True)
    key_id = models.BigIntegerField(null=True, db_index=True)
    key_name = models.CharField(_("key"), max_length=150, blank=True)
    team_id = models.BigIntegerField(null=True)
    model = models.CharField(_("model"), max_length=100, blank=True)
    """The one that was asked last: it served the request, if anybody did."""
    requested_model = models.CharField(_("requested as"), max_length=100, blank=True)
    """The name that the caller wrote, which may be a route's."""
    endpoint = models.CharField(_("endpoint"), max_length=40)
    is_stream = models.BooleanField(_("stream"), default=False)
    worker_name = models.CharField(_("worker"), max_length=100, blank=True)
    replica_id = models.CharField(max_length=36, blank=True)
    state = models.CharField(_("state"), max_length=16, choices=UsageState)
    count_source = models.CharField(_("counted by"), max_length=16, choices=CountSource)
    prompt_tokens = models.PositiveIntegerField(_("prompt tokens"), default=0)
    completion_tokens = models.PositiveIntegerField(_("completion tokens"), default=0)
    cached_tokens = models.PositiveIntegerField(_("of the prompt, cached"), default=0)
    reasoning_tokens = models.PositiveIntegerField(_("of the completion, reasoning"), default=0)
    status_code = models.PositiveSmallIntegerField(_("status"), default=0)
    error_code = models.CharField(_("error"), max_length=64, blank=True)
    time_to_first_token_ms = models.FloatField(_("time to first token (ms)"), null=True)
    duration_ms = models.FloatField(_("duration (ms)"), default=0)
    queue_ms = models.FloatField(_("waited for its turn (ms)"), default=0)
    """Part of the duration."""
    input_price = models.DecimalField(_("price of input"), max_digits=12, decimal_places=6, null=True)
    cached_input_price = models.DecimalField(_("price of cached input"), max_digits=12, decimal_places=6, null=True)
    output_price = models.DecimalField(_("price of output"), max_digits=12, decimal_places=6, null=True)
    """For a million tokens, as they were then."""
    cost = models.DecimalField(_("cost"), max_digits=20, decimal_places=12, null=True)
    """None: no price was known."""
    num_attempts = models.PositiveIntegerField(_("replicas asked"), default=1)
    """How often: more than once where one failed before its first byte, had no room, or died in the middle; 0 where the
    request was refused before."""
    content_policy = models.CharField(_("content policy"), max_length=60, blank=True)
    """The one that refused the request, else the first that marked it."""
    content_action = models.CharField(_("what it did"), max_length=8, choices=ContentAction, blank=True)
    content_direction = models.CharField(_("found in the"), max_length=8, choices=ContentDirection, blank=True)
    content_text = models.CharField(_("what was found"), max_length=500, blank=True)
    """Only where the policy says to keep it."""

    class Meta:
        verbose_name = _("usage record")
        verbose_name_plural = _("usage records")
        ordering: ClassVar = ["-created_at"]
        indexes: ClassVar = [
            models.Index(fields=["user_id", "created_at"], name="usage_user_time"),
            # Few records have one: to list those must not read all others.
            models.Index(
                fields=["content_policy", "created_at"], name="usage_content_policy", condition=~Q(content_policy="")
            ),
        ]

    def __str__(self) -> str:
        return self.request_id


class UsageHour(models.Model):
    """The records of one hour, summed. Reports read these; a task recomputes the hours that may have changed."""

    hour = models.DateTimeField(_("hour"))
    user_id = models.BigIntegerField(null=True)
    user_name = models.CharField(_("user"), max_length=150, blank=True)
    key_id = models.BigIntegerField(null=True)
    key_name = models.CharField(_("key"), max_length=150, blank=True)
    team_id = models.BigIntegerField(null=True)
    """The last one, of a key that moved to another within the hour."""
    model = models.CharField(_("model"), max_length=100, blank=True)
    num_requests = models.PositiveIntegerField(_("requests"))
    num_failed = models.PositiveIntegerField(_("failed"))
    """Requests that ended neither complete nor cut by the client."""
    prompt_tokens = models.PositiveBigIntegerField(_("prompt tokens"))
    completion_tokens = models.PositiveBigIntegerField(_("completion tokens"))
    cached_tokens = models.PositiveBigIntegerField(_("of the prompt, cached"), default=0)
    reasoning_tokens = models.PositiveBigIntegerField(_("of the completion, reasoning"), default=0)
    cost = models.DecimalField(_("cost"), max_digits=20, decimal_places=12, default=0)

    class Meta:
        verbose_name = _("usage by the hour")
        verbose_name_plural = _("usage by the hour")
        ordering: ClassVar = ["-hour"]
        constraints: ClassVar = [
            # Two tasks that roll up at once must not count an hour twice: the second one fails and changes nothing.
            models.UniqueConstraint(
                "hour", Coalesce("user_id", -1), Coalesce("key_id", -1), "model", name="one_sum_for_each_hour"
            )
        ]
        indexes: ClassVar = [
            models.Index(fields=["hour"], name="usage_hour"),
            models.Index(fields=["user_id", "hour"], name="usage_hour_user"),
        ]

    def __str__(self) -> str:
        return f"{self.hour:%Y-%m-%d %H} {self.user_name} {self.model}"
