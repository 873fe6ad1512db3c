"""Deployments in admin: what should run, said by a person; whether it does, followed live."""

from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.core.validators import RegexValidator
from django.db.models import Prefetch, QuerySet
from django.forms import ModelChoiceField
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from fleet.admin.live import LiveModelAdmin, live_place
from fleet.fragments import deployment_badge
from fleet.models import Deployment, EngineName, Replica, Worker
from fleet.overview import deployment_view, replica_view
from fleet.reconciler import reconcile

DTYPES = [
    ("auto", _("auto (as the model was saved)")),
    ("bfloat16", "bfloat16"),
    ("float16", _("float16 (accelerators only)")),
    ("float32", "float32"),
]
DEVICES = ("auto", "cpu", "cuda", "cuda:0", "cuda:1", "mps")


class SuggestingTextInput(UnfoldAdminTextInputWidget):
    """Free text with a list of likely values under it."""

    template_name = "fleet/_suggesting_input.html"

    def __init__(self, suggestions: tuple[str, ...]) -> None:
        super().__init__()
        self.suggestions = suggestions

    def get_context(self, name: str, value: Any, attrs: dict[str, Any] | None) -> dict[str, Any]:
        context = super().get_context(name, value, {**(attrs or {}), "list": f"suggestions-{name}"})
        return {**context, "suggestions": self.suggestions}


class WorkerChoiceField(ModelChoiceField):
    def label_from_instance(self, worker: Any) -> str:
        return f"{worker.name} ({worker.state.label})"


class DeploymentForm(forms.ModelForm):
    """Each error names its field and says what to write instead."""

    dtype = forms.ChoiceField(
        label=_("dtype"),
        choices=DTYPES,
        initial="auto",
        widget=UnfoldAdminSelectWidget,
        help_text=_("Number format of the weights. Leave “auto” unless memory is short."),
    )
    device = forms.CharField(
        label=_("device"),
        initial="auto",
        max_length=32,
        widget=SuggestingTextInput(DEVICES),
        validators=[RegexValidator(r"^(auto|cpu|mps|cuda(:\d+)?)$", _("Write auto, cpu, cuda, cuda:0 or mps."))],
        help_text=_("“auto” takes a GPU if the worker has one, else its CPU."),
    )
    worker = WorkerChoiceField(
        label=_("worker"),
        queryset=Worker.objects.filter(revoked_at=None),
        required=False,
        empty_label=_("any: let the fleet choose"),
        widget=UnfoldAdminSelectWidget,
    )

    class Meta:
        model = Deployment
        fields = ("model", "engine", "source", "dtype", "device", "num_replicas", "max_concurrency", "speed", "worker")
        widgets: ClassVar = {"source": SuggestingTextInput(("demo",))}
        help_texts: ClassVar = {
            "model": _("The name callers use. Not in the list yet? Add it with the plus sign."),
            "source": _("“demo” for the built-in model, a folder on the worker’s disk, or a hub id if it is online."),
            "num_replicas": _("How many copies run at the same time. 0 stops the model without forgetting it."),
            "max_concurrency": _("How many requests one copy works on at the same time."),
        }  # fmt: skip

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if data.get("engine") == EngineName.TRANSFORMERS and not data.get("source"):
            self.add_error("source", _("Say what to load: “demo”, a folder on the worker, or a hub id."))
        return data


@admin.register(Deployment)
class DeploymentAdmin(LiveModelAdmin):
    form = DeploymentForm
    live_kind = "deployment"
    list_display = ("model", "live_state", "engine", "source", "device", "worker_name", "created_at")
    list_filter = ("model", "engine", "worker")
    list_select_related = ("model", "worker")
    search_fields = ("model__name", "source")
    fieldsets = (
        (_("What"), {"fields": ("model", "engine", "source")}),
        (_("Where"), {"fields": ("worker", "device", "dtype")}),
        (_("How much"), {"fields": ("num_replicas", "max_concurrency")}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Deployment]:
        current = Replica.objects.filter(retired_at=None).select_related("worker", "deployment__model")
        return super().get_queryset(request).prefetch_related(Prefetch("replicas", current, to_attr="current"))

    @display(description=_("state"))
    def live_state(self, deployment: Deployment) -> SafeString:
        replicas = [replica_view(replica) for replica in getattr(deployment, "current", ())]
        badge = deployment_badge(deployment_view(deployment, replicas))
        return live_place(f"deployment-badge:{deployment.pk}", badge)

    @display(description=_("worker"), ordering="worker__name")
    def worker_name(self, deployment: Deployment) -> str:
        return deployment.worker.name if deployment.worker else gettext("any")

    def save_model(self, request: HttpRequest, obj: Deployment, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        unplaced = [slot for slot in reconcile().unplaced if slot.deployment.deployment_id == obj.pk]
        if unplaced:
            messages.warning(request, _no_place(len(unplaced), unplaced[0].refusals))

    def delete_model(self, request: HttpRequest, obj: Deployment) -> None:
        super().delete_model(request, obj)
        reconcile()

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Deployment]) -> None:
        super().delete_queryset(request, queryset)
        reconcile()


def _no_place(count: int, refusals: Any) -> str:
    """Why the reconciler could not place some replicas, worker by worker."""
    if not refusals:
        return gettext("No worker has joined yet, so it waits. Issue a join token to add one.")
    reasons = "; ".join(f"{name}: {refusal.label}" for name, refusal in list(refusals.items())[:5])
    return gettext("%(count)d replica(s) wait for a worker. %(reasons)s.") % {"count": count, "reasons": reasons}
