"""Conversations, and their messages as a tree of rows: a regenerated answer is a sibling, nothing is overwritten."""

import uuid
from datetime import timedelta
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.utils.timezone import now
from django.utils.translation import gettext_lazy as _

ABANDONED_AFTER = timedelta(seconds=60)


class ConversationQuerySet(models.QuerySet["Conversation"]):
    def of(self, user_id: int) -> "ConversationQuerySet":
        """This user's own; the only way in for pages and consumers."""
        return self.filter(owner_id=user_id)


class Conversation(models.Model):
    """A thread of one user with one or several models."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="conversations", verbose_name=_("owner")
    )
    title = models.CharField(_("title"), max_length=200, blank=True)
    model = models.CharField(_("model"), max_length=100, help_text=_("The model that the next answer comes from."))
    leaf = models.ForeignKey(
        "Message",
        models.SET_NULL,
        null=True,
        editable=False,
        related_name="+",
        help_text=_("The last message of the shown branch."),
    )
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    updated_at = models.DateTimeField(_("updated"), auto_now=True)

    objects = ConversationQuerySet.as_manager()

    class Meta:
        verbose_name = _("conversation")
        verbose_name_plural = _("conversations")
        ordering: ClassVar = ["-updated_at"]
        indexes: ClassVar = [models.Index(fields=["owner", "-updated_at"], name="conversation_recent")]

    def __str__(self) -> str:
        return self.title or str(self.pk)


class MessagePhase(models.TextChoices):
    """An answer's life. The task that generates it moves it; whoever comes second does nothing.

        STREAMING ──▶ COMPLETE   the model ended
            │───────▶ STOPPED    somebody pressed stop
            └───────▶ FAILED     no replica, a lost worker, a dead web process (found by the periodic task)

    A user's message is COMPLETE from the start.
    """

    STREAMING = "streaming", _("streaming")
    COMPLETE = "complete", _("complete")
    STOPPED = "stopped", _("stopped")
    FAILED = "failed", _("failed")


class Role(models.TextChoices):
    USER = "user", _("user")
    ASSISTANT = "assistant", _("assistant")


class MessageQuerySet(models.QuerySet["Message"]):
    def streaming(self) -> "MessageQuerySet":
        return self.filter(phase=MessagePhase.STREAMING)

    def abandoned(self) -> "MessageQuerySet":
        """Answers whose web process stopped writing them: a living one touches its row at least every ten seconds."""
        return self.streaming().filter(updated_at__lt=now() - ABANDONED_AFTER)

    def fail_abandoned(self) -> int:
        """Marks the abandoned ones failed, their text kept. Returns how many."""
        # Asked first: on SQLite even an update of nothing waits for every writer, and pages call this.
        if not self.abandoned().exists():
            return 0
        return self.abandoned().update(phase=MessagePhase.FAILED, error_code="abandoned", updated_at=now())


class Message(models.Model):
    """One turn. `parent` is the turn it answers; the shown branch goes from the conversation's leaf up to the root."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    conversation = models.ForeignKey(Conversation, models.CASCADE, related_name="messages")
    parent = models.ForeignKey("self", models.CASCADE, null=True, related_name="children")
    role = models.CharField(_("role"), max_length=16, choices=Role)
    text = models.TextField(_("text"), blank=True)
    model = models.CharField(_("model"), max_length=100, blank=True)
    phase = models.CharField(_("phase"), max_length=16, choices=MessagePhase, default=MessagePhase.COMPLETE)
    error_code = models.CharField(_("error code"), max_length=64, blank=True)
    error = models.TextField(_("error"), blank=True)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    updated_at = models.DateTimeField(_("updated"), auto_now=True)

    objects = MessageQuerySet.as_manager()

    class Meta:
        verbose_name = _("message")
        verbose_name_plural = _("messages")
        ordering: ClassVar = ["created_at"]
        indexes: ClassVar = [models.Index(fields=["conversation", "created_at"], name="message_thread")]
        constraints: ClassVar = [
            # Two tabs that ask at once: the second insert fails, whichever process it came through.
            models.UniqueConstraint(
                fields=["conversation"], condition=models.Q(phase="streaming"), name="one_answer_at_a_time"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.role}: {self.text[:50]}"
