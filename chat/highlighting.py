"""Code to highlighted HTML with classes only (the pages allow no inline style), and the stylesheet for those classes.

`python -m chat.highlighting > static/css/highlight.css` writes the stylesheet again; a test compares the two.
"""

from collections.abc import Mapping
from html import escape

from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name
from pygments.style import Style
from pygments.styles import get_style_by_name
from pygments.token import STANDARD_TYPES
from pygments.util import ClassNotFound

LIGHT, DARK = "default", "github-dark"
MAX_HIGHLIGHTED = 30_000
"""Characters; a longer block is shown plain, since some lexers take seconds on a megabyte."""


def highlighted(code: str, language: str) -> str:
    """The code as HTML: spans for a language that is known, escaped text for any other."""
    if not language or len(code) > MAX_HIGHLIGHTED:
        return escape(code, quote=False)
    try:
        lexer = get_lexer_by_name(language, stripnl=False, ensurenl=False)
    except ClassNotFound:
        return escape(code, quote=False)
    return highlight(code, lexer, HtmlFormatter(nowrap=True))


def _looks(style: type[Style]) -> dict[str, Mapping[str, object]]:
    """Class name → how it looks, for every token type of the style."""
    return {STANDARD_TYPES[token]: look for token, look in style if STANDARD_TYPES.get(token)}


def _rule(name: str, light: Mapping[str, object], dark: Mapping[str, object]) -> str:
    """One line of the stylesheet; empty where neither theme says anything."""
    parts = []
    if light.get("color") or dark.get("color"):
        colours = [f"#{look['color']}" if look.get("color") else "currentcolor" for look in (light, dark)]
        parts.append(f"color: light-dark({colours[0]}, {colours[1]});")
    if light.get("bold") or dark.get("bold"):
        parts.append("font-weight: 600;")
    if light.get("italic") or dark.get("italic"):
        parts.append("font-style: italic;")
    return f".code .{name} {{ {' '.join(parts)} }}" if parts else ""


def stylesheet() -> str:
    """The whole of static/css/highlight.css."""
    light, dark = _looks(get_style_by_name(LIGHT)), _looks(get_style_by_name(DARK))
    rules = [_rule(name, light.get(name, {}), dark.get(name, {})) for name in sorted({*light, *dark})]
    return "\n".join(["/* Written by `python -m chat.highlighting`. */", *filter(None, rules), ""])


if __name__ == "__main__":
    print(stylesheet(), end="")
