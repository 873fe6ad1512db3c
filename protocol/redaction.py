"""The one place that keeps secrets out of what is written about a request: logs now, traces and audit later."""

import logging
import re

from protocol.personal_data import masked
from protocol.tokens import TOKEN_PATTERN

_FOREIGN_KEY = re.compile(r"\b(?:sk-|gsk_|hf_|AIza)[0-9A-Za-z_-]{16,}")
"""What the keys of most providers and hubs look like."""
_LONGEST_SEARCHED = 8192
"""Much more than is ever quoted: a secret that is cut in two there does not come into the quotation."""
_BEARER = re.compile(r"(?i)(bearer|basic)\s+[^\s'\",;]+")


def redact(text: str) -> str:
    """The text with every token of ours, every provider's key and every Authorization value replaced."""
    return _BEARER.sub(r"\1 [redacted]", _FOREIGN_KEY.sub("[redacted]", TOKEN_PATTERN.sub("[redacted]", text)))


def redacted_start(text: str, limit: int) -> str:
    """At most `limit` characters of the redacted text; of megabytes that somebody sends only the start is searched."""
    return redact(text[:_LONGEST_SEARCHED])[:limit]


class RedactSecrets(logging.Filter):
    """Rewrites each record before any handler formats it, its traceback included; by default without personal data."""

    def __init__(self, *, masks_personal_data: bool = True) -> None:
        super().__init__()
        self._masks_personal_data = masks_personal_data

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = self._rewritten(record.getMessage()), None
        if record.exc_info and not record.exc_text:
            record.exc_text = logging.Formatter().formatException(record.exc_info)
        if record.exc_text:
            record.exc_text = self._rewritten(record.exc_text)
        return True

    def _rewritten(self, text: str) -> str:
        return masked(redact(text)) if self._masks_personal_data else redact(text)
