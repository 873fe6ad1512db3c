"""The page that shows a new API key, once; for admin and for people's own keys."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext

from fleet.models import LanguageModel, Replica
from fleet.shown_once import show_once
from gateway.models import APIKey
from protocol.control import ANSWERING


def show_issued_key(
    request: HttpRequest, template: str, key: APIKey, secret: str, context: dict[str, Any]
) -> HttpResponse:
    """`context` is added to what the page needs of its own."""
    page = {
        "title": gettext("Your new API key"),
        "key": key,
        "secret": secret,
        "base_url": api_base_url(request),
        "model": _model_to_try(),
        **context,
    }
    return show_once(request, template, page)


def _model_to_try() -> str:
    """One that can chat right now, else one that is deployed, else a word in its place."""
    ready = Replica.objects.desired().filter(phase__in=ANSWERING).select_related("deployment__model")
    chatting = (replica.deployment.model.name for replica in ready if "chat" in replica.capabilities)
    deployed = LanguageModel.objects.filter(deployments__isnull=False).values_list("name", flat=True)
    return next(chatting, None) or deployed.first() or "your-model"


def api_base_url(request: HttpRequest) -> str:
    """What a client puts into `base_url`, as this visitor reaches us."""
    return request.build_absolute_uri("/v1")
