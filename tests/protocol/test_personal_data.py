"""What is masked in a log line, and what only looks alike."""

import logging

import pytest

from protocol.personal_data import masked
from protocol.redaction import RedactSecrets


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("mail to ada.lovelace+x@example.co.uk now", "mail to [e-mail] now"),
        ("user=ада@пример.рф", "user=[e-mail]"),
        ("call +49 (30) 1234-567.", "call [phone]."),
        ("call +14155552671", "call [phone]"),
        ("call (555) 123-4567 or 555-123-4567", "call [phone] or [phone]"),
        ("电话13812345678。", "电话[phone]。"),
        ("phone 13812345679, 138 1234 5679", "phone [phone], [phone]"),
        ("to DE89 3704 0044 0532 0130 00, please", "to [iban], please"),
        ("to GB82WEST12345698765432", "to [iban]"),
        ("card 4111 1111 1111 1111 or 5555-5555-5555-4444", "card [card] or [card]"),
        ("card 378282246310005", "card [card]"),
    ],
)
def test_personal_data_is_masked(text, said):
    assert masked(text) == said


@pytest.mark.parametrize(
    "text",
    [
        "127.0.0.1:34412 - POST /v1/chat/completions 400",
        "2026-11-21 19:29:17,646 took 1234.567 ms",
        "free 17179869184 bytes of 34359738368",
        "at 1795288798945051000 ns, 1795288798.945051 s",
        "req_0123456789abcdef0123456789abcdef on 12345678-1234-1234-1234-123456789012",
        "card 4111 1111 1111 1112",
        "DE88 3704 0044 0532 0130 00",
        "torch 2.13.0+cpu, google-re2==1.1.20251105, pid 18725",
        "@decorator at user@ host",
        "tokens [13800, 13801] of 131072",
    ],
)
def test_what_only_looks_alike_stays_readable(text):
    assert masked(text) == text


@pytest.mark.parametrize("text", ["a" * 200_000, "1" * 200_000, "a@" * 100_000, "+1 " * 100_000, "AB12 " * 40_000])
def test_a_long_line_ends_as_soon_as_it_is_read(text):
    assert isinstance(masked(text), str)


@pytest.mark.parametrize(("is_on", "said"), [(True, "[e-mail] asked"), (False, "ada@example.com asked")])
def test_log_lines_are_masked_unless_it_is_turned_off(is_on, said):
    record = logging.LogRecord("x", logging.INFO, "f", 1, "%s asked", ("ada@example.com",), None)
    RedactSecrets(masks_personal_data=is_on).filter(record)
    assert record.getMessage() == said


def test_a_traceback_is_masked_too():
    try:
        raise ValueError("ada@example.com")
    except ValueError as error:
        record = logging.LogRecord("x", logging.ERROR, "f", 1, "no", None, (type(error), error, error.__traceback__))
    RedactSecrets().filter(record)
    assert "ada@" not in (record.exc_text or "")
