"""Usage as a CSV file, streamed row by row."""

from collections.abc import AsyncIterator
from typing import Any

from django.utils.timezone import localtime

from audit.csv_lines import csv_line, plain_text
from gateway.reports import FIGURES

COLUMNS = ("hour", "user", "key", "model", *FIGURES)


async def csv_lines(rows: AsyncIterator[dict[str, Any]]) -> AsyncIterator[bytes]:
    """One line for each hour, user, key and model; times with their offset. The byte order mark is for Excel."""
    yield "\ufeff".encode() + csv_line(COLUMNS)
    async for row in rows:
        names = (plain_text(row[name]) for name in ("user_name", "key_name", "model"))
        yield csv_line((localtime(row["hour"]).isoformat(), *names, *(row[name] for name in FIGURES)))
