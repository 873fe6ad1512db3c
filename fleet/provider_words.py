"""Rule: what a provider says when it refuses, whatever shape its API gives to errors."""

import json
from typing import Any

_LONGEST_WORDS = 300


def error_in(body: bytes) -> dict[str, Any]:
    """As OpenAI's error object, of which any field may be missing.

    Known are OpenAI's `{"error": {...}}`, the same in a list (Gemini), Anthropic's (one level more), and a bare
    `message` or `detail` (Mistral).
    """
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    if isinstance(found, list):
        found = found[0] if found else {}
    if not isinstance(found, dict):
        return {}
    error = found.get("error", found)
    if not isinstance(error, dict):
        return {"message": str(error)}
    return error if "message" in error else {"message": str(found["detail"])} if "detail" in found else {}


def words_of(body: bytes) -> str:
    """What a person may read of it, in one line; empty where it says nothing."""
    return " ".join(str(error_in(body).get("message", "")).split())[:_LONGEST_WORDS]
