"""What the commands about keys and teams share: how rows are called, limits as options, tables."""

import json
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, TypeVar

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, no_translations
from django.db.models import Model

from accounts.limits import LIMITS
from accounts.models import Team, User
from audit.command import record_command
from fleet.management.tables import table
from gateway.models import APIKey

_Row = TypeVar("_Row", bound=Model)


class GoverningCommand(BaseCommand):
    """A command of acts. Exit status: 0 done, or it was so already; 1 refused or not found; 2 wrong usage."""

    noun = ""

    @no_translations
    def handle(self, *, run: Callable[..., None], **given: Any) -> None:
        try:
            run(given)
        except ValidationError as invalid:
            raise CommandError("\n".join(_told(invalid))) from invalid
        if "json" not in given:
            record_command(f"{self.noun} {run.__name__.replace('_', '-')}", given)

    def act(self, acts: Any, name: str, run: Callable[..., None], help_text: str) -> Any:
        """The parser of one act."""
        parser = acts.add_parser(name, help=help_text)
        parser.set_defaults(run=run)
        return parser

    def tell(self, has_changed: object, done: str) -> None:
        self.stdout.write(done if has_changed else "Nothing to do: it was so already.")

    def show(self, given: dict[str, Any], values: Sequence[dict[str, Any]], columns: Sequence[str]) -> None:
        """As a table of these columns, or whole for programs."""
        if given["json"]:
            self.stdout.write(json.dumps(values, indent=2, ensure_ascii=False, default=str))
            return
        rows = [["" if row[name] is None else row[name] for name in columns] for row in values]
        self.stdout.write(table([name.upper().replace("_", " ") for name in columns], rows))


def with_limits(parser: Any) -> Any:
    for name in LIMITS:
        parser.add_argument(f"--{name.replace('_', '-')}", metavar="N", help="a number, or none")
    return parser


def given_limits(given: dict[str, Any]) -> dict[str, str | None]:
    """Those that were said; what they may be, the records know."""
    return {name: None if given[name] == "none" else given[name] for name in LIMITS if given[name] is not None}


def change(row: Model, fields: dict[str, Any]) -> None:
    """Raises ValidationError, by field; CommandError where nothing was given."""
    if not fields:
        raise CommandError("Say what to change: see --help.")
    for name, value in fields.items():
        setattr(row, name, value)
    row.clean_fields(exclude=[field.name for field in row._meta.fields if field.name not in fields])
    row.save(update_fields=list(fields))


def find_user(name: str) -> User:
    return _only(list(User.objects.filter(username=name)), f"user called {name}")


def find_team(name: str) -> Team:
    return _only(list(Team.objects.filter(name=name)), f"team called {name}")


def find_key(name: str) -> APIKey:
    """By its number, its hint, or its name when only one has it. Raises CommandError."""
    keys = APIKey.objects.select_related("owner", "team")
    exact = list(keys.filter(pk=int(name))) if name.isdecimal() and len(name) < 19 else []
    return _only(exact or list(keys.filter(hint=name)) or list(keys.filter(name=name)), f"key {name}")


def moment(value: datetime | None) -> str:
    return f"{value:%Y-%m-%d %H:%M}" if value else ""


def _only(found: list[_Row], what: str) -> _Row:
    if len(found) == 1:
        return found[0]
    if found:
        ids = ", ".join(str(row.pk) for row in found[:8])
        raise CommandError(f"There is more than one {what}. Give its number: {ids}.")
    raise CommandError(f"There is no {what}.")


def _told(invalid: ValidationError) -> list[str]:
    if not hasattr(invalid, "error_dict"):
        return invalid.messages
    return [f"{field}: {' '.join(messages)}" for field, messages in invalid.message_dict.items()]
