"""Admin's landing page: whether the fleet is well, and what passes through it."""

from typing import Any

from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext

from fleet.fragments import read_fragments

KINDS = ("attention", "capacity", "traffic", "workers", "models")


def overview(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """The same pieces that the socket sends later; unfold calls this for the index page."""
    fragments = read_fragments(KINDS)
    live = {kind: SafeString(fragment.render()) for kind, fragment in fragments.items()}
    return {**context, "title": gettext("Overview"), "live": live}
