"""What every door for programs that administer is made of, so that nothing done there is missing in the audit log."""

from copy import copy
from typing import Any

from django.db.models import Model
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request
from rest_framework.viewsets import GenericViewSet

from audit.models import Door
from audit.recording import actor_of, record
from audit.states import State, state_of


class AuditedView(GenericViewSet[Any]):
    """The row that is fetched is the one that something is done with; one that is new is known by its answer."""

    row_before: Model | None = None
    state_before: State | None = None

    def get_object(self) -> Any:
        row = super().get_object()
        if self.request.method not in SAFE_METHODS and self.row_before is None:
            # A copy: a row that is deleted loses its key.
            self.row_before, self.state_before = copy(row), state_of(row)
        return row

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        if request.method not in SAFE_METHODS and response.status_code < 400:
            self._record(request, getattr(response, "data", None))
        return super().finalize_response(request, response, *args, **kwargs)

    def _record(self, request: Request, data: Any) -> None:
        actor, act = actor_of(request, Door.API), str(self.action)
        if self.row_before is None:
            row = self._row(data.get("id")) if isinstance(data, dict) else None
            record(actor, act, row, after=state_of(row) if row else {})
            return
        row = self._row(self.row_before.pk)
        record(actor, act, self.row_before, before=self.state_before or {}, after=state_of(row) if row else {})

    def _row(self, pk: Any) -> Model | None:
        model: type[Model] = self.get_queryset().model
        return model._base_manager.filter(pk=pk).first() if pk else None
