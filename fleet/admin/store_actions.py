"""What an administrator may do with the models on a worker's disk."""

from typing import Any

from asgiref.sync import async_to_sync
from django import forms
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action
from unfold.enums import ActionVariant
from unfold.forms import BaseDialogForm
from unfold.widgets import UnfoldBooleanWidget

from fleet.admin.acting import ActingAdmin, row_of
from fleet.admin.live import back
from fleet.inspection import delete_model
from fleet.models import Worker


class DeleteModelForm(BaseDialogForm):
    """The address that opened it names the model; it wants the name confirmed."""

    is_meant = forms.BooleanField(required=True, widget=UnfoldBooleanWidget)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.source = self.request.GET.get("source", "")
        self.fields["is_meant"].label = gettext("Delete %(source)s") % {"source": self.source}


class StoreActions(ActingAdmin):
    """Mixed into the workers' admin."""

    @action(
        description=_("Delete a model from disk"),
        permissions=["change"],
        variant=ActionVariant.DANGER,
        dialog={
            "title": _("Delete this model from the worker’s disk?"),
            "description": _("The next deployment there that wants it downloads it again."),
            "form_class": DeleteModelForm,
            "form_submit_text": _("Delete"),
        },
    )
    def delete_model(self, request: HttpRequest, form: DeleteModelForm, object_id: str) -> HttpResponse:
        worker = row_of(Worker, object_id)
        done = gettext("%(source)s was deleted from its disk.") % {"source": form.source}

        def delete() -> bool:
            async_to_sync(delete_model)(worker, form.source)
            return True

        self.act(request, worker, done, delete)
        return back(request, reverse("admin:fleet_worker_change", args=[object_id]))
