"""`manage.py teams`: teams, their limits and their people from the command line."""

from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db.models import ProtectedError

from accounts.limits import LIMITS
from accounts.models import Team, TeamRole, User
from gateway.management.governing import GoverningCommand, change, find_team, find_user, given_limits, with_limits


class Command(GoverningCommand):
    help = "Look at teams and govern them: see `manage.py teams ACT --help`."
    noun = "teams"

    def add_arguments(self, parser: CommandParser) -> None:
        acts = parser.add_subparsers(metavar="ACT", required=True, title="acts")
        look = self.act(acts, "list", self.list, "who shares limits")
        look.add_argument("--json", action="store_true", help="for programs")
        for name, run, help_text in (
            ("add", self.add, "another team"),
            ("change", self.change, "its weight and its limits"),
        ):
            edit = with_limits(self.act(acts, name, run, help_text))
            edit.add_argument("team")
            edit.add_argument("--weight", type=int, help="of its turns, when requests must wait")
        self.act(acts, "remove", self.remove, "its people stay, in no team").add_argument("team")
        assign = self.act(acts, "assign", self.assign, "make a user its member or manager")
        assign.add_argument("user")
        assign.add_argument("team", help="or none")
        assign.add_argument("--role", choices=TeamRole.values, default=TeamRole.MEMBER.value)
        account = self.act(acts, "add-account", self.add_account, "a service account: owns keys, cannot sign in")
        account.add_argument("user")
        account.add_argument("team")

    def list(self, given: dict[str, Any]) -> None:
        teams = Team.objects.prefetch_related("members").order_by("name")
        self.show(given, [_values(team) for team in teams], ("name", "weight", "members", "managers"))

    def add(self, given: dict[str, Any]) -> None:
        team = Team(name=given["team"], **_fields(given))
        team.full_clean()
        team.save()
        self.tell(True, f"{team} is added.")

    def change(self, given: dict[str, Any]) -> None:
        team = find_team(given["team"])
        change(team, _fields(given))
        self.tell(True, f"{team} is changed.")

    def remove(self, given: dict[str, Any]) -> None:
        team = find_team(given["team"])
        try:
            team.delete()
        except ProtectedError as error:
            hint = f"manage.py keys list --team {team}"
            raise CommandError(f"Keys belong to {team}: give them another team. See: {hint}") from error
        self.tell(True, f"{given['team']} is removed.")

    def assign(self, given: dict[str, Any]) -> None:
        user = find_user(given["user"])
        team = None if given["team"] == "none" else find_team(given["team"])
        before = User.objects.filter(pk=user.pk).exclude(team=team, team_role=given["role"])
        self.tell(before.update(team=team, team_role=given["role"]), f"{user} is {given['role']} of {given['team']}.")

    def add_account(self, given: dict[str, Any]) -> None:
        account = User(username=given["user"], team=find_team(given["team"]), is_service=True)
        account.set_unusable_password()
        account.full_clean()
        account.save()
        self.tell(True, f"{account} is added. Issue a key: manage.py keys issue NAME --owner {account}")


def _fields(given: dict[str, Any]) -> dict[str, Any]:
    weight = {"weight": given["weight"]} if given["weight"] is not None else {}
    return weight | given_limits(given)


def _values(team: Team) -> dict[str, Any]:
    people = list(team.members.all())
    return {
        "name": team.name,
        "weight": team.weight,
        "members": ", ".join(one.username for one in people),
        "managers": ", ".join(one.username for one in people if one.team_role == TeamRole.MANAGER),
        **{name: getattr(team, name) for name in LIMITS},
    }
