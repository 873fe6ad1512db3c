"""The gateway's errors in Anthropic's shape."""

from typing import Any

from gateway.errors import GatewayError

_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
}


def error_payload(error: GatewayError, request_id: str) -> dict[str, Any]:
    """The body of an error's answer."""
    return {"type": "error", "error": worded(error.status, error.message), "request_id": request_id}


def worded(status: int, message: str) -> dict[str, str]:
    """The error itself."""
    kind = "invalid_request_error" if status < 500 else "api_error"
    return {"type": _TYPES.get(status, kind), "message": message}
