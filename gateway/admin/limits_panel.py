"""What of its limits a key or a team has used, on its page."""

from typing import Any

from django.template.loader import render_to_string
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from accounts.models import Team
from gateway.models import APIKey
from gateway.standing import standings

PANEL = (_("Used and left now"), {"fields": ("limits_now",)})


class LimitsPanel:
    """Mixed into an admin; PANEL is its fieldset, and `limits_now` has to be among the fields that are only read."""

    @display(description=_("limits"))
    def limits_now(self, subject: APIKey | Team) -> SafeString | str:
        found = standings(subject)
        if not found:
            return gettext("None are set.")
        context: dict[str, Any] = {"standings": found, "table": "flt-table", "names_team": isinstance(subject, APIKey)}
        return render_to_string("gateway/_standings.html", context)
