"""Deployments in admin: what should run, said by a person; whether it does, followed live."""

from collections.abc import Sequence
from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.core.validators import RegexValidator
from django.db.models import Q, QuerySet
from django.forms import ModelMultipleChoiceField
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.utils.functional import lazy
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminSelectMultipleWidget, UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from fleet.admin.deployment_actions import DeploymentActions
from fleet.admin.labels import LabelsField
from fleet.admin.live import CardListAdmin
from fleet.admin.rollout_actions import RolloutActions
from fleet.attention import told
from fleet.engine_options import source_help
from fleet.models import Deployment, EngineName, Worker
from fleet.placement import Unplaced
from fleet.reconciler import reconcile
from protocol.engines import ENGINE_KINDS

DTYPES = [
    ("auto", _("auto (as the model was saved)")),
    ("bfloat16", "bfloat16"),
    ("float16", _("float16 (accelerators only)")),
    ("float32", "float32"),
]
_QUANTIZATIONS = tuple(sorted({name for kind in ENGINE_KINDS.values() for name in kind.quantizations}))
DEVICES = ("auto", "cpu", "cuda", "cuda:0", "cuda:1", "mps")


def _engine_help() -> SafeString:
    """What each engine takes, folded away: shown under the options."""
    kinds = [(EngineName(name).label, source_help(name), kind) for name, kind in ENGINE_KINDS.items()]
    return SafeString(render_to_string("fleet/_engine_help.html", {"kinds": kinds}))


class SuggestingTextInput(UnfoldAdminTextInputWidget):
    """Free text with a list of likely values under it."""

    template_name = "fleet/_suggesting_input.html"

    def __init__(self, suggestions: tuple[str, ...]) -> None:
        super().__init__()
        self.suggestions = suggestions

    def get_context(self, name: str, value: Any, attrs: dict[str, Any] | None) -> dict[str, Any]:
        context = super().get_context(name, value, {**(attrs or {}), "list": f"suggestions-{name}"})
        return {**context, "suggestions": self.suggestions}


class WorkersField(ModelMultipleChoiceField):
    def label_from_instance(self, worker: Any) -> str:
        return f"{worker.name} ({worker.state.label})"


class DeploymentForm(forms.ModelForm):
    """Each error names its field and says what to write instead."""

    dtype = forms.ChoiceField(
        label=capfirst(_("dtype")),
        choices=DTYPES,
        initial="auto",
        widget=UnfoldAdminSelectWidget,
        help_text=_("Number format of the weights. Leave “auto” unless memory is short."),
    )
    device = forms.CharField(
        label=capfirst(_("device")),
        initial="auto",
        max_length=32,
        widget=SuggestingTextInput(DEVICES),
        validators=[RegexValidator(r"^(auto|cpu|mps|cuda(:\d+)?)$", _("Write auto, cpu, cuda, cuda:0 or mps."))],
        help_text=_("“auto” takes a GPU if the worker has one, else its CPU."),
    )
    pinned_workers = WorkersField(
        label=capfirst(_("workers")),
        queryset=Worker.objects.filter(revoked_at=None),
        required=False,
        widget=UnfoldAdminSelectMultipleWidget,
        help_text=_("It runs on one of these only. None chosen: the fleet chooses."),
    )
    selector = LabelsField(
        label=capfirst(_("worker labels")),
        help_text=_("A worker must have all of these: name=value, separated by commas, such as gpu=h100, zone=a."),
    )

    class Meta:
        model = Deployment
        fields = (
            "model",
            "engine",
            "source",
            "quantization",
            "engine_options",
            "adapters",
            "dtype",
            "device",
            "num_replicas",
            "max_concurrency",
            "speed",
            "memory_gb",
            "idle_unload_minutes",
            "selector",
        )
        widgets: ClassVar = {
            "source": SuggestingTextInput(("demo",)),
            "quantization": SuggestingTextInput(_QUANTIZATIONS),
        }
        help_texts: ClassVar = {
            "model": _("The name callers use. Not in the list yet? Add it by the button beside it."),
            "source": _("A folder on the worker’s disk, a hub id, a GGUF file for llama.cpp, or “demo”: see below."),
            "num_replicas": _("How many copies run at the same time."),
            "engine_options": lazy(_engine_help, SafeString)(),
            "max_concurrency": _("How many requests one copy works on at the same time."),
        }  # fmt: skip

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk:
            self.initial["pinned_workers"] = list(self.instance.pinned_to.values_list("pk", flat=True))
            # A revoked worker stays chosen until a person takes it out.
            self.fields["pinned_workers"].queryset = Worker.objects.filter(  # type: ignore[attr-defined]
                Q(revoked_at=None) | Q(pins__deployment=self.instance)
            ).distinct()

    def clean_engine_options(self) -> Any:
        """An emptied field means no options."""
        options = self.cleaned_data["engine_options"]
        return {} if options is None else options

    def clean_adapters(self) -> Any:
        """An emptied field means none."""
        adapters = self.cleaned_data["adapters"]
        return {} if adapters is None else adapters


@admin.register(Deployment)
class DeploymentAdmin(RolloutActions, DeploymentActions, CardListAdmin):
    form = DeploymentForm
    live_kind = "deployment"
    nothing_template = "fleet/_models.html"
    actions_detail: ClassVar = [*DeploymentActions.actions_detail, *RolloutActions.actions_detail]
    list_filter = ("model", "engine", "pinned_to")
    list_select_related = ("model",)
    search_fields = ("model__name", "source")
    fieldsets = (
        (_("What"), {"fields": ("model", "engine", "source", "quantization", "engine_options", "adapters")}),
        (_("Where"), {"fields": ("selector", "pinned_workers", "device", "dtype")}),
        (
            _("How much"),
            {"fields": ("num_replicas", "max_concurrency", "memory_gb", "idle_unload_minutes", "strategy")},
        ),
    )

    def save_model(self, request: HttpRequest, obj: Deployment, form: Any, change: bool) -> None:
        obj.changed_by_id = request.user.pk
        super().save_model(request, obj, form, change)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """The workers it is pinned to are saved last; only then is it clear what it wants."""
        super().save_related(request, form, formsets, change)
        form.instance.pinned_to.set(form.cleaned_data["pinned_workers"])
        unplaced = [slot for slot in reconcile().unplaced if slot.deployment.deployment_id == form.instance.pk]
        if unplaced:
            messages.warning(request, _no_place(unplaced))

    def delete_model(self, request: HttpRequest, obj: Deployment) -> None:
        super().delete_model(request, obj)
        reconcile()

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Deployment]) -> None:
        super().delete_queryset(request, queryset)
        reconcile()


def _no_place(unplaced: Sequence[Unplaced]) -> str:
    """Why the reconciler could not place some replicas, worker by worker."""
    refusals = [(name, refusal.text) for name, refusal in unplaced[0].refusals]
    if not refusals:
        return gettext("No worker has joined yet, so it waits. Issue a join token to add one.")
    text = ngettext(
        "%(count)d replica waits for a worker. %(reasons)s.",
        "%(count)d replicas wait for a worker. %(reasons)s.",
        len(unplaced),
    )
    return text % {"count": len(unplaced), "reasons": told(refusals)}
