"""Rule: an OpenAPI document as a page shows it: operations with what goes in and comes out, and the types they name."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_METHODS = ("get", "post", "put", "patch", "delete")
_LISTS = ("anyOf", "oneOf", "allOf")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What a value is, in words such as “list of string or null”; `types` are the names of ours among them."""

    words: str
    types: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    name: str
    kind: Kind
    place: str
    """Where a parameter stands: path, query, header; empty in a body."""
    is_required: bool
    description: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    status: str
    """`default`: every error."""
    media_type: str
    kind: Kind | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    method: str
    path: str
    description: str
    parameters: tuple[Field, ...]
    body: Kind | None
    answers: tuple[Answer, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Type:
    name: str
    description: str
    fields: tuple[Field, ...]


def operations(document: Mapping[str, Any]) -> tuple[Operation, ...]:
    """In the document's order."""
    return tuple(
        _operation(method, path, methods[method])
        for path, methods in document["paths"].items()
        for method in _METHODS
        if method in methods
    )


def types(document: Mapping[str, Any]) -> tuple[Type, ...]:
    """Those that have fields, by name."""
    schemas = document["components"]["schemas"]
    return tuple(
        Type(name=name, description=schema.get("description", ""), fields=tuple(_fields(schema)))
        for name, schema in sorted(schemas.items())
        if "properties" in schema
    )


def _operation(method: str, path: str, told: Mapping[str, Any]) -> Operation:
    return Operation(
        method=method.upper(),
        path=path,
        description=told.get("description", ""),
        parameters=tuple(map(_parameter, told.get("parameters", ()))),
        body=next((_kind(content.get("schema", {})) for content in _contents(told.get("requestBody", {}))), None),
        answers=tuple(_answers(told["responses"])),
    )


def _answers(responses: Mapping[str, Any]) -> Iterator[Answer]:
    for status, response in responses.items():
        if not response.get("content"):
            yield Answer(status=str(status), media_type="", kind=None)
        for media_type, content in response.get("content", {}).items():
            yield Answer(status=str(status), media_type=media_type, kind=_kind(content.get("schema", {})))


def _contents(body: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield from body.get("content", {}).values()


def _parameter(told: Mapping[str, Any]) -> Field:
    return Field(
        name=told["name"],
        kind=_kind(told.get("schema", {})),
        place=told["in"],
        is_required=told.get("required", False),
        description=told.get("description", ""),
    )


def _fields(schema: Mapping[str, Any]) -> Iterator[Field]:
    required = schema.get("required", ())
    for name, told in schema["properties"].items():
        description = told.get("description", "")
        yield Field(name=name, kind=_kind(told), place="", is_required=name in required, description=description)


def _kind(schema: Mapping[str, Any]) -> Kind:
    if reference := schema.get("$ref"):
        name = reference.rpartition("/")[2]
        return Kind(words=name, types=(name,))
    for key in _LISTS:
        if key in schema:
            return _joined([_kind(one) for one in schema[key]])
    if "enum" in schema:
        return Kind(words=", ".join("null" if value is None else str(value) for value in schema["enum"]))
    return _plain_kind(schema)


def _plain_kind(schema: Mapping[str, Any]) -> Kind:
    named = schema.get("type", "any")
    if named == "array":
        inner = _kind(schema.get("items", {}))
        return Kind(words=f"list of {inner.words}", types=inner.types)
    return Kind(words=" or ".join(named) if isinstance(named, list) else str(named))


def _joined(kinds: list[Kind]) -> Kind:
    words = dict.fromkeys(kind.words for kind in kinds)
    return Kind(words=" or ".join(words), types=tuple(dict.fromkeys(name for kind in kinds for name in kind.types)))
