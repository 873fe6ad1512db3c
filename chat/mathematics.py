r"""LaTeX in Markdown to MathML, which browsers draw by themselves.

$..$ and \(..\) stand in a line of text, $$..$$ and \[..\] apart.
"""

from collections.abc import Sequence
from html import escape
from typing import Any

from latex2mathml.converter import convert
from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token
from mdit_py_plugins.dollarmath import dollarmath_plugin

MAX_FORMULA = 2_000
"""Characters; longer ones are shown as their source."""
_BLOCK = {"$$": "$$", "\\[": "\\]"}
_INLINE = {"\\(": ("\\)", "math_inline"), "\\[": ("\\]", "math_inline_double")}


def mathematics_plugin(markdown: MarkdownIt) -> None:
    """Adds the four notations to a parser."""
    dollarmath_plugin(
        markdown, allow_labels=False, allow_space=False, allow_digits=False, allow_blank_lines=False, double_inline=True
    )
    # Models write "so:\n\\[ x \\]" without a blank line between, hence `alt`: these blocks may end a paragraph.
    markdown.block.ruler.before("fence", "math_between", _block_rule, {"alt": ["paragraph", "list", "blockquote"]})
    markdown.inline.ruler.before("escape", "math_bracket", _inline_rule)
    markdown.add_render_rule("math_inline", _render_inline)
    for name in ("math_block", "math_inline_double"):
        markdown.add_render_rule(name, _render_apart)


def mathml(formula: str, *, display: str) -> str:
    """The formula as MathML, `display` being "inline" or "block"; its source as code where it cannot be read."""
    try:
        if len(formula) > MAX_FORMULA:
            raise ValueError("too long")
        return convert(formula.strip(), display=display)
    except Exception:  # latex2mathml raises whatever its parser trips over; a bad formula must not cost the answer.
        return f"<code>{escape(formula.strip(), quote=False)}</code>"


def _render_inline(_: Any, tokens: Sequence[Token], index: int, *__: Any) -> str:
    return mathml(tokens[index].content, display="inline")


def _render_apart(_: Any, tokens: Sequence[Token], index: int, *__: Any) -> str:
    formula = mathml(tokens[index].content, display="block")
    return f'<span class="math">{formula}</span>'


def _inline_rule(state: StateInline, silent: bool) -> bool:
    r"""\( .. \) and \[ .. \] within a line of text."""
    opening = state.src[state.pos : state.pos + 2]
    if opening not in _INLINE:
        return False
    closing, name = _INLINE[opening]
    end = state.src.find(closing, state.pos + 2, state.posMax)
    if end <= state.pos + 2:
        return False
    if not silent:
        state.push(name, "math", 0).content = state.src[state.pos + 2 : end]
    state.pos = end + 2
    return True


def _block_rule(state: StateBlock, first: int, limit: int, silent: bool) -> bool:
    r"""$$ .. $$ and \[ .. \] that begin a line and end one, without a blank line between."""
    begin = state.bMarks[first] + state.tShift[first]
    closing = _BLOCK.get(state.src[begin : begin + 2])
    if closing is None or state.is_code_block(first):
        return False
    last = _last_line(state, (first, limit), closing)
    if last is None:
        return False
    if not silent:
        token = state.push("math_block", "math", 0)
        token.map = [first, last + 1]
        token.content = _content(state, first, last).strip()[2:-2]
        state.line = last + 1
    return True


def _last_line(state: StateBlock, lines: tuple[int, int], closing: str) -> int | None:
    """The line that the closing mark ends; None where a blank line or the end comes first."""
    for line in range(*lines):
        text = state.src[state.bMarks[line] + state.tShift[line] : state.eMarks[line]].rstrip()
        # The first line holds the opening mark too, which may be written as the closing one.
        if text.endswith(closing) and (line > lines[0] or len(text) > 4):
            return line
        if not text or closing in text[2:]:
            return None
    return None


def _content(state: StateBlock, first: int, last: int) -> str:
    return "\n".join(state.src[state.bMarks[n] + state.tShift[n] : state.eMarks[n]] for n in range(first, last + 1))
