"""What can go wrong on the road of a request. A class says who must act; doors translate it once, into OpenAI's shape.

GatewayError
├── the caller must change the request
│   ├── InvalidRequest          400   a value is wrong; `param` names it
│   │   └── UnsupportedModel
│   ├── InvalidAPIKey           401
│   ├── PermissionDenied        403
│   ├── UnknownRoute            404
│   ├── ModelNotFound           404
│   ├── MethodNotAllowed        405
│   ├── BodyTooSlow             408
│   ├── BodyTooLarge            413
│   ├── UnsupportedMediaType    415
│   └── UpstreamRefused         4xx   the engine's own refusal, passed on
├── the caller may try again later
│   ├── QueueFull               429   as many wait as may
│   ├── WaitedTooLong           429   for as long as one may
│   ├── NotReady                503   the server has just started
│   ├── NoReplicaReady          503
│   └── NotMetered              503   usage cannot be written down just now
└── the operator must look
    ├── UpstreamFailed          502
    │   └── StreamCut                 after the first byte: told inside the stream
    ├── UpstreamTimeout         504
    └── InternalError           500   a fault of ours
"""

from typing import Any

import msgspec

_LONGEST_QUOTE = 64
_LONGEST_MESSAGE = 500


def shortened(text: str, limit: int = _LONGEST_QUOTE) -> str:
    """The text, cut where it would fill an error message: what callers send is never echoed at length."""
    return text if len(text) <= limit else f"{text[:limit]}…"


class GatewayError(Exception):
    """An error that a caller is told about, in the words of OpenAI's API."""

    status = 500
    type = "server_error"
    code: str | None = None
    retry_after_s: int | None = None

    def __init__(self, message: str, *, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.message = shortened(message, _LONGEST_MESSAGE)
        self.param = shortened(param) if param else None
        self.code = code or self.code

    def payload(self) -> dict[str, Any]:
        """OpenAI's error object, all four keys."""
        return {"error": {"message": self.message, "type": self.type, "param": self.param, "code": self.code}}

    def body(self) -> bytes:
        return msgspec.json.encode(self.payload())

    def event(self) -> bytes:
        """The same as an event of a stream."""
        return b"data: " + self.body() + b"\n\n"


class InvalidRequest(GatewayError):
    """A value in the request is wrong. The caller must change it."""

    status, type = 400, "invalid_request_error"


class UnsupportedModel(InvalidRequest):
    """The model cannot do what that endpoint is for."""

    code = "unsupported_model"

    def __init__(self, model: str, endpoint: str) -> None:
        super().__init__(f"The model '{shortened(model)}' does not support /v1/{endpoint}.", param="model")


class InvalidAPIKey(GatewayError):
    """No key, or one that is unknown, expired or revoked."""

    status, type, code = 401, "invalid_request_error", "invalid_api_key"


class PermissionDenied(GatewayError):
    """The key is good, but not for this."""

    status, type, code = 403, "invalid_request_error", "permission_denied"


class UnknownRoute(GatewayError):
    """There is nothing at this address."""

    status, type, code = 404, "invalid_request_error", "unknown_url"


class ModelNotFound(GatewayError):
    """No model of that name is deployed."""

    status, type, code = 404, "invalid_request_error", "model_not_found"

    def __init__(self, model: str) -> None:
        super().__init__(
            f"The model '{shortened(model)}' does not exist. GET /v1/models lists those that do.", param="model"
        )


class MethodNotAllowed(GatewayError):
    """The address exists, the method does not."""

    status, type, code = 405, "invalid_request_error", "method_not_allowed"


class BodyTooSlow(GatewayError):
    """The body did not arrive within settings.BODY_TIMEOUT."""

    status, type, code = 408, "invalid_request_error", "request_timeout"


class BodyTooLarge(GatewayError):
    """More than settings.MAX_BODY_BYTES."""

    status, type, code = 413, "invalid_request_error", "request_too_large"


class UnsupportedMediaType(GatewayError):
    """Not plain JSON."""

    status, type, code = 415, "invalid_request_error", "unsupported_media_type"


class UpstreamRefused(GatewayError):
    """The engine found the request wrong (longer than its context, say), or its line full. Its words are passed on."""

    def __init__(self, status: int, error: dict[str, Any], *, retry_after_s: int | None = None) -> None:
        super().__init__(str(error.get("message") or "The model refused the request."))
        self.status = status
        self.type = shortened(str(error.get("type") or "invalid_request_error"))
        self.code = _text_or_none(error.get("code"))
        self.param = _text_or_none(error.get("param"))
        self.retry_after_s = retry_after_s


class QueueFull(GatewayError):
    """The model is busy, and as many requests wait for it as may. The caller may try again."""

    status, type, code = 429, "rate_limit_error", "queue_full"

    def __init__(self, model: str, *, retry_after_s: int) -> None:
        super().__init__(
            f"The model '{shortened(model)}' is busy and no more requests may wait for it. "
            f"Please try again in {retry_after_s} s."
        )
        self.retry_after_s = retry_after_s


class WaitedTooLong(GatewayError):
    """The model is busy, and the request has waited for its turn for as long as one may. The caller may try again."""

    status, type, code = 429, "rate_limit_error", "queue_timeout"

    def __init__(self, model: str, *, retry_after_s: int) -> None:
        super().__init__(
            f"The model '{shortened(model)}' is busy, and the request has waited for its turn as long as one may. "
            f"Please try again in {retry_after_s} s."
        )
        self.retry_after_s = retry_after_s


class NotReady(GatewayError):
    """The server has not been able to read its keys yet. The operator should look at the database if it lasts."""

    status, type, code, retry_after_s = 503, "server_error", "not_ready", 2

    def __init__(self) -> None:
        super().__init__("The server is starting. Please try again shortly.")


class NoReplicaReady(GatewayError):
    """The model is deployed, but nothing can answer just now. The caller may try again."""

    status, type, code, retry_after_s = 503, "server_error", "no_replica_ready", 5

    def __init__(self, model: str) -> None:
        super().__init__(f"No replica of the model '{shortened(model)}' is ready to answer. Please try again shortly.")


class NotMetered(GatewayError):
    """The usage journal cannot be written (a full disk, say), so nothing is served that could not be accounted for."""

    status, type, code, retry_after_s = 503, "server_error", "usage_not_recordable", 10

    def __init__(self) -> None:
        super().__init__("The server cannot record usage at the moment. Please try again later.")


class UpstreamFailed(GatewayError):
    """The worker or its engine broke down. The operator should look at the worker's log."""

    status, type, code = 502, "server_error", "upstream_failed"

    def __init__(self, message: str = "The model's worker failed to answer the request.") -> None:
        super().__init__(message)


class StreamCut(UpstreamFailed):
    """The worker broke down in the middle of a stream; what had come before was delivered."""

    def __init__(self) -> None:
        super().__init__("The model's worker failed in the middle of the answer.")


class UpstreamTimeout(GatewayError):
    """The engine was silent for longer than settings.UPSTREAM_READ_TIMEOUT."""

    status, type, code = 504, "server_error", "upstream_timeout"

    def __init__(self) -> None:
        super().__init__("The model's worker did not answer in time.")


class InternalError(GatewayError):
    """A fault of the gateway itself; the log has the traceback."""

    status, type, code = 500, "server_error", "internal_error"

    def __init__(self) -> None:
        super().__init__("The server had an error while processing the request.")


def _text_or_none(value: Any) -> str | None:
    return None if value is None else shortened(str(value))
