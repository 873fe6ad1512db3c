"""What every page of the admin is made of, so that nothing is done there that is not in the audit log."""

from typing import Any

from django.db.models import Model
from django.http import HttpRequest
from unfold.admin import ModelAdmin

from audit.models import Door
from audit.recording import actor_of, record
from audit.states import State, state_of


class AuditedAdmin(ModelAdmin):
    """Django's admin says of everything that was done what it was, in `log_addition` and its like: forms, deletions and
    our own one-click acts alike. The state before is read where the row is fetched."""

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        row: Model | None = super().get_object(request, object_id, from_field)
        if row is not None and request.method == "POST":
            self.remember(request, row)
        return row

    def remember(self, request: HttpRequest, row: Model) -> None:
        """Its state now, before something is done with it."""
        _remembered(request).setdefault(_identity(row), self.audited_state(row))

    def audited_state(self, row: Model) -> State:
        """With the rows that are edited on its page."""
        state = state_of(row)
        for inline in self.inlines if row.pk else ():
            accessor = _accessor(row, inline.model)
            if accessor:
                state[accessor] = sorted(str(one) for one in getattr(row, accessor).all()[:200])
        return state

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        record(actor_of(request, Door.ADMIN), "added", obj, after=self.audited_state(_fresh(obj)))
        return super().log_addition(request, obj, message)

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        # Our acts write past the row in memory, so that is as it was before; a form's row was remembered.
        before = _remembered(request).pop(_identity(obj), None) or self.audited_state(obj)
        act = message if isinstance(message, str) else "changed"
        record(actor_of(request, Door.ADMIN), act, obj, before=before, after=self.audited_state(_fresh(obj)))
        return super().log_change(request, obj, message)

    def log_deletions(self, request: HttpRequest, queryset: Any) -> Any:
        rows = list(queryset)
        for row in rows:
            record(actor_of(request, Door.ADMIN), "deleted", row, before=self.audited_state(row))
        return super().log_deletions(request, rows)


def _remembered(request: HttpRequest) -> dict[tuple[str, str], State]:
    found: dict[tuple[str, str], State] = vars(request).setdefault("states_before", {})
    return found


def _identity(row: Model) -> tuple[str, str]:
    return row._meta.label_lower, str(row.pk)


def _fresh(row: Model) -> Model:
    """As the database has it now."""
    return type(row)._base_manager.filter(pk=row.pk).first() or row


def _accessor(row: Model, model: type[Model]) -> str | None:
    for relation in row._meta.related_objects:
        if relation.related_model is model:
            return relation.get_accessor_name()
    return None
