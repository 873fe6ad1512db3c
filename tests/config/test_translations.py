"""The Chinese catalogue is whole: all that the code marks is in it, translated and compiled."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import polib
import pytest
from django.conf import settings
from django.utils.translation.template import templatize

CATALOGUE = Path(settings.LOCALE_PATHS[0]) / "zh_Hans" / "LC_MESSAGES" / "django.po"
NOT_TRANSLATED = {"bench", "tests", "var"}
PLACEHOLDER = re.compile(r"%\(\w+\)[a-z]|%[a-z%]|\{\w*\}|</?\w[^>]*>")
TEMPLATE_CALL = re.compile(r"""\b(_|n?p?gettext)\(((?:(?:u?"(?:\\.|[^"\\])*"|u?'(?:\\.|[^'\\])*'),?\s*)+)""")

Key = tuple[str | None, str]
"""The context and the original: what a catalogue finds a translation by."""


@pytest.fixture(scope="module")
def catalogue() -> polib.POFile:
    return polib.pofile(str(CATALOGUE))


def test_every_entry_is_translated(catalogue):
    assert [entry.msgid for entry in catalogue if not all(translations(entry))] == []


def test_no_entry_is_a_guess_or_a_leftover(catalogue):
    assert [entry.msgid for entry in catalogue if entry.fuzzy or entry.obsolete] == []


def test_every_translation_keeps_the_placeholders_of_its_original(catalogue):
    assert [entry.msgid for entry in catalogue if not keeps_placeholders(entry)] == []


def test_the_compiled_catalogue_says_what_its_source_says(catalogue):
    compiled = polib.mofile(str(CATALOGUE.with_suffix(".mo")))
    assert {key(entry): translations(entry) for entry in compiled} == {
        key(entry): translations(entry) for entry in catalogue
    }


def test_every_text_that_the_code_marks_is_in_the_catalogue(catalogue):
    assert sorted(marked_in_code() - {key(entry) for entry in catalogue}, key=str) == []


def test_every_text_that_a_template_marks_is_in_the_catalogue(catalogue):
    assert sorted(marked_in_templates() - {key(entry) for entry in catalogue}, key=str) == []


def key(entry: polib.POEntry | polib.MOEntry) -> Key:
    return entry.msgctxt, entry.msgid


def translations(entry: polib.POEntry | polib.MOEntry) -> list[str]:
    return list(entry.msgstr_plural.values()) or [entry.msgstr]


def keeps_placeholders(entry: polib.POEntry) -> bool:
    originals = {tuple(sorted(PLACEHOLDER.findall(text))) for text in (entry.msgid, entry.msgid_plural) if text}
    return all(tuple(sorted(PLACEHOLDER.findall(text))) in originals for text in translations(entry))


def marked_in_code() -> set[Key]:
    texts = (path.read_text() for package in packages() for path in package.rglob("*.py"))
    trees = (ast.parse(text) for text in texts if "gettext" in text)
    return {found for tree in trees for node in ast.walk(tree) for found in marked_by(node)}


def packages() -> list[Path]:
    folders = (path for path in settings.BASE_DIR.iterdir() if path.is_dir())
    return [path for path in folders if path.name not in NOT_TRANSLATED and not path.name.startswith(".")]


def marked_by(node: ast.AST) -> Iterator[Key]:
    """What a call such as gettext("…") or pgettext("context", "…") marks."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        name = node.func.id.removesuffix("_lazy").removesuffix("_noop")
        texts = [arg.value for arg in node.args if isinstance(arg, ast.Constant) and isinstance(arg.value, str)]
        if texts and name in ("_", "gettext", "ngettext", "pgettext", "npgettext"):
            yield (texts[0], texts[1]) if "pgettext" in name else (None, texts[0])


def marked_in_templates() -> set[Key]:
    """Django itself writes a template's marks as calls, for gettext's tools to read; nothing else of it stays."""
    sources = (templatize(path.read_text()) for path in (settings.BASE_DIR / "templates").rglob("*.html"))
    calls = (ast.parse(call.group() + ")") for source in sources for call in TEMPLATE_CALL.finditer(source))
    return {found for call in calls for node in ast.walk(call) for found in marked_by(node)}
