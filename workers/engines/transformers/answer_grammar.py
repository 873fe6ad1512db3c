"""All that an answer must keep to, as one grammar: a thought perhaps, then calls of tools, text, or a form."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from llguidance import LLMatcher
from llguidance.gbnf_to_lark import any_to_lark

from workers.engines.base import Form, ToolUse
from workers.engines.transformers.markup import Markup
from workers.engines.transformers.schemas import adapted

_ANYTHING = r"/(.|\n)*/"
_NO_ARGUMENTS = {"type": "object", "additionalProperties": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What decides on the grammar of an answer."""

    form: Form | None = None
    tools: Sequence[dict[str, Any]] = ()
    tool_use: ToolUse = field(default_factory=ToolUse)
    thinking: Literal["never", "may begin", "has begun"] = "never"
    """Whether the answer may begin with a thought, or is in one already."""

    @property
    def is_anything(self) -> bool:
        """Nothing is asked that needs a grammar."""
        return self.form is None and not (self.tools and (self.tool_use.must_call or self.tool_use.strict))

    @property
    def param(self) -> str:
        """The parameter that asks for it."""
        return self.form.param if self.form else "tools"


class AnswerGrammar:
    """Words one grammar in the library's own terms: Lark, with schemas as grammars that it refers to."""

    def __init__(self, wanted: Wanted, markup: Markup, is_control: Callable[[int], bool]) -> None:
        """`is_control`: whether the library takes a token for one that is no text."""
        self._wanted, self._markup, self._is_control = wanted, markup, is_control
        self._called = [tool["function"] for tool in wanted.tools if self._may_be_called(tool["function"]["name"])]

    def text(self) -> str:
        """Raises ValueError for a grammar that cannot be read."""
        rules = "\n".join(self._rules())
        return json.dumps({"grammars": [{"lark_grammar": rules}, *self._parts()]})

    def _rules(self) -> Iterator[str]:
        yield f"start: {self._thought()} ({' | '.join(self._bodies())})"
        marks = self._markup.thoughts
        if marks and self._wanted.thinking != "never":
            yield self._up_to("thinking", marks.closing)
        if self._called:
            yield f"called: {' | '.join(self._called_as(number) for number in range(len(self._called)))}"
            if self._is_mixed:
                yield self._up_to("said", self._markup.calls.openings[0])

    def _parts(self) -> Iterator[dict[str, Any]]:
        if self._wanted.form:
            yield {**_grammar_of(self._wanted.form), "name": "answer"}
        for number, function in enumerate(self._called):
            is_strict = function["name"] in self._wanted.tool_use.strict
            schema = adapted(function.get("parameters") or _NO_ARGUMENTS, is_strict=is_strict)
            yield {"json_schema": schema, "name": f"tool{number}"}

    @property
    def _is_mixed(self) -> bool:
        """Whether there may be text, calls, or both."""
        return self._wanted.form is None and not self._wanted.tool_use.must_call

    def _may_be_called(self, name: str) -> bool:
        return not self._wanted.tool_use.must_call or name in self._wanted.tool_use.must_call

    def _thought(self) -> str:
        marks = self._markup.thoughts
        if marks is None or self._wanted.thinking == "never":
            return ""
        has_begun = self._wanted.thinking == "has begun"
        return r"thinking /\n*/" if has_begun else rf"({self._literal(marks.opening)} thinking /\n*/)?"

    def _bodies(self) -> Iterator[str]:
        """What may come after the thought."""
        calls = self._markup.calls
        if self._wanted.form:
            yield "@answer"
        if self._is_mixed and calls.is_only_first:
            yield r"/([^{<](.|\n)*)?/"
        elif self._is_mixed:
            yield _ANYTHING
            yield f"said {self._calls(skipped=calls.openings[0])}"
        if self._called and not (self._is_mixed and not calls.is_only_first):
            yield self._calls()

    def _calls(self, skipped: str = "") -> str:
        calls = self._markup.calls
        firsts = (self._called_as(number, calls.before_calls, skipped) for number in range(len(self._called)))
        further = f"({self._literal(calls.between_calls)} called)*" if self._wanted.tool_use.is_parallel else ""
        return f"({' | '.join(firsts)}) {further} {self._literal(calls.after_calls)}"

    def _called_as(self, number: int, before: str = "", skipped: str = "") -> str:
        calls, name = self._markup.calls, self._called[number]["name"]
        before = (before + calls.before_arguments.replace("NAME", name)).removeprefix(skipped)
        return f"{self._literal(before)} @tool{number} {self._literal(calls.after_arguments)}"

    def _up_to(self, rule: str, mark: str) -> str:
        """A rule for any text, and this mark at its end."""
        if self._is_token(mark):
            return f"{rule}: {_ANYTHING} {self._literal(mark)}"
        return f"{rule}[suffix={json.dumps(mark, ensure_ascii=False)}]: {_ANYTHING}"

    def _is_token(self, text: str) -> bool:
        number = self._markup.tokens.get(text)
        return number is not None and self._is_control(number)

    def _literal(self, text: str) -> str:
        return " ".join(self._piece(piece) for piece in self._markup.split(text) if piece)

    def _piece(self, text: str) -> str:
        return f"<[{self._markup.tokens[text]}]>" if self._is_token(text) else json.dumps(text, ensure_ascii=False)


def _grammar_of(form: Form) -> dict[str, Any]:
    """Raises ValueError."""
    if form.kind == "json_schema":
        return {"json_schema": adapted(form.source, is_strict=form.is_strict)}
    if form.kind == "regex":
        return dict(json.loads(LLMatcher.grammar_from_regex(form.source))["grammars"][0])
    try:
        return {"lark_grammar": any_to_lark(form.source)}
    except Exception as error:
        # The library's converter of GBNF raises whatever comes to hand.
        raise ValueError(str(error)) from error
