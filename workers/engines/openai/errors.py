"""Errors in OpenAI's shape: four keys, always."""

from typing import Any

from workers.errors import EngineError


def error_body(error: EngineError) -> dict[str, Any]:
    """What the client reads; also the payload of a stream's error event."""
    return {"error": {"message": str(error), "type": error.type, "param": error.param, "code": error.code}}
