"""Replicas in admin: to look at, to restart, to stop. The reconciler makes them, the workers tell how they are."""

from typing import ClassVar

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from fleet.admin.deployment_actions import ReplicaActions
from fleet.admin.live import DeletedOnlyAlong, LiveModelAdmin, live_place
from fleet.fragments import replica_badge
from fleet.models import Replica
from fleet.overview import replica_view


@admin.register(Replica)
class ReplicaAdmin(ReplicaActions, DeletedOnlyAlong, LiveModelAdmin):
    live_kind = "replica"
    list_display = ("model_name", "worker", "live_state", "num_running", "num_waiting", "context_length", "created_at")
    list_filter = ("deployment__model", "worker")
    list_select_related = ("deployment__model", "worker")
    search_fields = ("deployment__model__name", "worker__name")
    fields = (
        "deployment", "worker", "error", "num_running", "num_waiting",
        "context_length", "capabilities", "observed_at", "created_at", "id",
    )  # fmt: skip
    readonly_fields = fields
    ordering: ClassVar = ["deployment__model__name", "created_at"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Replica]:
        return super().get_queryset(request).filter(retired_at=None)

    @display(description=_("model"), ordering="deployment__model__name")
    def model_name(self, replica: Replica) -> str:
        return replica.deployment.model.name

    @display(description=_("state"), ordering="phase")
    def live_state(self, replica: Replica) -> SafeString:
        return live_place(f"replica-badge:{replica.pk}", replica_badge(replica_view(replica)))

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Replica | None = None) -> bool:
        return False
