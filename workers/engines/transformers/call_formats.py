"""How families of models write calls of tools: how to find them in a text, read them, and make a model write them."""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

Call = tuple[str, Any]
"""A name and its arguments: JSON text, or a value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallFormat:
    """One family's. A region of a text holds calls; with calls in between, it is `opening`, calls, `closing`."""

    openings: tuple[str, ...]
    """Any of these begins a region, itself included."""
    closing: str
    """Ends it; empty: the end of the answer does."""
    read: Callable[[str], list[Call]]
    """The calls of a whole region, marks included. Raises ValueError, LookupError or the like for something else."""
    is_only_first: bool = False
    """Whether a region can only be the beginning of an answer: `openings` may well be met later on."""
    before_calls: str = ""
    before_arguments: str
    """With NAME for the tool's."""
    after_arguments: str
    between_calls: str
    after_calls: str = ""

    @property
    def marks(self) -> str:
        """A text that holds every mark of it."""
        written = (self.before_calls, self.before_arguments, self.after_arguments, self.after_calls)
        return " ".join((*self.openings, self.closing, *written))


def call_format(template: str) -> CallFormat:
    """Of the model with this chat template, by the marks in it; Hermes's where it has none that are known."""
    return next((form for form, marks in _MARKS if all(mark in template for mark in marks)), HERMES)


def _read_hermes(region: str) -> list[Call]:
    return [_call(json.loads(region.removeprefix("<tool_call>").removesuffix("</tool_call>")))]


def _read_llama(region: str) -> list[Call]:
    return [_call(item) for item in _objects(region.removeprefix("<|python_tag|>"))]


def _read_mistral(region: str) -> list[Call]:
    parts = [part.strip() for part in region.split("[TOOL_CALLS]") if part.strip()]
    return [call for part in parts for call in _read_mistral_part(part)]


def _read_mistral_part(part: str) -> list[Call]:
    if part.startswith("["):
        return [_call(item) for item in json.loads(part)]
    return [_named_call(_found(_MISTRAL_CALL, part))]


def _read_deepseek(region: str) -> list[Call]:
    return [_named_call(_found(_DEEPSEEK_CALL, part)) for part in region.split("<｜tool▁call▁begin｜>")[1:]]


_MISTRAL_CALL = re.compile(r"(?P<name>[\w.-]+?)(?:\[CALL_ID\]\w+)?(?:\[ARGS\])?\s*(?P<arguments>\{.*)", re.DOTALL)
_DEEPSEEK_CALL = re.compile(
    r"(?:function<｜tool▁sep｜>(?P<name>[\w.-]+)\s*```json\s*(?P<arguments>\{.*\})\s*```"
    r"|(?P<plain_name>[\w.-]+)<｜tool▁sep｜>(?P<plain_arguments>\{.*\}))\s*<｜tool▁call▁end｜>.*",
    re.DOTALL,
)


def _found(pattern: re.Pattern[str], text: str) -> dict[str, str]:
    found = pattern.fullmatch(text.strip())
    if found is None:
        raise ValueError("no call")
    return {name.removeprefix("plain_"): value for name, value in found.groupdict().items() if value is not None}


def _named_call(found: dict[str, str]) -> Call:
    json.loads(found["arguments"])
    return found["name"], found["arguments"].strip()


def _call(item: Any) -> Call:
    name = item["name"]
    if not isinstance(name, str):
        raise ValueError("no name")
    return name, item.get("arguments", item.get("parameters", {}))


def _objects(text: str) -> Iterator[Any]:
    """JSON values with `;` between them."""
    decoder, at = json.JSONDecoder(), 0
    while text[at:].strip(" \n;"):
        at += len(text[at:]) - len(text[at:].lstrip(" \n;"))
        value, at = decoder.raw_decode(text, at)
        yield value


HERMES = CallFormat(
    openings=("<tool_call>",),
    closing="</tool_call>",
    read=_read_hermes,
    before_arguments='<tool_call>\n{"name": "NAME", "arguments": ',
    after_arguments="}\n</tool_call>",
    between_calls="\n",
)
"""Hermes's, Qwen's, and our own demo model's."""
LLAMA = CallFormat(
    openings=("<|python_tag|>", '{"name": "', '{"type": "function", "name": "'),
    closing="",
    read=_read_llama,
    is_only_first=True,
    before_arguments='{"name": "NAME", "parameters": ',
    after_arguments="}",
    between_calls="; ",
)
"""Llama 3's."""
MISTRAL_LIST = CallFormat(
    openings=("[TOOL_CALLS]",),
    closing="",
    read=_read_mistral,
    before_calls="[TOOL_CALLS][",
    before_arguments='{"name": "NAME", "arguments": ',
    after_arguments="}",
    between_calls=", ",
    after_calls="]",
)
MISTRAL = CallFormat(
    openings=("[TOOL_CALLS]",),
    closing="",
    read=_read_mistral,
    before_arguments="[TOOL_CALLS]NAME[ARGS]",
    after_arguments="",
    between_calls="",
)
DEEPSEEK_FENCED = CallFormat(
    openings=("<｜tool▁calls▁begin｜>",),
    closing="<｜tool▁calls▁end｜>",
    read=_read_deepseek,
    before_calls="<｜tool▁calls▁begin｜>",
    before_arguments="<｜tool▁call▁begin｜>function<｜tool▁sep｜>NAME\n```json\n",
    after_arguments="\n```<｜tool▁call▁end｜>",
    between_calls="\n",
    after_calls="<｜tool▁calls▁end｜>",
)
"""DeepSeek V3's and R1's."""
DEEPSEEK = CallFormat(
    openings=("<｜tool▁calls▁begin｜>",),
    closing="<｜tool▁calls▁end｜>",
    read=_read_deepseek,
    before_calls="<｜tool▁calls▁begin｜>",
    before_arguments="<｜tool▁call▁begin｜>NAME<｜tool▁sep｜>",
    after_arguments="<｜tool▁call▁end｜>",
    between_calls="",
    after_calls="<｜tool▁calls▁end｜>",
)
"""DeepSeek V3.1's."""

_MARKS = (
    (HERMES, ("<tool_call>",)),
    (MISTRAL, ("[TOOL_CALLS]", "[ARGS]")),
    (MISTRAL_LIST, ("[TOOL_CALLS]",)),
    (DEEPSEEK_FENCED, ("<｜tool▁sep｜>", "```json")),
    (DEEPSEEK, ("<｜tool▁sep｜>",)),
    (LLAMA, ("<|python_tag|>",)),
    (LLAMA, ('"parameters": ',)),
)
"""The first whose marks are all in a template is the model's."""
