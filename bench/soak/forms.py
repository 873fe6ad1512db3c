"""Forms that answers can be held to, each with how one knows that an answer has it."""

import json
import re
from collections.abc import Callable
from typing import Any

_PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 12},
        "age": {"anyOf": [{"type": "integer", "minimum": 0, "maximum": 150}, {"type": "null"}]},
        "colour": {"enum": ["red", "green", "blue"]},
        "home": {"$ref": "#/$defs/Place"},
    },
    "required": ["name", "age", "colour", "home"],
    "additionalProperties": False,
    "$defs": {
        "Place": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
_KINDS = ["yes", "no", "perhaps not"]

TOOLS = [
    {"type": "function", "function": {"name": name, "parameters": parameters}}
    for name, parameters in (
        ("get_weather", {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}),
        ("set_light", {"type": "object", "properties": {"on": {"type": "boolean"}}, "required": ["on"]}),
    )
]


def _is_person(text: str) -> bool:
    found = json.loads(text)
    age = found["age"]
    return (
        set(found) == {"name", "age", "colour", "home"}
        and (age is None or 0 <= age <= 150)
        and found["colour"] in ("red", "green", "blue")
        and "city" in found["home"]
    )


def _is_object(text: str) -> bool:
    return isinstance(json.loads(text), dict)


FORMS: list[tuple[dict[str, Any], Callable[[str], bool]]] = [
    (
        {"response_format": {"type": "json_schema", "json_schema": {"name": "person", "schema": _PERSON}}},
        _is_person,
    ),
    ({"response_format": {"type": "json_object"}}, _is_object),
    ({"structured_outputs": {"regex": "[a-f]{3}-[0-9]{2,4}"}}, re.compile("[a-f]{3}-[0-9]{2,4}").fullmatch),
    ({"structured_outputs": {"choice": _KINDS}}, _KINDS.__contains__),
    ({"structured_outputs": {"grammar": 'root ::= "a" ("b" | "c")* "d"'}}, re.compile("a[bc]*d").fullmatch),
]
