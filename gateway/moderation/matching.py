"""Rule: whether a text holds one of a policy's words or patterns.

Words stand by themselves: "ass" is not in "assistant". Where a script sets no spaces between words (Chinese, Japanese,
Thai ...) a word is found anywhere. Letter case, full-width forms and invisible characters make no difference.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import re2

MAX_WORDS, MAX_PATTERNS, MAX_LINE_CHARS, MAX_PATTERN_CHARS = 2000, 200, 100, 500
_MAX_PATTERN_BYTES, _MAX_ALL_BYTES = 4 * 1024 * 1024, 32 * 1024 * 1024
_UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
_EDGE = rf"[^\pL\pM\pN_]|[{_UNSPACED}]"
_BEFORE, _AFTER = f"(?:^|{_EDGE})", f"(?:$|{_EDGE})"
_SPACE = r"[\s\pZ]+"
_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff]")
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|([\"\\/bfnrt]))")
_ESCAPED = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}


class TooLarge(ValueError):
    """All words and patterns together do not fit into an automaton."""


class BadLine(ValueError):
    """A line that cannot be searched for. `number` counts from 1."""

    def __init__(self, number: int, line: str, reason: str) -> None:
        super().__init__(reason)
        self.number, self.line, self.reason = number, line, reason


@dataclass(frozen=True, slots=True)
class Match:
    """Where in `text` it is; the text as it was searched, which may differ from the one that was given."""

    text: str
    start: int
    end: int


class Matcher:
    """All words and patterns as one automaton: linear time, whatever they are."""

    def __init__(self, words: Sequence[str], patterns: Sequence[str]) -> None:
        """Empty lines ask for nothing. Raises BadLine for a pattern that is none; TooLarge."""
        for number, pattern in enumerate(patterns, start=1):
            _check(number, pattern)
        self.longest_word = max(map(len, words), default=0)
        parts = [*_word_groups(words), *(f"(?:{pattern})" for pattern in patterns if pattern)]
        self._automaton = _together(parts) if parts else None

    def find(self, text: str, *, is_cut: bool = False, is_ended: bool = True) -> Match | None:
        """The first match. `is_cut`: something stood before the text, so that its first character begins no word;
        not `is_ended`: more is to come, so that its last character ends none."""
        if self._automaton is None:
            return None
        for form in _forms(text):
            end = len(form) - (not is_ended)
            # Outside `pos` and `endpos` the automaton still sees what is there: ^, $ and \b mean what they say.
            found = self._automaton.search(form, int(is_cut), max(end, int(is_cut)))
            if found:
                return Match(form, *found.span())
        return None


@lru_cache(maxsize=256)
def matcher(words: str, patterns: str) -> Matcher:
    """Of two texts with one a line; the same for the same texts. Raises BadLine, TooLarge."""
    return Matcher(lines_of(words), lines_of(patterns))


def lines_of(text: str) -> list[str]:
    """All of them, empty ones too: their numbers are those that people see."""
    return [line.strip() for line in text.splitlines()]


def _check(number: int, pattern: str) -> None:
    try:
        found = pattern and _compiled(pattern).search("")
    except re2.error as error:
        raise BadLine(number, pattern, _reason(error)) from error
    if found:
        raise BadLine(number, pattern, "it matches even an empty text")


def _reason(error: Exception) -> str:
    reason = error.args[0] if error.args else ""
    return reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)


def _together(parts: Sequence[str]) -> Any:
    try:
        return _compiled("|".join(parts), _MAX_ALL_BYTES)
    except re2.error as error:
        raise TooLarge(_reason(error)) from error


def _compiled(expression: str, max_bytes: int = _MAX_PATTERN_BYTES) -> Any:
    options = re2.Options()
    options.case_sensitive = False
    options.never_capture = True
    options.max_mem = max_bytes
    # It would write to stderr by itself, past our logs.
    options.log_errors = False
    return re2.compile(expression, options)


def _word_groups(words: Sequence[str]) -> Iterator[str]:
    """Words that need the same edges share them: an edge is a hundred times the size of a word."""
    groups: dict[tuple[str, str], list[str]] = {}
    for word in filter(None, map(_plain, words)):
        edges = _BEFORE if _needs_edge(word[0]) else "", _AFTER if _needs_edge(word[-1]) else ""
        groups.setdefault(edges, []).append(_SPACE.join(map(re2.escape, word.split())))
    for (before, after), members in groups.items():
        yield f"(?:{before}(?:{'|'.join(members)}){after})"


def _needs_edge(char: str) -> bool:
    return bool(re.match(r"\w", char)) and not re2.match(f"[{_UNSPACED}]", char)


def _forms(text: str) -> Iterator[str]:
    """As it reads; and, where it may be JSON within a string, as that reads."""
    yield _plain(text)
    if "\\" in text:
        yield _plain(_ESCAPE.sub(_unescaped, text))


def _plain(text: str) -> str:
    return text if text.isascii() else _INVISIBLE.sub("", unicodedata.normalize("NFKC", text))


def _unescaped(found: re.Match[str]) -> str:
    code, char = found.groups()
    # Half a surrogate pair cannot be searched; both halves are no letter of any word's alphabet that needs them.
    if code:
        return "\ufffd" if 0xD800 <= int(code, 16) < 0xE000 else chr(int(code, 16))
    return _ESCAPED.get(char, char)
