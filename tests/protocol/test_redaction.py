import logging

import pytest

from protocol.redaction import RedactSecrets, redact, redacted_start
from protocol.tokens import TokenKind, make_token


def test_every_kind_of_token_is_taken_out_of_a_text():
    tokens = [make_token(kind) for kind in TokenKind]
    assert not any(token in redact(" ".join(tokens)) for token in tokens)


def test_an_authorization_value_is_taken_out_whoever_made_it():
    assert redact("Authorization: Bearer hf_abc123") == "Authorization: Bearer [redacted]"


@pytest.mark.parametrize(
    "key",
    [
        "sk-proj-abcDEF_0123456789-xyz",
        "sk-ant-api03-0123456789abcdef",
        "AIzaSy0123456789abcdefghij",
        "hf_abcdefghijklmnopqrstuv",
    ],
)
def test_a_providers_key_is_taken_out(key):
    assert redact(f"x-api-key: {key}!") == "x-api-key: [redacted]!"


def test_a_log_line_keeps_its_words_and_loses_its_secret():
    key = make_token(TokenKind.API_KEY)
    record = logging.LogRecord("x", logging.INFO, "f", 1, "key %s from %s", (key, "10.0.0.1"), None)
    RedactSecrets().filter(record)
    assert record.getMessage() == "key [redacted] from 10.0.0.1"


def test_a_traceback_loses_its_secret_too():
    key = make_token(TokenKind.API_KEY)
    try:
        raise ValueError(key)
    except ValueError as error:
        record = logging.LogRecord(
            "x", logging.ERROR, "f", 1, "failed", None, (type(error), error, error.__traceback__)
        )
    RedactSecrets().filter(record)
    assert key not in (record.exc_text or "")


def test_of_megabytes_only_the_start_is_searched_and_no_secret_shows_where_it_ends():
    key = make_token(TokenKind.API_KEY)
    assert redacted_start(f"{key} " * 100_000, 500) == ("[redacted] " * 100)[:500]
    assert redacted_start("a name", 500) == "a name"
