"""`manage.py fleet`, as far as it is about join tokens."""

import getpass
import sys
from argparse import ArgumentTypeError
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from fleet.addresses import parse_networks
from fleet.enrolment import THIS_MACHINE, Terms, issue_join_token, usable_join_token
from fleet.labels import format_labels, parse_labels
from fleet.management.naming import find_join_token
from fleet.management.tables import table
from fleet.models import JoinToken

Add = Callable[[Any, str, Callable[..., None], str], Any]
_MAX_HOURS = 366 * 24
_LONGEST_NAME = 100


class JoinTokenActs:
    """Mixed into the command, which shows and tells."""

    _show: Callable[..., None]
    _tell: Callable[..., None]

    def add_join_token_acts(self, acts: Any, add: Add) -> None:
        look = add(acts, "join-tokens", self.join_tokens, "what lets machines join, and whether it still does")
        look.add_argument("--json", action="store_true", help="for programs")
        issue = add(acts, "issue-join-token", self.issue_join_token, "let machines join; it is printed this once")
        issue.add_argument("name", type=_name, help="for whom or what it is")
        issue.add_argument("--hours", type=_hours, default=24, help="that it is good for; 24 if not given")
        issue.add_argument("--uses", type=_uses, default=1, metavar="N", help="machines that may join; 0: no limit")
        issue.add_argument("--networks", default="", help='from where: "10.0.0.0/8, 192.168.1.7"')
        issue.add_argument("--labels", default="", help='that a worker gets: "gpu=h100, zone=a"')
        issue.add_argument("--needs-approval", action="store_true", help="it runs nothing before it is approved")
        check = add(acts, "check-join-token", self.check_join_token, "would this one, from standard input, let join")
        check.add_argument("--peer", default=THIS_MACHINE, metavar="IP", help="the address of the machine that joins")
        add(acts, "revoke-join-token", self.revoke_join_token, "let nobody join with it").add_argument("join_token")

    def join_tokens(self, given: dict[str, Any]) -> None:
        tokens = list(JoinToken.objects.all())
        headers = ("ID", "NAME", "STATE", "USED", "EXPIRES (UTC)", "FROM", "LABELS")
        self._show(given, [_values(token) for token in tokens], table(headers, [_row(token) for token in tokens]))

    def issue_join_token(self, given: dict[str, Any]) -> None:
        _, text = issue_join_token(
            given["name"],
            lifetime=timedelta(hours=given["hours"]),
            max_uses=given["uses"] or None,
            created_by=None,
            terms=Terms(
                networks=parse_networks(given["networks"]),
                labels=parse_labels(given["labels"]),
                needs_approval=given["needs_approval"],
            ),
        )
        self._tell(True, text)

    def check_join_token(self, given: dict[str, Any]) -> None:
        token = usable_join_token(_read_token(), given["peer"])
        self._tell(True, f"A machine at {given['peer']} may join with it: “{token.name}”, {_uses_left(token)}.")

    def revoke_join_token(self, given: dict[str, Any]) -> None:
        token = find_join_token(given["join_token"])
        self._tell(token.revoke(), f"{token} is revoked. Workers that joined with it stay.")


def _name(text: str) -> str:
    if not 0 < len(text) <= _LONGEST_NAME:
        raise ArgumentTypeError(f"write 1 to {_LONGEST_NAME} characters.")
    return text


def _hours(text: str) -> float:
    try:
        hours = float(text)
    except ValueError:
        hours = 0.0
    if not 0 < hours <= _MAX_HOURS:
        raise ArgumentTypeError(f"{text!r}: write hours, more than 0 and at most {_MAX_HOURS}.")
    return hours


def _uses(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) < 2**31):
        raise ArgumentTypeError(f"{text!r}: write how many machines may join, or 0 for no limit.")
    return int(text)


def _read_token() -> str:
    """Not as an argument: everybody on the machine could read it there."""
    return getpass.getpass("Join token: ") if sys.stdin.isatty() else sys.stdin.readline().strip()


def _uses_left(token: JoinToken) -> str:
    return f"uses left: {'no limit' if token.max_uses is None else token.max_uses - token.num_uses}"


def _row(token: JoinToken) -> tuple[object, ...]:
    used = f"{token.num_uses}/{'∞' if token.max_uses is None else token.max_uses}"
    return (
        token.pk, token.name, token.state, used, f"{token.expires_at:%Y-%m-%d %H:%M}",
        ", ".join(token.networks) or "anywhere", format_labels(token.labels) or "–",
    )  # fmt: skip


def _values(token: JoinToken) -> dict[str, Any]:
    return {
        "id": token.pk,
        "name": token.name,
        "hint": token.hint,
        "state": token.state,
        "uses": token.num_uses,
        "max_uses": token.max_uses,
        "expires_at": token.expires_at.isoformat(),
        "networks": token.networks,
        "labels": token.labels,
        "needs_approval": token.needs_approval,
    }
