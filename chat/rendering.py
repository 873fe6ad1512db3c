"""A model's Markdown to safe HTML. One renderer for history and live answers; no inline style, no remote content.

A live answer is drawn in two parts: the blocks that nothing later can change, sent once, and the open tail.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token
from mdit_py_plugins.tasklists import tasklists_plugin

from chat.highlighting import highlighted
from chat.mathematics import mathematics_plugin
from chat.sanitising import sanitised

MAX_RENDERED = 200_000
"""Characters; a longer text is shown as it is."""


def render_markdown(text: str) -> str:
    """The text as HTML that is safe to put into a page."""
    if len(text) > MAX_RENDERED:
        return f'<pre class="plain">{escape(text, quote=False)}</pre>'
    return sanitised(_markdown.render(text))


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """What an addition changed: `closed` is to be appended, `tail` replaces the open tail.

    `offset` and `end` count the characters of text before and after it.
    """

    offset: int
    end: int
    closed: str
    tail: str


@dataclass(slots=True)
class LiveDocument:
    """An answer being written. Appending costs what the open tail costs, however long the answer already is."""

    closed: list[str] = field(default_factory=list)
    tail: str = ""
    end: int = 0
    _open_text: str = ""

    def append(self, text: str) -> Piece:
        offset, self.end = self.end, self.end + len(text)
        self._open_text += text.replace("\r", "")
        num_closed = closed_length(self._open_text)
        closed = render_markdown(self._open_text[:num_closed]) if num_closed else ""
        self._open_text = self._open_text[num_closed:]
        self.tail = render_markdown(self._open_text)
        self.closed += [closed] if closed else []
        return Piece(offset=offset, end=self.end, closed=closed, tail=self.tail)


def closed_length(text: str) -> int:
    """How many leading characters hold blocks that no further text can change.

    Only whole lines are looked at: a last line that is still growing ("2", then "2. next") may yet belong to the block
    above it. Of those, every block is closed but the last one.
    """
    *lines, _growing = text.split("\n")
    tokens: list[Token] = []
    _markdown.block.parse("\n".join(lines), _markdown, {}, tokens)
    starts = [token.map[0] for token in tokens if token.level == 0 and token.nesting >= 0 and token.map]
    return sum(len(line) + 1 for line in lines[: starts[-1]]) if len(starts) > 1 else 0


def _fence(_: Any, tokens: Sequence[Token], index: int, *__: Any) -> str:
    """A code block under a line that names its language; the page's script puts the copy button there."""
    language = tokens[index].info.strip().split(" ")[0][:40]
    code = highlighted(tokens[index].content, language.lower())
    return (
        f'<div class="code-block"><div class="code-head"><span>{escape(language)}</span></div>'
        f'<pre tabindex="0"><code class="code">{code}</code></pre></div>\n'
    )


def _image(_: Any, tokens: Sequence[Token], index: int, *__: Any) -> str:
    """A link: fetching a picture from elsewhere would tell that server who reads this, and when."""
    label = escape(tokens[index].content or str(tokens[index].attrs.get("src", "")))
    return f'<a href="{escape(str(tokens[index].attrs.get("src", "")))}">{label}</a>'


def _cell_open(_: Any, tokens: Sequence[Token], index: int, *__: Any) -> str:
    """The parser aligns cells by a style attribute, which the pages' policy forbids; a class does the same."""
    alignment = str(tokens[index].attrs.get("style", "")).removeprefix("text-align:")
    css_class = f' class="align-{alignment}"' if alignment else ""
    return f"<{tokens[index].tag}{css_class}>"


def _parser() -> MarkdownIt:
    # A single line break is meant as one by most models, hence `breaks`.
    markdown = MarkdownIt("commonmark", {"html": False, "breaks": True}).enable(["table", "strikethrough"])
    markdown.use(mathematics_plugin).use(tasklists_plugin)
    for name, rule in {
        "fence": _fence, "code_block": _fence, "image": _image, "th_open": _cell_open, "td_open": _cell_open,
    }.items():  # fmt: skip
        markdown.add_render_rule(name, rule)
    return markdown


_markdown = _parser()
