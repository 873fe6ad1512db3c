"""`manage.py keys`: API keys from the command line, by the same acts as in admin."""

from datetime import timedelta
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils.timezone import now

from accounts.limits import LIMITS
from gateway.issuing import disable_key, enable_key, end_rotation, issue_key, revoke_key, rotate_key
from gateway.management.governing import (
    GoverningCommand,
    change,
    find_key,
    find_team,
    find_user,
    given_limits,
    moment,
    with_limits,
)
from gateway.models import APIKey, KeyScope

_COLUMNS = ("id", "name", "owner", "team", "state", "expires", "last_used")
_SIMPLE = {
    "disable": (disable_key, "refuse it until it is enabled again", "disabled"),
    "enable": (enable_key, "serve it again", "enabled"),
    "revoke": (revoke_key, "refuse it for good", "revoked"),
    "end-rotation": (end_rotation, "let its previous secret open nothing any more", "down to one secret"),
}


class Command(GoverningCommand):
    help = "Look at API keys and govern them: see `manage.py keys ACT --help`."
    noun = "keys"

    def add_arguments(self, parser: CommandParser) -> None:
        acts = parser.add_subparsers(metavar="ACT", required=True, title="acts")
        look = self.act(acts, "list", self.list, "who may call, and how that stands")
        look.add_argument("--owner", help="only this user's")
        look.add_argument("--team", help="only those that name this team")
        look.add_argument("--json", action="store_true", help="for programs")
        issue = _with_terms(self.act(acts, "issue", self.issue, "another key; it is shown this once"))
        issue.add_argument("name", help="which program uses it")
        issue.add_argument("--owner", required=True, help="whose usage it counts as")
        issue.add_argument("--days", type=int, default=90, help="that it is valid for; 0: no limit")
        edit = _with_terms(self.act(acts, "change", self.change, "what it may do, and how much"))
        edit.add_argument("key", help="its number, hint or name")
        rotate = self.act(acts, "rotate", self.rotate, "another secret, shown this once")
        rotate.add_argument("key")
        rotate.add_argument("--grace-hours", type=float, default=24, help="that the secret until now stays good")
        for name, (_, help_text, _done) in _SIMPLE.items():
            simple = self.act(acts, name, self.simple, help_text)
            simple.add_argument("key")
            simple.set_defaults(act=name)

    def list(self, given: dict[str, Any]) -> None:
        keys = APIKey.objects.select_related("owner", "team").order_by("pk")
        wanted = {"owner__username": given["owner"], "team__name": given["team"]}
        keys = keys.filter(**{name: value for name, value in wanted.items() if value})
        self.show(given, [_values(key) for key in keys], _COLUMNS)

    def issue(self, given: dict[str, Any]) -> None:
        owner, terms = find_user(given["owner"]), _terms(given)
        key = APIKey(owner=owner, name=given["name"], **terms)
        key.clean_fields(exclude=["key_hash", "hint"])
        expires_at = now() + timedelta(days=given["days"]) if given["days"] else None
        _key, text = issue_key(owner, given["name"], expires_at, **terms)
        self.tell(True, f"{text}\nIt is shown this once: copy it now.")

    def change(self, given: dict[str, Any]) -> None:
        key = find_key(given["key"])
        change(key, _terms(given))
        self.tell(True, f"{key} is changed.")

    def rotate(self, given: dict[str, Any]) -> None:
        if not 0 <= given["grace_hours"] <= 24 * 90:
            raise CommandError("--grace-hours: 0 to 2160.")
        text = rotate_key(find_key(given["key"]), timedelta(hours=given["grace_hours"]))
        if text is None:
            raise CommandError("The key was revoked, or rotated by somebody else a moment ago.")
        self.tell(True, f"{text}\nIt is shown this once: copy it now.")

    def simple(self, given: dict[str, Any]) -> None:
        act, _, done = _SIMPLE[given["act"]]
        key = find_key(given["key"])
        self.tell(act(key), f"{key} is {done}.")


def _with_terms(parser: Any) -> Any:
    parser.add_argument("--team", help="whose limits it shares, or none")
    parser.add_argument("--scope", action="append", choices=KeyScope.values, help="may be repeated")
    parser.add_argument("--model", action="append", help="that it may call, such as qwen-*; may be repeated")
    parser.add_argument("--network", action="append", help="from where, such as 10.0.0.0/8; may be repeated")
    return with_limits(parser)


def _terms(given: dict[str, Any]) -> dict[str, Any]:
    named = {"scopes": given["scope"], "allowed_models": given["model"], "networks": given["network"]}
    terms: dict[str, Any] = {name: value for name, value in named.items() if value is not None}
    if given["team"] is not None:
        terms["team"] = None if given["team"] == "none" else find_team(given["team"])
    return terms | given_limits(given)


def _values(key: APIKey) -> dict[str, Any]:
    return {
        "id": key.pk,
        "name": key.name,
        "hint": key.hint,
        "owner": key.owner.username,
        "team": key.team.name if key.team else None,
        "state": key.state.value,
        "scopes": key.scopes,
        "allowed_models": key.allowed_models,
        "networks": key.networks,
        **{name: getattr(key, name) for name in LIMITS},
        "expires": moment(key.expires_at),
        "last_used": moment(key.last_used_at),
    }
