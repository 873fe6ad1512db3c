"""The processes of an embedded installation, run together by honcho: when one ends, all end."""

import re
import sys
from collections import deque
from pathlib import Path
from shlex import join as shell_line
from typing import IO

from honcho import manager
from honcho.printer import Message, Printer

_STOPPED = re.compile(r"^(\S+) stopped \(rc=(-?\d+)\)")
_LINES_KEPT = 20

# honcho kills what has not ended after five seconds; Celery's warm shutdown alone takes nearly that.
manager.KILL_WAIT = 15


class PartLogs(Printer):
    """Writes each part's lines to a file of its own, and remembers the last ones and who ended first."""

    def __init__(self, folder: Path, *, echo: bool) -> None:
        super().__init__(sys.stdout)
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.first_ended: tuple[str, int] | None = None
        self._echo = echo
        self._files: dict[str, IO[str]] = {}
        self._tails: dict[str, deque[str]] = {}

    def write(self, message: Message) -> None:
        text = message.data.decode("utf-8", "replace") if isinstance(message.data, bytes) else message.data
        if message.name == manager.SYSTEM_PRINTER_NAME:
            self._notice_end(text)
        else:
            self._keep(message.name, text)
        if self._echo:
            super().write(message)

    def tail(self, part: str) -> list[str]:
        """The part's last lines, oldest first."""
        return list(self._tails.get(part, ()))

    def _notice_end(self, text: str) -> None:
        if self.first_ended is None and (ended := _STOPPED.match(text)):
            self.first_ended = ended[1], int(ended[2])

    def _keep(self, part: str, text: str) -> None:
        if part not in self._files:
            self._files[part] = open(self.folder / f"{part}.log", "a", buffering=1)  # noqa: SIM115 - open till the end
            self._tails[part] = deque(maxlen=_LINES_KEPT)
        self._files[part].write(text if text.endswith("\n") else text + "\n")
        self._tails[part].append(text.rstrip())


class Parts(manager.Manager):
    """honcho's manager, which may also be stopped while its parts are still being started."""

    def __init__(self, logs: PartLogs) -> None:
        super().__init__(printer=logs)
        self._must_stop = False

    def add(self, name: str, command: list[str], env: dict[str, str]) -> None:
        """One more process. `exec` drops the shell between, so that signals reach the process itself."""
        self.add_process(name, f"exec {shell_line(command)}", env=env)

    def terminate(self) -> None:
        # honcho asks for the pid of each part and fails for one that has not told it yet: wait for the last to start.
        if self._all_started():
            super().terminate()
        else:
            self._must_stop = True

    def _system_print(self, data: str) -> None:
        super()._system_print(data)
        if self._must_stop and self._all_started():
            super().terminate()
