"""The one place that keeps secrets out of what is written about a request: logs now, traces and audit later."""

import logging
import re

from protocol.tokens import TOKEN_PATTERN

_FOREIGN_KEY = re.compile(r"\b(?:sk-|gsk_|AIza)[0-9A-Za-z_-]{16,}")
"""What the keys of most providers look like."""
_BEARER = re.compile(r"(?i)(bearer|basic)\s+[^\s'\",;]+")


def redact(text: str) -> str:
    """The text with every token of ours, every provider's key and every Authorization value replaced."""
    return _BEARER.sub(r"\1 [redacted]", _FOREIGN_KEY.sub("[redacted]", TOKEN_PATTERN.sub("[redacted]", text)))


class RedactSecrets(logging.Filter):
    """Rewrites each record before any handler formats it, its traceback included."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = redact(record.getMessage()), None
        if record.exc_info and not record.exc_text:
            record.exc_text = logging.Formatter().formatException(record.exc_info)
        if record.exc_text:
            record.exc_text = redact(record.exc_text)
        return True
