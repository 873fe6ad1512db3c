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
_FIGURES: dict[str, Any] = {
    **{name: {"type": "integer"} for name in ("num_requests", "num_failed")},
    **{name: {"type": "integer"} for name in ("prompt_tokens", "cached_tokens", "completion_tokens")},
    **{name: {"type": "integer"} for name in ("reasoning_tokens", "total_tokens")},
    "cost": {"type": "number"},
}
_MOMENT = {"type": "string", "format": "date-time"}
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
            "price": {
                "type": ["object", "null"],
                "description": "For a million tokens; the highest, where several may answer.",
                "properties": {
                    "input": {"type": "number"},
                    "cached_input": {"type": "number"},
                    "output": {"type": "number"},
                    "currency": {"type": "string"},
                },
            },
        },
    },
    "ModelList": {
        "type": "object",
        "properties": {
            "object": {"type": "string"},
            "data": {"type": "array", "items": {"$ref": _REFERENCE.format(name="Model")}},
        },
    },
    "Usage": {
        "type": "object",
        "description": "Days and periods by the server's time zone; costs in its currency.",
        "properties": {
            "object": {"type": "string"},
            "key": {"type": "string"},
            "currency": {"type": "string"},
            "start": {"type": "string", "format": "date"},
            "end": {"type": "string", "format": "date"},
            "total": {"$ref": _REFERENCE.format(name="UsageFigures")},
            "by_model": {"type": "array", "items": {"$ref": _REFERENCE.format(name="ModelUsage")}},
            "by_day": {"type": "array", "items": {"$ref": _REFERENCE.format(name="DayUsage")}},
            **{f"this_{span}": {"$ref": _REFERENCE.format(name="RunningUsage")} for span in ("day", "week", "month")},
            "limits": {"type": "array", "items": {"$ref": _REFERENCE.format(name="LimitUsage")}},
        },
    },
    "UsageFigures": {"type": "object", "properties": _FIGURES},
    "ModelUsage": {"type": "object", "properties": {"model": {"type": "string"}, **_FIGURES}},
    "DayUsage": {"type": "object", "properties": {"day": {"type": "string", "format": "date"}, **_FIGURES}},
    "RunningUsage": {"type": "object", "properties": {"start": _MOMENT, "end": _MOMENT, **_FIGURES}},
    "LimitUsage": {
        "type": "object",
        "properties": {
            "of": {"enum": ["key", "team"]},
            "measure": {"enum": ["requests", "tokens", "cost", "parallel"]},
            "span": {"enum": ["minute", "day", "week", "month", "now"]},
            "limit": {"type": "number"},
            "used": {"type": "number"},
            "left": {"type": "number"},
            "resets_at": {"type": ["string", "null"], "format": "date-time"},
        },
    },
    "Message": {
        "type": "object",
        "properties": {
            "id": {"type": "string"},
            "type": {"type": "string"},
            "role": {"type": "string"},
            "model": {"type": "string"},
            "content": {"type": "array", "items": {"type": "object"}},
            "stop_reason": {"type": ["string", "null"]},
            "stop_sequence": {"type": ["string", "null"]},
            "usage": {
                "type": "object",
                "properties": {name: {"type": "integer"} for name in ("input_tokens", "output_tokens")},
            },
        },
    },
    "Reranked": {
        "type": "object",
        "properties": {
            "model": {"type": "string"},
            "results": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {"index": {"type": "integer"}, "relevance_score": {"type": "number"}},
                },
            },
        },
    },
    "Moderation": {
        "type": "object",
        "properties": {
            "id": {"type": "string"},
            "model": {"type": "string"},
            "results": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {
                        "flagged": {"type": "boolean"},
                        "categories": {"type": "object", "additionalProperties": {"type": "boolean"}},
                        "category_scores": {"type": "object", "additionalProperties": {"type": "number"}},
                    },
                },
            },
        },
    },
    "Transcription": {"type": "object", "properties": {"text": {"type": "string"}}},
    "Images": {
        "type": "object",
        "properties": {
            "created": {"type": "integer"},
            "data": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {"url": {"type": "string"}, "b64_json": {"type": "string"}},
                },
            },
        },
    },
    "Response": {
        "type": "object",
        "properties": {
            "id": {"type": "string"},
            "object": {"type": "string"},
            "created_at": {"type": "integer"},
            "model": {"type": "string"},
            "status": {"type": "string"},
            "output": {"type": "array", "items": {"type": "object"}},
            "previous_response_id": {"type": ["string", "null"]},
            "usage": {
                "type": ["object", "null"],
                "properties": {name: {"type": "integer"} for name in ("input_tokens", "output_tokens", "total_tokens")},
            },
        },
    },
    "DeletedResponse": {
        "type": "object",
        "properties": {"id": {"type": "string"}, "object": {"type": "string"}, "deleted": {"type": "boolean"}},
    },
    "MessageTokens": {"type": "object", "properties": {"input_tokens": {"type": "integer"}}},
    "Tokens": {
        "type": "object",
        "properties": {
            "count": {"type": "integer"},
            "max_model_len": {"type": "integer"},
            "tokens": {"type": "array", "items": {"type": "integer"}},
        },
    },
    "TokenChecks": {
        "type": "object",
        "properties": {
            "prompts": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {
                        "fits": {"type": "boolean"},
                        "tokenCount": {"type": "integer"},
                        "contextLength": {"type": "integer"},
                    },
                },
            }
        },
    },
    "FleetError": {
        "type": "object",
        "properties": {
            "error": {
                "type": "object",
                "properties": {
                    "message": {"type": "string"},
                    "code": {"type": "string"},
                    "fields": {"type": "object"},
                },
                "required": ["message", "code", "fields"],
            }
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
    operation_id: str,
    request: type[msgspec.Struct] | None,
    answer: str,
    *,
    is_streamable: bool = False,
    tag: str = "OpenAI",
) -> dict[str, Any]:
    """The arguments of `extend_schema` for one method of one view."""
    if request:
        _described_requests[request.__name__] = request
    responses: dict[Any, Any] = {(200, "application/json"): _reference(answer), "default": _reference("Error")}
    if is_streamable:
        responses[(200, "text/event-stream")] = {"type": "string"}
    body = {"application/json": _reference(request.__name__)} if request else None
    return {"operation_id": operation_id, "request": body, "responses": responses, "tags": [tag]}


def as_form(told: dict[str, Any]) -> dict[str, Any]:
    """The same, of a method that is sent a form."""
    return {**told, "request": {"multipart/form-data": told["request"]["application/json"]}}


def add_components(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """The schemas that the views refer to; called by drf-spectacular when the document is whole."""
    requests = msgspec.json.schema_components(_described_requests.values(), ref_template=_REFERENCE)[1]
    _tell_errors(result["paths"])
    components = result.setdefault("components", {})
    components["schemas"] = components.get("schemas", {}) | requests | ANSWERS
    return result


def _tell_errors(paths: dict[str, Any]) -> None:
    """The gateway's views say so themselves; what manages the fleet has errors of its own shape."""
    answer = {"description": "", "content": {"application/json": {"schema": _reference("FleetError")}}}
    for methods in paths.values():
        for operation in methods.values():
            operation["responses"].setdefault("default", answer)


class ManagementScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """How the document words ManagementKeyAuthentication."""

    target_class = "gateway.api.management_key.ManagementKeyAuthentication"
    name = "managementKey"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer"}


class BearerScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """How the document words BearerAuthentication; drf-spectacular finds this class by itself."""

    target_class = "gateway.api.authentication.BearerAuthentication"
    name = "apiKey"
    match_subclasses = True

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer"}


def _reference(name: str) -> dict[str, str]:
    return {"$ref": _REFERENCE.format(name=name)}
