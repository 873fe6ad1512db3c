"""The stylesheet for code."""

from django.conf import settings

from chat.highlighting import stylesheet


def test_the_stylesheet_in_the_repository_is_what_the_highlighter_would_write():
    written = (settings.BASE_DIR / "static" / "css" / "highlight.css").read_text()
    assert written == stylesheet()
