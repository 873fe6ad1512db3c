"""JSON schemas as people write them → as the grammar's library takes them. What changes only ever narrows them."""

from collections.abc import Mapping
from typing import Any

Schema = Any
"""A dictionary, or true or false."""

_FORMATS = frozenset({"duration", "email", "hostname", "ipv4", "ipv6", "uuid", "uri"})
"""Those that the library enforces. By JSON Schema's own rules unknown ones are notes."""
_LEAP_DAY = r"(\d\d(0[48]|[2468][048]|[13579][26])|(0[48]|[2468][048]|[13579][26])00)-02-29"
_OTHER_DAY = (
    r"(000[1-9]|00[1-9]\d|0[1-9]\d\d|[1-9]\d{3})-((0[1-9]|1[0-2])-(0[1-9]|1\d|2[0-8])"
    r"|(0[13-9]|1[0-2])-(29|30)|(0[13578]|1[02])-31)"
)
_DATE = f"({_LEAP_DAY}|{_OTHER_DAY})"
_TIME = r"([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,6})?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)"
_PATTERNS = {"date": f"^{_DATE}$", "time": f"^{_TIME}$", "date-time": f"^{_DATE}T{_TIME}$"}
"""The library's own know the 31st of February and the year 0, which no program can read."""
_MAPS = ("properties", "patternProperties", "$defs", "definitions")
_LISTS = ("anyOf", "oneOf", "allOf", "prefixItems")
_SINGLE = ("items", "additionalProperties")
_OPENING = frozenset({"additionalProperties", "patternProperties", "unevaluatedProperties", "allOf"})
_LOOK_AROUND = ("(?=", "(?!", "(?<=", "(?<!")
_ALTERNATIVES = ("anyOf", "oneOf")

_GUIDANCE = {
    # A space or a new line with its indentation: where any white space may follow, models fall into endless runs of it.
    "whitespace_pattern": r"( |\n {0,24})?",
    "coerce_one_of": True,
}


def adapted(schema: Mapping[str, Any], *, is_strict: bool) -> dict[str, Any]:
    """The same, for a grammar. Not strict: what cannot be enforced is passed over. The input stays as it is."""
    # Closing a part of an `allOf` would shut out what the other parts want.
    walked = _walked(schema, closes="allOf" not in str(schema))
    return {**walked, "x-guidance": {**_GUIDANCE, "lenient": not is_strict}}


def _walked(schema: Schema, *, closes: bool) -> Schema:
    if not isinstance(schema, Mapping):
        return schema
    result = {name: _walked_keyword(name, value, closes=closes) for name, value in schema.items()}
    if isinstance(name := result.get("format"), str) and name not in _FORMATS:
        del result["format"]
        result |= {"pattern": _PATTERNS[name]} if name in _PATTERNS and "pattern" not in result else {}
    if closes and "properties" in result and not _OPENING & result.keys():
        # What is not named may be there by the standard, but a model that is free to invent properties does.
        result["additionalProperties"] = False
    for name in _ALTERNATIVES:
        if name in result:
            result[name] = _expressible(result[name])
    return result


def _walked_keyword(name: str, value: Any, *, closes: bool) -> Any:
    if name in _MAPS and isinstance(value, Mapping):
        return {key: _walked(item, closes=closes) for key, item in value.items()}
    if name in _LISTS and isinstance(value, list):
        return [_walked(item, closes=closes) for item in value]
    return _walked(value, closes=closes) if name in _SINGLE else value


def _expressible(alternatives: Any) -> Any:
    """Without those whose pattern looks around, such as pydantic's of decimals in text, where others are left."""
    if not isinstance(alternatives, list):
        return alternatives
    return [item for item in alternatives if not _looks_around(item)] or alternatives


def _looks_around(schema: Schema) -> bool:
    pattern = schema.get("pattern") if isinstance(schema, Mapping) else None
    return isinstance(pattern, str) and any(mark in pattern for mark in _LOOK_AROUND)
