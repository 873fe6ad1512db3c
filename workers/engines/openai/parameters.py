"""Bodies of requests: decoded and checked, every parameter either understood or refused by its name.

Nothing is silently ignored. A parameter that the engine does not have is let through only where its value changes
nothing (`n: 1`, `logprobs: false`) or where it is a mere note (`user`, `metadata`); null always means "not given".
"""

import re
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from workers.errors import BadRequest

ANYTHING = object()
"""Marks a parameter that is only a note, whatever its value."""

Neutral = Mapping[str, object]
"""Parameter → the values (a tuple) that ask for nothing, or ANYTHING."""

NOTES: Neutral = dict.fromkeys(("user", "metadata", "safety_identifier", "prompt_cache_key"), ANYTHING)

_MAX_ERROR_LENGTH = 300
_LOCATION = re.compile(r" - at `\$\.?(?P<path>.*)`$", re.DOTALL)

Parameters = TypeVar("Parameters", bound=msgspec.Struct)


def decode_object(body: bytes) -> dict[str, Any]:
    """The JSON object in this body. Raises BadRequest, also for NaN, lone surrogates and endless nesting."""
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except RecursionError as error:
        raise BadRequest("The body of the request is nested too deeply.") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadRequest(f"The body of the request is not a valid JSON object: {shorten(str(error))}") from error


def read_parameters(
    kind: type[Parameters], given: dict[str, Any], neutral: Neutral, *, where: str = "", is_form: bool = False
) -> Parameters:
    """The parameters as typed fields. Raises BadRequest naming the first that is wrong.

    `where` is the path of `given` inside the body, such as `messages[0]`. In a form all values are texts.
    """
    values = {name: value for name, value in given.items() if value is not None}
    unknown = values.keys() - set(kind.__struct_fields__)
    for name in sorted(unknown):
        _require_neutral(_join(where, name), values.pop(name), neutral.get(name))
    try:
        return msgspec.convert(values, kind, strict=not is_form)
    except msgspec.ValidationError as error:
        raise _invalid(str(error), where) from error


def shorten(text: str) -> str:
    """Fit to be shown in an error: a caller's long input is not echoed whole."""
    return text if len(text) <= _MAX_ERROR_LENGTH else text[:_MAX_ERROR_LENGTH] + "…"


def _require_neutral(param: str, value: object, neutral: object) -> None:
    param = shorten(param)
    if neutral is None:
        raise BadRequest(f"Unrecognized request argument supplied: {param}", param=param, code="unknown_parameter")
    if neutral is not ANYTHING and isinstance(neutral, tuple) and value not in neutral:
        allowed = " or ".join(msgspec.json.encode(item).decode() for item in neutral)
        raise BadRequest(
            f"Unsupported parameter: '{param}' is not supported with this model. Leave it out"
            + (f", or set it to {allowed}." if neutral else "."),
            param=param,
            code="unsupported_parameter",
        )


def _invalid(message: str, where: str) -> BadRequest:
    found = _LOCATION.search(message)
    param = _join(where, found["path"] if found else "")
    text = _LOCATION.sub("", message)
    if missing := re.search(r"missing required field `(\w+)`", text):
        param = _join(param, missing[1])
        return BadRequest(f"Missing required parameter: '{param}'.", param=param, code="missing_required_parameter")
    return BadRequest(f"Invalid value for '{shorten(param)}': {shorten(text)}.", param=shorten(param) or None)


def _join(where: str, name: str) -> str:
    separator = "." if where and name and not name.startswith("[") else ""
    return f"{where}{separator}{name}"
