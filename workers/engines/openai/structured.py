"""`response_format`, and vLLM's `structured_outputs`: which form an answer must have."""

import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal

import msgspec

from workers.engines.base import Form
from workers.errors import BadRequest

MAX_FORM_BYTES = 128 * 1024
"""Beyond any schema that people write; what a grammar costs grows with it."""
MAX_SCHEMA_DEPTH = 64
ANY_OBJECT: dict[str, Any] = {"type": "object"}


class SchemaFormat(msgspec.Struct, forbid_unknown_fields=True):
    """The `json_schema` of a response format. `name` and `description` are for the reader."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
    schema: dict[str, Any] | None = None
    strict: bool | None = None
    description: str | None = None


class ResponseFormat(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """OpenAI's."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: SchemaFormat | None = None


class StructuredOutputs(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """vLLM's: one of these."""

    json: str | dict[str, Any] | None = None
    regex: str | None = None
    choice: Annotated[list[str], msgspec.Meta(min_length=1)] | None = None
    grammar: str | None = None
    json_object: Literal[True] | None = None


def read_form(response_format: ResponseFormat | None, structured_outputs: StructuredOutputs | None) -> Form | None:
    """The form that is asked for; None where any text will do. Raises BadRequest."""
    forms = [*_of_response_format(response_format), *_of_structured_outputs(structured_outputs)]
    if len(forms) > 1:
        raise BadRequest(
            "An answer has one form: give one field of 'structured_outputs', or 'response_format'.",
            param="structured_outputs",
        )
    for form in forms:
        check_size(form.source, form.param)
    return forms[0] if forms else None


def check_size(source: Any, param: str) -> None:
    """Raises BadRequest for a schema or grammar that nobody needs."""
    if _is_deeper(source, MAX_SCHEMA_DEPTH):
        raise BadRequest(f"'{param}' is nested deeper than {MAX_SCHEMA_DEPTH} levels.", param=param)
    if len(msgspec.json.encode(source)) > MAX_FORM_BYTES:
        raise BadRequest(f"'{param}' is longer than {MAX_FORM_BYTES // 1024} KiB.", param=param)


def _of_response_format(asked: ResponseFormat | None) -> Iterator[Form]:
    param = "response_format"
    if asked is None:
        return
    if (asked.type == "json_schema") != (asked.json_schema is not None):
        raise BadRequest(
            "'response_format.json_schema' goes with the type 'json_schema', which needs it.",
            param="response_format.json_schema",
        )
    if asked.json_schema is not None:
        schema = ANY_OBJECT if asked.json_schema.schema is None else asked.json_schema.schema
        is_strict = bool(asked.json_schema.strict)
        yield Form(kind="json_schema", source=schema, is_strict=is_strict, param=f"{param}.json_schema.schema")
    elif asked.type == "json_object":
        yield Form(kind="json_schema", source=ANY_OBJECT, param=param)


def _of_structured_outputs(asked: StructuredOutputs | None) -> Iterator[Form]:
    if asked is None:
        return
    param = "structured_outputs"
    if asked.json is not None:
        yield Form(kind="json_schema", source=_schema(asked.json), param=f"{param}.json")
    if asked.json_object is not None:
        yield Form(kind="json_schema", source=ANY_OBJECT, param=f"{param}.json_object")
    if asked.regex is not None:
        yield Form(kind="regex", source=asked.regex, param=f"{param}.regex")
    if asked.choice is not None:
        yield Form(kind="regex", source="|".join(map(re.escape, asked.choice)), param=f"{param}.choice")
    if asked.grammar is not None:
        yield Form(kind="grammar", source=asked.grammar, param=f"{param}.grammar")


def _schema(given: str | dict[str, Any]) -> dict[str, Any]:
    if isinstance(given, dict):
        return given
    try:
        return msgspec.json.decode(given, type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError) as error:
        raise BadRequest(
            "'structured_outputs.json' is no JSON schema: expected an object.", param="structured_outputs.json"
        ) from error


def _is_deeper(value: Any, levels: int) -> bool:
    """Whether lists and objects are nested more than so many levels deep."""
    if not isinstance(value, dict | list):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(_is_deeper(item, levels - 1) for item in inner)
