"""Any exception → OpenAI's error, rendered. The one place where errors of the HTTP door are translated."""

import logging
from typing import Any

from django.http import Http404, HttpResponse
from rest_framework import exceptions

from gateway import errors

logger = logging.getLogger(__name__)


def handle_exception(error: Exception, context: dict[str, Any]) -> HttpResponse:
    """The REST framework's exception handler for everything under /v1."""
    return error_response(translated(error))


def translated(error: Exception) -> errors.GatewayError:
    """What the caller should be told."""
    match error:
        case errors.GatewayError():
            return error
        case exceptions.UnsupportedMediaType():
            return errors.UnsupportedMediaType(
                "Send the request body as JSON, with the header Content-Type: application/json."
            )
        case exceptions.PermissionDenied() | exceptions.NotAuthenticated():
            return errors.PermissionDenied("This key may not do that.")
        case exceptions.ParseError():
            return errors.InvalidRequest("The request could not be read.")
        case Http404():
            return unknown_route()
    logger.error("A request met a fault of the gateway", exc_info=error)
    return errors.InternalError()


def unknown_route() -> errors.UnknownRoute:
    return errors.UnknownRoute("There is nothing at this address. Is the base URL right? It ends in /v1.")


def error_response(error: errors.GatewayError) -> HttpResponse:
    response = HttpResponse(error.body(), status=error.status, content_type="application/json")
    if error.retry_after_s is not None:
        response["Retry-After"] = str(error.retry_after_s)
    for name, value in error.headers.items():
        response[name] = value
    if error.status == 401:
        response["WWW-Authenticate"] = "Bearer"
    return response
