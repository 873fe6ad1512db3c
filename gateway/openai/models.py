"""GET /v1/models and GET /v1/models/{id}. In memory, and not metered."""

from typing import Any, cast

import msgspec
from django.conf import settings
from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request

from fleet.pricing import Price
from gateway.api.schema import described
from gateway.api.views import GatewayView
from gateway.catalogue import Offer, offer, offers
from gateway.keyring import Caller


class ModelsView(GatewayView):
    """Every model that is deployed and every route, under the names that this caller may write."""

    @extend_schema(**described("listModels", None, "ModelList"))
    async def get(self, request: Request) -> HttpResponse:
        return _json({"object": "list", "data": [_described(entry) for entry in offers(cast(Caller, request.user))]})


class ModelView(GatewayView):
    """One of them. Its id may hold slashes."""

    @extend_schema(**described("retrieveModel", None, "Model"))
    async def get(self, request: Request, model: str) -> HttpResponse:
        return _json(_described(offer(model, cast(Caller, request.user))))


def _described(entry: Offer) -> dict[str, Any]:
    """OpenAI's fields, and three of ours: what the model can do now, in how many tokens, and for how much."""
    return {
        "id": entry.name,
        "object": "model",
        "created": int(entry.created_at.timestamp()),
        "owned_by": entry.owner or "flotilla",
        "context_length": entry.context_length,
        "capabilities": sorted(entry.capabilities),
        "price": _priced(entry.price) if entry.price else None,
    }


def _priced(price: Price) -> dict[str, Any]:
    """For a million tokens."""
    return {
        "input": float(price.input),
        "cached_input": float(price.cached),
        "output": float(price.output),
        "currency": settings.CURRENCY,
    }


def _json(payload: dict[str, Any]) -> HttpResponse:
    return HttpResponse(msgspec.json.encode(payload), content_type="application/json")
