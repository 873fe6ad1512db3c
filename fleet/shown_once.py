"""The page that shows a new secret, once: a join token's or an API key's."""

from typing import Any

from django.http import HttpRequest
from django.template.response import TemplateResponse


def show_once(request: HttpRequest, template: str, context: dict[str, Any]) -> TemplateResponse:
    """The secret goes into this answer and nowhere else: no session, no message, no cache."""
    response = TemplateResponse(request, template, context)
    response["Cache-Control"] = "no-store"
    return response
