"""Waiting for what other processes do."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

PATIENCE_S = 120
"""The machine that runs the tests may be very busy."""


def wait_until(condition: Callable[[], T], *, what: str, timeout_s: float = PATIENCE_S, log: Path | None = None) -> T:
    """What the condition gives as soon as it is true. Fails after the timeout, with the log's end."""
    deadline = time.monotonic() + timeout_s
    while not (result := condition()):
        told = f"\n{log.read_text()[-3000:]}" if log and log.exists() else ""
        assert time.monotonic() < deadline, f"Waited {timeout_s:g} s in vain until {what}.{told}"
        time.sleep(0.1)
    return result
