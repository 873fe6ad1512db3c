"""JSON → a typed request, in one pass; every error names the parameter."""

import re
from typing import IO, Any

import msgspec
from rest_framework.parsers import BaseParser

from gateway.errors import GatewayError, InvalidRequest, shortened

_AT = re.compile(r" - at `\$\.?(?P<path>.*)`$", re.DOTALL)
_UNKNOWN = re.compile(r"unknown field `(?P<name>.*?)`", re.DOTALL)
_MISSING = re.compile(r"missing required field `(?P<name>.*?)`")


class StructParser(BaseParser):
    """Decodes into the view's `request_type`."""

    media_type = "application/json"

    def parse(self, stream: IO[Any], media_type: str | None = None, parser_context: Any = None) -> Any:
        """Raises InvalidRequest."""
        return decode_request(stream.read(), parser_context["view"].request_type)


def decode_request(body: bytes, request_type: type[msgspec.Struct]) -> msgspec.Struct:
    """Raises InvalidRequest, with `param` where a value is wrong."""
    try:
        return msgspec.json.decode(body, type=request_type)
    except msgspec.ValidationError as error:
        raise wrong_value(str(error)) from None
    except (ValueError, RecursionError) as error:
        # Broken JSON, NaN, bytes that are no UTF-8, half a surrogate pair, nesting without end.
        raise InvalidRequest(f"The request body is not valid JSON: {shortened(str(error), 200)}.") from None


def wrong_value(complaint: str) -> GatewayError:
    """msgspec's complaint in OpenAI's terms."""
    at = _AT.search(complaint)
    path = at["path"] if at else ""
    reason = shortened(complaint[: at.start()] if at else complaint, 200)
    if unknown := _UNKNOWN.search(complaint):
        param = _joined(path, unknown["name"])
        message = f"The parameter '{shortened(param)}' is not supported by this server. Remove it from the request."
        return InvalidRequest(message, param=param, code="unknown_parameter")
    if missing := _MISSING.search(complaint):
        param = _joined(path, missing["name"])
        return InvalidRequest(
            f"Missing required parameter: '{shortened(param)}'.", param=param, code="missing_required_parameter"
        )
    if not path:
        return InvalidRequest(f"The request body must be a JSON object: {reason}.")
    return InvalidRequest(f"Invalid value for '{shortened(path)}': {reason}.", param=path, code="invalid_value")


def _joined(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
