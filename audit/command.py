"""Acts from the command line."""

import getpass
from collections.abc import Mapping
from typing import Any

from audit.models import Door
from audit.recording import Actor, record
from audit.states import State, shown

_OF_DJANGO = {"verbosity", "settings", "pythonpath", "traceback", "no_color", "force_color", "skip_checks", "run"}


def record_command(act: str, given: Mapping[str, Any]) -> None:
    """What was given is all that there is to say of what came after; the account is the system's."""
    after: State = {name: shown(value) for name, value in given.items() if name not in _OF_DJANGO and value is not None}
    record(Actor(door=Door.COMMAND, name=_account()), act, after=after)


def _account() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""
