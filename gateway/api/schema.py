"""The OpenAPI document: requests from the very types that check them, answers by OpenAI's names for them."""

from typing import Any

import msgspec
from drf_spectacular.extensions import OpenApiAuthenticationExtension

_REFERENCE = "#/components/schemas/{name}"
_USAGE = {
    "type": "object",
    "properties": {name: {"type": "integer"} for name in ("prompt_tokens", "completion_tokens", "total_tokens")},
}
_GENERATED = {
    "type": "object",
    "properties": {
        "id": {"type": "string"},
        "object": {"type": "string"},
        "created": {"type": "integer"},
        "model": {"type": "string"},
        "choices": {"type": "array", "items": {"type": "object"}},
        "usage": _USAGE,
    },
}
ANSWERS: dict[str, dict[str, Any]] = {
    "ChatCompletion": _GENERATED,
    "Completion": _GENERATED,
    "Embeddings": {
        "type": "object",
        "properties": {
            "object": {"type": "string"},
            "data": {"type": "array", "items": {"type": "object"}},
            "model": {"type": "string"},
            "usage": _USAGE,
        },
    },
    "Model": {
        "type": "object",
        "properties": {
            "id": {"type": "string"},
            "object": {"type": "string"},
            "created": {"type": "integer"},
            "owned_by": {"type": "string"},
            "context_length": {"type": ["integer", "null"]},
            "capabilities": {"type": "array", "items": {"type": "string"}},
        },
    },
    "ModelList": {
        "type": "object",
        "properties": {
            "object": {"type": "string"},
            "data": {"type": "array", "items": {"$ref": _REFERENCE.format(name="Model")}},
        },
    },
    "Error": {
        "type": "object",
        "properties": {
            "error": {
                "type": "object",
                "properties": {
                    "message": {"type": "string"},
                    "type": {"type": "string"},
                    "param": {"type": ["string", "null"]},
                    "code": {"type": ["string", "null"]},
                },
                "required": ["message", "type", "param", "code"],
            }
        },
    },
}

_described_requests: dict[str, type[msgspec.Struct]] = {}


def described(
    operation_id: str, request: type[msgspec.Struct] | None, answer: str, *, is_streamable: bool = False
) -> dict[str, Any]:
    """The arguments of `extend_schema` for one method of one view."""
    if request:
        _described_requests[request.__name__] = request
    responses: dict[Any, Any] = {(200, "application/json"): _reference(answer), "default": _reference("Error")}
    if is_streamable:
        responses[(200, "text/event-stream")] = {"type": "string"}
    body = {"application/json": _reference(request.__name__)} if request else None
    return {"operation_id": operation_id, "request": body, "responses": responses, "tags": ["OpenAI"]}


def add_components(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """The schemas that the views refer to; called by drf-spectacular when the document is whole."""
    requests = msgspec.json.schema_components(_described_requests.values(), ref_template=_REFERENCE)[1]
    components = result.setdefault("components", {})
    components["schemas"] = components.get("schemas", {}) | requests | ANSWERS
    return result


class BearerScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """How the document words BearerAuthentication; drf-spectacular finds this class by itself."""

    target_class = "gateway.api.authentication.BearerAuthentication"
    name = "apiKey"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer"}


def _reference(name: str) -> dict[str, str]:
    return {"$ref": _REFERENCE.format(name=name)}
