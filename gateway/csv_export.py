"""Usage as a CSV file, streamed row by row."""

import csv
import io
from collections.abc import AsyncIterator
from typing import Any

from django.utils.timezone import localtime

from gateway.reports import FIGURES

COLUMNS = ("hour", "user", "key", "model", *FIGURES)
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


async def csv_lines(rows: AsyncIterator[dict[str, Any]]) -> AsyncIterator[bytes]:
    """One line for each hour, user, key and model; times with their offset. The byte order mark is for Excel."""
    yield "\ufeff".encode() + _line(COLUMNS)
    async for row in rows:
        names = (plain_text(row[name]) for name in ("user_name", "key_name", "model"))
        yield _line((localtime(row["hour"]).isoformat(), *names, *(row[name] for name in FIGURES)))


def plain_text(text: str) -> str:
    """The text such that no spreadsheet takes it for a formula: a name chosen by a caller must not run anything."""
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text


def _line(cells: Any) -> bytes:
    buffer = io.StringIO()
    csv.writer(buffer).writerow(cells)
    return buffer.getvalue().encode()
