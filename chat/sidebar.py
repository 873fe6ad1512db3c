"""The list of conversations beside the thread: the newest, by day."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import groupby

from django.utils.timezone import localdate
from django.utils.translation import gettext as _

from chat.models import Conversation

NUM_RECENT = 60
"""The rest is on a page of its own, in pages."""


@dataclass(frozen=True, slots=True)
class Group:
    label: str
    conversations: Sequence[Conversation]


def recent_conversations(user_id: int) -> list[Group]:
    today = localdate()
    newest = Conversation.objects.of(user_id)[:NUM_RECENT]
    by_label = groupby(newest, key=lambda conversation: day_label(localdate(conversation.updated_at), today))
    return [Group(label, list(conversations)) for label, conversations in by_label]


def day_label(day: date, today: date) -> str:
    """How people speak of a day that has passed."""
    age = today - day
    if age < timedelta(days=1):
        return _("Today")
    if age < timedelta(days=2):
        return _("Yesterday")
    return _("Previous 7 days") if age < timedelta(days=8) else _("Older")
