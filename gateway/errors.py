"""What can go wrong on the road of a request. A class says who must act; doors translate it once, into OpenAI's shape.

GatewayError
├── the caller must change the request
│   ├── InvalidRequest          400   a value is wrong; `param` names it
│   │   ├── InvalidImage
│   │   ├── UnsupportedModel
│   │   ├── UnsupportedParameter
│   │   └── ContentRefused
│   ├── InvalidAPIKey           401
│   ├── AddressRefused          401
│   ├── PermissionDenied        403
│   ├── UnknownRoute            404
│   ├── ModelNotFound           404
│   ├── ResponseNotFound        404
│   ├── MethodNotAllowed        405
│   ├── BodyTooSlow             408
│   ├── BodyTooLarge            413
│   ├── UnsupportedMediaType    415
│   └── UpstreamRefused         4xx   the engine's own refusal, passed on
├── the caller may try again later
│   ├── ContentUnchecked        503   the classifier of a content policy could not be asked
│   ├── RateLimitExceeded       429   a limit of the key or its team, in a minute or at the same time
│   ├── InsufficientQuota       429   its budget of the day, week or month
│   ├── QueueFull               429   as many wait as may
│   ├── WaitedTooLong           429   for as long as one may
│   ├── NotReady                503   the server has just started
│   ├── ServerStopping          503   it ends before there was an answer
│   ├── NoReplicaReady          503
│   └── NotMetered              503   usage cannot be written down just now
└── the operator must look
    ├── UpstreamFailed          502
    │   └── StreamCut                 after the first byte: told inside the stream
    ├── UpstreamTimeout         504
    └── InternalError           500   a fault of ours
"""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from protocol.redaction import redacted_start

_LONGEST_QUOTE = 64
_LONGEST_MESSAGE = 500


def shortened(text: str, limit: int = _LONGEST_QUOTE) -> str:
    """The text, cut where it would fill an error message: what callers send is never echoed at length, and a key that
    somebody sent in the wrong field not at all."""
    start = redacted_start(text, limit + 1)
    return start if len(start) <= limit else f"{start[:limit]}…"


class GatewayError(Exception):
    """An error that a caller is told about, in the words of OpenAI's API."""

    status = 500
    type = "server_error"
    code: str | None = None
    retry_after_s: int | None = None
    headers: Mapping[str, str] = {}

    def __init__(self, message: str, *, param: str | None = None, code: str | None = None) -> None:
        self.message = shortened(message, _LONGEST_MESSAGE)
        super().__init__(self.message)
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


class InvalidImage(InvalidRequest):
    """It is none, or too large, or cannot be fetched."""

    code = "invalid_image"

    def __init__(self, param: str, url: str, reason: str) -> None:
        super().__init__(f"Invalid value for '{param}': {reason}.", param=param)
        self.url = url
        """As it was written. Never told: it may hold the image."""
        self.reason = reason


class UnsupportedModel(InvalidRequest):
    """The model cannot do what that endpoint is for."""

    code = "unsupported_model"

    def __init__(self, model: str, endpoint: str) -> None:
        super().__init__(f"The model '{shortened(model)}' does not support /v1/{endpoint}.", param="model")


class UnsupportedParameter(InvalidRequest):
    """None of the model's replicas runs on an engine that honours this parameter."""

    code = "unsupported_parameter"

    def __init__(self, model: str, param: str) -> None:
        super().__init__(
            f"Unsupported parameter: '{param}' is not supported with the model '{shortened(model)}'. Leave it out.",
            param=param,
        )


class ContentRefused(InvalidRequest):
    """A content policy does not allow it: what was asked, or what the model answered (then `param` is empty)."""

    code = "content_policy_violation"

    def __init__(self, policy: str, *, param: str = "", is_unreadable: bool = False) -> None:
        super().__init__(_refusal(policy, param, is_unreadable), param=param or None)


class InvalidAPIKey(GatewayError):
    """No key, or one that is unknown, disabled, expired or revoked."""

    status, type, code = 401, "invalid_request_error", "invalid_api_key"


class AddressRefused(GatewayError):
    """The key may not be used from there."""

    status, type, code = 401, "invalid_request_error", "ip_not_authorized"

    def __init__(self) -> None:
        super().__init__("This API key may not be used from your network. Ask your administrator to allow it.")


class PermissionDenied(GatewayError):
    """The key is good, but not for this."""

    status, type, code = 403, "invalid_request_error", "permission_denied"


class UnknownRoute(GatewayError):
    """There is nothing at this address."""

    status, type, code = 404, "invalid_request_error", "unknown_url"


class ModelNotFound(GatewayError):
    """No model of that name is deployed, or the key may not call it."""

    status, type, code = 404, "invalid_request_error", "model_not_found"

    def __init__(self, model: str) -> None:
        super().__init__(
            f"The model '{shortened(model)}' does not exist, or this API key may not call it. "
            "GET /v1/models lists those that it may.",
            param="model",
        )


class ResponseNotFound(GatewayError):
    """The caller has no response of that id."""

    status, type, code = 404, "invalid_request_error", "response_not_found"

    def __init__(self, response_id: str, *, param: str | None = None) -> None:
        super().__init__(
            f"There is no response '{shortened(response_id)}'. It may have expired, or was created with store=false.",
            param=param,
        )


class MethodNotAllowed(GatewayError):
    """The address exists, the method does not."""

    status, type, code = 405, "invalid_request_error", "method_not_allowed"

    def __init__(self, allowed: Iterable[str]) -> None:
        methods = ", ".join(allowed)
        super().__init__(f"This address does not take requests of that method. Use {methods}.")
        self.headers = {"Allow": methods}


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


class RateLimitExceeded(GatewayError):
    """A limit of the key or of its team. The caller may try again, or ask for less; the administrator may raise it."""

    status, code = 429, "rate_limit_exceeded"

    def __init__(self, limit: str, *, type: str, retry_after_s: int, headers: Mapping[str, str]) -> None:
        super().__init__(f"Rate limit reached: {limit}. Please try again in {retry_after_s} s.")
        self.type = type
        self.retry_after_s = retry_after_s
        self.headers = headers


class InsufficientQuota(GatewayError):
    """A budget of the key or of its team is used up, or what is left of it is less than the request may need."""

    status, type, code = 429, "insufficient_quota", "insufficient_quota"

    def __init__(self, limit: str, *, retry_after_s: int) -> None:
        super().__init__(
            f"You exceeded a quota: {limit}. It begins anew in {retry_after_s} s. Ask for fewer tokens, or ask your "
            "administrator to raise it."
        )
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


class ContentUnchecked(GatewayError):
    """The classifier of a content policy that refuses could not be asked, so nothing may pass it."""

    status, type, code, retry_after_s = 503, "server_error", "content_policy_unavailable", 5

    def __init__(self, policy: str) -> None:
        super().__init__(f"The content policy '{policy}' cannot be applied at the moment. Please try again shortly.")


class NotReady(GatewayError):
    """The server has not been able to read its keys yet. The operator should look at the database if it lasts."""

    status, type, code, retry_after_s = 503, "server_error", "not_ready", 2

    def __init__(self) -> None:
        super().__init__("The server is starting. Please try again shortly.")


class ServerStopping(GatewayError):
    """This web process ends, and there was no time left for the answer. Another process may give it."""

    status, type, code, retry_after_s = 503, "server_error", "server_stopping", 2

    def __init__(self) -> None:
        super().__init__("The server is stopping or starting anew. Please try again shortly.")


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


def _refusal(policy: str, param: str, is_unreadable: bool) -> str:
    if is_unreadable:
        return f"'{param}' holds token ids, which the content policy '{policy}' cannot read. Send it as text."
    if param:
        return f"'{param}' is refused by the content policy '{policy}'. Change it, or ask your administrator."
    return f"The model's answer is refused by the content policy '{policy}'. Ask for something else."


def _text_or_none(value: Any) -> str | None:
    return None if value is None else shortened(str(value))
