"""Rule: what a row looks like in the audit log, and what changed in it."""

import hashlib
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.db.models import Field, ManyToManyField, Model
from django.utils.encoding import force_str

from protocol.redaction import redact

State = dict[str, Any]

_SECRET_NAMES = ("password", "secret", "credential", "hash")
_SECRET_TYPES = ("EncryptedTextField",)
_LONGEST = 2000
_ENCODER = DjangoJSONEncoder()


def state_of(row: Model, *, with_many: bool = True) -> State:
    """Each column, as far as a person may read it. `with_many`: also what it is related to, which asks the database."""
    state = {field.name: _shown(field, getattr(row, field.attname)) for field in row._meta.concrete_fields}
    if with_many and row.pk:
        for many in row._meta.many_to_many:
            state[many.name] = _names(row, many)
    return state


def difference(before: State, after: State) -> tuple[State, State]:
    """What of them is not the same in both."""
    return _unlike(before, after), _unlike(after, before)


def _unlike(state: State, other: State) -> State:
    return {name: value for name, value in state.items() if name not in other or other[name] != value}


def is_secret(field: Field) -> bool:
    return type(field).__name__ in _SECRET_TYPES or any(word in field.name for word in _SECRET_NAMES)


def _shown(field: Field, value: Any) -> Any:
    if is_secret(field) and value not in (None, ""):
        # Enough to see that it changed, too little to learn anything of it.
        return f"[redacted {hashlib.sha256(force_str(value).encode()).hexdigest()[:8]}]"
    return shown(value)


def shown(value: Any) -> Any:
    """The value as JSON, without the secrets that a text may hold."""
    match value:
        case None | bool() | int() | float():
            return value
        case str():
            return redact(value)[:_LONGEST]
        case dict():
            return {str(name): shown(one) for name, one in value.items()}
        case list() | tuple():
            return [shown(one) for one in value]
    try:
        return shown(_ENCODER.default(value))
    except TypeError:
        return shown(force_str(value))


def _names(row: Model, many: ManyToManyField) -> list[str]:
    return sorted(str(one) for one in getattr(row, many.name).all()[:100])
