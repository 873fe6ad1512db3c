"""Command lines whose every flag may also come from the environment, and whose mistakes are one line each."""

import argparse
import re
from collections.abc import Mapping, Sequence
from typing import NoReturn

from workers.errors import SettingsInvalid


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise SettingsInvalid(f"{message[:1].upper()}{message[1:]}. See python -m workers --help.")


class Flags:
    """`--join-token` may also come as FLOTILLA_JOIN_TOKEN, and so on; a flag wins over its variable."""

    def __init__(self, description: str, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._parser = _Parser(
            prog="python -m workers",
            description=description,
            epilog="Each flag may also be given as a variable: --listen as FLOTILLA_LISTEN, and so on.",
            allow_abbrev=False,
        )

    def add(self, name: str, default: str, text: str) -> None:
        variable = f"FLOTILLA_{name.replace('-', '_').upper()}"
        self._parser.add_argument(f"--{name}", default=self._environment.get(variable, default), help=text)

    def add_switch(self, name: str, text: str) -> None:
        """For one that only chooses which program runs."""
        self._parser.add_argument(f"--{name}", action="store_true", help=text)

    def read(self, arguments: Sequence[str]) -> argparse.Namespace:
        """Raises SettingsInvalid; argparse itself ends the program for --help."""
        return self._parser.parse_args(arguments)


def seconds(flag: str, text: str) -> float:
    """Raises SettingsInvalid."""
    if not re.fullmatch(r"\d+(\.\d+)?", text):
        raise SettingsInvalid(f"{flag} must be a number of seconds, for example 30, not {text!r}.")
    return float(text)


def gigabytes(flag: str, text: str) -> int:
    """In bytes. Raises SettingsInvalid."""
    if not re.fullmatch(r"\d+(\.\d+)?", text) or not float(text):
        raise SettingsInvalid(f"{flag} must be a number of gigabytes, for example 24, not {text!r}.")
    return int(float(text) * (1 << 30))


def whole_number(flag: str, text: str, allowed: range) -> int:
    """Raises SettingsInvalid."""
    if not re.fullmatch(r"\d{1,9}", text) or int(text) not in allowed:
        raise SettingsInvalid(f"{flag} must be a whole number from {allowed[0]} to {allowed[-1]}, not {text!r}.")
    return int(text)
