"""Conversations in admin: whose, when and how long, never what was said: that is nobody else's business."""

from typing import Any

from django.contrib import admin
from django.db.models import Count, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from audit.admin_base import AuditedAdmin
from chat.models import Conversation


@admin.register(Conversation)
class ConversationAdmin(AuditedAdmin):
    list_display = ("id", "owner", "model", "num_messages", "created_at", "updated_at")
    list_filter = (("owner", admin.RelatedOnlyFieldListFilter),)
    list_select_related = ("owner",)
    search_fields = ("owner__username",)
    fields = ("id", "owner", "model", "num_messages", "created_at", "updated_at")
    show_full_result_count = False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Conversation]:
        return super().get_queryset(request).annotate(message_count=Count("messages"))

    @display(description=_("messages"))
    def num_messages(self, conversation: Conversation) -> int:
        count: int = getattr(conversation, "message_count", 0)
        return count

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Conversation | None:
        conversation = super().get_object(request, object_id, from_field)
        if conversation:
            # Headings, confirmations and the log call it by its title, which quotes the first question.
            conversation.title = ""
        return conversation

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        actions = super().get_actions(request)
        # Its confirmation lists titles.
        actions.pop("delete_selected", None)
        return actions

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Conversation | None = None) -> bool:
        return False
