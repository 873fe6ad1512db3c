"""What admin's one-click actions share: a dialog before, a message and a line of history after."""

from collections.abc import Callable
from typing import Any, TypeVar

from django import forms
from django.contrib import messages
from django.core.exceptions import ObjectDoesNotExist, ValidationError
from django.db.models import Model
from django.http import Http404, HttpRequest
from django.utils.text import capfirst
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.forms import BaseDialogForm
from unfold.widgets import UnfoldAdminIntegerFieldWidget, UnfoldAdminTextInputWidget, UnfoldBooleanWidget

from audit.admin_base import AuditedAdmin
from fleet.errors import ActRefused
from fleet.maintenance import stranded
from fleet.models import Deployment, Worker
from fleet.scaling import MAX_REPLICAS

_Row = TypeVar("_Row", bound=Model)


def row_of(kind: type[_Row], object_id: str) -> _Row:
    """The row that an act's address names. Raises Http404: somebody may have removed it while the page stood open."""
    try:
        return kind._default_manager.get(pk=object_id)
    except (ObjectDoesNotExist, ValidationError, ValueError) as error:
        raise Http404(f"{kind._meta.object_name} {object_id} is not there.") from error


class ActingAdmin(AuditedAdmin):
    """Pages from which acts are done."""

    def act(self, request: HttpRequest, row: Model, done: str, act: Callable[[], object]) -> bool:
        """Do it and say so: `done` goes to the person and into the history. Whether it changed anything."""
        self.remember(request, row)
        try:
            has_changed = bool(act())
        except ActRefused as refused:
            messages.error(request, str(refused))
            return False
        if not has_changed:
            messages.info(request, gettext("%(name)s: nothing to do, it was so already.") % {"name": row})
            return False
        self.log_change(request, row, done)
        messages.success(request, f"{row}: {done}")
        return True


class DrainForm(BaseDialogForm):
    """Names what would stop, and wants that confirmed; when everything has another place there is nothing to tick."""

    may_stop = forms.BooleanField(required=True, widget=UnfoldBooleanWidget)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.stranded = stranded(row_of(Worker, str(self.object_id)))
        if self.stranded:
            text = gettext("No other worker can take over: %(models)s. Stop it here all the same.")
            self.fields["may_stop"].label = text % {"models": ", ".join(self.stranded)}
        else:
            del self.fields["may_stop"]


class MaintenanceForm(DrainForm):
    remark = forms.CharField(
        label=capfirst(_("remark")),
        max_length=200,
        widget=UnfoldAdminTextInputWidget,
        help_text=_("What is done to the machine, and until when. Everybody who looks at the fleet reads it."),
    )
    field_order = ("remark", "may_stop")


class ScaleForm(BaseDialogForm):
    num_replicas = forms.IntegerField(
        label=capfirst(_("replicas")), min_value=1, max_value=MAX_REPLICAS, widget=UnfoldAdminIntegerFieldWidget
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["num_replicas"].initial = row_of(Deployment, str(self.object_id)).num_replicas
