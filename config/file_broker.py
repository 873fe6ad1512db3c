"""Celery's broker of files, for one machine without Redis: kombu's, whose messages appear only when they are whole.

kombu makes a message's file first and fills it then. A task process that looks in between reads nothing, cannot make
sense of it and ends.
"""

import time
from pathlib import Path
from typing import Any
from uuid import uuid4

from kombu.exceptions import ChannelError
from kombu.transport import filesystem
from kombu.utils.json import dumps


class Channel(filesystem.Channel):
    """Reads as kombu's does: the files of a queue by name, the oldest first."""

    def _put(self, queue: str, payload: dict[str, Any], **kwargs: object) -> None:  # type: ignore[override]
        whole = Path(self.data_folder_out, f"{round(time.monotonic() * 1000)}_{uuid4()}.{queue}.msg")
        # No queue's file begins with a dot.
        unfinished = whole.with_name(f".{whole.name}")
        try:
            unfinished.write_text(dumps(payload))
            unfinished.rename(whole)
        except OSError as error:
            raise ChannelError(f"A message cannot be written to {self.data_folder_out}: {error}") from error


class Transport(filesystem.Transport):
    """kombu's, with the channel above."""

    Channel = Channel
