"""GET /v1/models and GET /v1/models/{id}. In memory, and not metered."""

from typing import Any

import msgspec
from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request

from fleet.snapshot import ModelEntry
from gateway.api.schema import described
from gateway.api.views import GatewayView
from gateway.catalogue import known_model, known_models


class ModelsView(GatewayView):
    """Every model that is deployed."""

    @extend_schema(**described("listModels", None, "ModelList"))
    async def get(self, request: Request) -> HttpResponse:
        return _json({"object": "list", "data": [_described(entry) for entry in known_models()]})


class ModelView(GatewayView):
    """One model. Its id may hold slashes."""

    @extend_schema(**described("retrieveModel", None, "Model"))
    async def get(self, request: Request, model: str) -> HttpResponse:
        return _json(_described(known_model(model)))


def _described(entry: ModelEntry) -> dict[str, Any]:
    """OpenAI's fields, and two of ours: what the model can do at this moment, and in how many tokens."""
    return {
        "id": entry.name,
        "object": "model",
        "created": int(entry.created_at.timestamp()),
        "owned_by": "flotilla",
        "context_length": entry.context_length,
        "capabilities": sorted(entry.capabilities),
    }


def _json(payload: dict[str, Any]) -> HttpResponse:
    return HttpResponse(msgspec.json.encode(payload), content_type="application/json")
