"""Who may do what here: what they may do in admin; and how a refusal is worded."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.core.exceptions import ValidationError as ModelValidationError
from django.db.models import Model, ProtectedError
from django.http import Http404
from rest_framework import exceptions
from rest_framework.pagination import LimitOffsetPagination
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import Serializer

from audit.api import AuditedView
from fleet.errors import ActRefused, FleetError

_PERMISSION_OF = {
    "list": "view",
    "retrieve": "view",
    "timeline": "view",
    "rollouts": "view",
    "explain": "view",
    "create": "add",
    "destroy": "delete",
}
"""By action of a view; whatever else it does is a change."""


class MayAsInAdmin(BasePermission):
    """Staff, with Django's permission for the kind of row and for what is done to it."""

    def has_permission(self, request: Request, view: Any) -> bool:
        user = request.user
        return bool(user and user.is_staff and user.has_perm(_permission(view)))


class Pages(LimitOffsetPagination):
    """`limit` rows from `offset` on."""

    default_limit, max_limit = 100, 1000


class ManagementView(AuditedView):
    """What all addresses here share. Callers are known by a key that manages the fleet, or by admin's session."""

    permission_classes = (MayAsInAdmin,)
    pagination_class = Pages

    def get_exception_handler(self) -> Any:
        return _as_json


def _permission(view: Any) -> str:
    meta = view.queryset.model._meta
    return f"{meta.app_label}.{_PERMISSION_OF.get(view.action, 'change')}_{meta.model_name}"


def _as_json(error: Exception, context: dict[str, Any]) -> Response | None:
    """`{"error": {"message", "code", "fields"}}`; fields: what is wrong with each, where a body is at fault."""
    match error:
        case FleetError(status=status, code=code):
            return _refusal(status, code, str(error))
        case exceptions.ValidationError(detail=dict(fields)):
            return _refusal(400, "invalid", _sentence(fields), fields)
        case exceptions.APIException(status_code=status):
            answer = _refusal(status, error.default_code, str(error.detail))
            if header := context["view"].get_authenticate_header(context["request"]):
                answer["WWW-Authenticate"] = header
            return answer
        case Http404():
            return _refusal(404, "not_found", "There is nothing by this id.")
    return None


def _refusal(status: int, code: str, message: str, fields: Any = None) -> Response:
    return Response({"error": {"message": message, "code": code, "fields": fields or {}}}, status=status)


def _sentence(fields: dict[str, Any]) -> str:
    name, faults = next(iter(fields.items()))
    fault = faults[0] if isinstance(faults, list) and faults else faults
    return str(fault) if name == "non_field_errors" else f"{name}: {fault}"


@contextmanager
def as_validation_error() -> Iterator[None]:
    """Raises what the API's validation raises, for what acts and records know to be wrong."""
    try:
        yield
    except ModelValidationError as error:
        faults = error.message_dict if hasattr(error, "error_dict") else {"non_field_errors": error.messages}
        # Django's forms call by this name what is wrong with no field alone.
        general = faults.pop("__all__", None)
        raise exceptions.ValidationError(faults | ({"non_field_errors": general} if general else {})) from error


def checked(row: Model) -> None:
    """Raises ValidationError for what the record itself knows to be wrong."""
    with as_validation_error():
        row.clean()


def asked(kind: type[Serializer[Any]], request: Request) -> dict[str, Any]:
    """The body's fields. Raises ValidationError, which names what is wrong."""
    body = kind(data=request.data)
    body.is_valid(raise_exception=True)
    return dict(body.validated_data)


def delete(row: Model, why_not: str) -> None:
    """Raises ActRefused where other rows need this one."""
    try:
        row.delete()
    except ProtectedError as error:
        raise ActRefused(why_not) from error
