"""How people read a limit, in their language."""

from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.utils.formats import number_format
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

if TYPE_CHECKING:
    # The records' own words come from here.
    from gateway.limits import Balance

_LIMITS = {
    ("parallel", "now"): _("%(amount)s requests at the same time"),
    ("requests", "minute"): _("%(amount)s requests a minute"),
    ("tokens", "minute"): _("%(amount)s tokens a minute"),
    ("tokens", "day"): _("%(amount)s tokens a day"),
    ("tokens", "week"): _("%(amount)s tokens a week"),
    ("tokens", "month"): _("%(amount)s tokens a month"),
    ("cost", "day"): _("%(amount)s %(currency)s a day"),
    ("cost", "week"): _("%(amount)s %(currency)s a week"),
    ("cost", "month"): _("%(amount)s %(currency)s a month"),
}


def limit_in_words(measure: str, span: str, amount: float) -> str:
    """`1,000 tokens a day`"""
    words: Any = _LIMITS[measure, span]
    text: str = words % {"amount": number(measure, amount), "currency": settings.CURRENCY}
    return text


def worded(balance: "Balance") -> str:
    """`12 used of 1,000 tokens a day`"""
    limit = balance.limit
    whole = limit_in_words(limit.measure, limit.span, limit.amount)
    return gettext("%(used)s used of %(limit)s") % {"used": number(limit.measure, balance.used), "limit": whole}


def number(measure: str, amount: float) -> str:
    """Money to its cents, and what is less than one to its last digit that counts; everything else whole."""
    if measure != "cost":
        return number_format(round(amount), force_grouping=True)
    return number_format(f"{amount:.2f}" if amount >= 1 or not amount else f"{amount:.4g}")
