"""What callers of /v1/responses asked to keep."""

from datetime import timedelta
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.utils.timezone import now


class StoredResponseQuerySet(models.QuerySet["StoredResponse"]):
    def expired(self) -> "StoredResponseQuerySet":
        """Kept for as long as settings.RESPONSES_KEEP_DAYS allows."""
        return self.filter(created_at__lt=now() - timedelta(days=settings.RESPONSES_KEEP_DAYS))

    def beyond_limit(self, owner_id: int) -> "StoredResponseQuerySet":
        """The oldest of an owner who has more than settings.RESPONSES_KEEP_NUM."""
        kept = self.filter(owner_id=owner_id).order_by("-created_at").values("pk")
        return self.filter(pk__in=list(kept.values_list("pk", flat=True)[settings.RESPONSES_KEEP_NUM :][:100]))


class StoredResponse(models.Model):
    """A response, and the conversation up to it, which a later one may go on with.

    Both as JSON text: a database's own JSON type refuses some of what people may write.
    """

    id = models.CharField(primary_key=True, max_length=64)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    body = models.BinaryField()
    messages = models.BinaryField()

    objects = StoredResponseQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-created_at"]
        indexes: ClassVar = [
            models.Index(fields=["owner", "-created_at"], name="gateway_response_by_owner"),
            models.Index(fields=["created_at"], name="gateway_response_by_age"),
        ]

    def __str__(self) -> str:
        return self.id
