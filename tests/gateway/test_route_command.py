"""`manage.py fleet`, as far as it is about routes."""

import json

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.core.management import CommandError, call_command

from audit.models import AuditEntry
from fleet.models import LanguageModel
from gateway.models import Route


@pytest.fixture
def fleet(db, capsys):
    """`fleet("routes")`: what the command prints."""

    def run(*arguments: str) -> str:
        call_command("fleet", *arguments)
        return capsys.readouterr().out

    return run


@pytest.fixture(autouse=True)
def models(db):
    for name in ("chat", "chat-next", "spare"):
        LanguageModel.objects.create(name=name)


def listed(fleet) -> dict:
    (route,) = json.loads(fleet("routes", "--json"))
    return route


def test_a_route_is_added_with_shares_an_audience_and_fallbacks(fleet):
    get_user_model().objects.create_user("ada")
    Group.objects.create(name="testers")
    fleet(
        *("add-route", "gpt-4", "--description", "By another name."),
        *(
            "--target",
            "chat=95",
            "--target",
            "chat-next=5",
            "--users",
            "chat-next=ada",
            "--groups",
            "chat-next=testers",
        ),
        *("--fallback", "spare=timeout,overloaded"),
    )
    assert listed(fleet) == {
        "name": "gpt-4",
        "description": "By another name.",
        "targets": [
            {"model": "chat", "weight": 95, "users": [], "groups": []},
            {"model": "chat-next", "weight": 5, "users": ["ada"], "groups": ["testers"]},
        ],
        "fallbacks": [{"model": "spare", "after": ["timeout", "overloaded"]}],
    }


def test_the_table_tells_who_gets_which_share(fleet):
    fleet("add-route", "gpt-4", "--target", "chat=3", "--target", "chat-next=1", "--fallback", "spare")
    assert fleet("routes").split("\n")[1].split() == ["gpt-4", "chat", "75", "%,", "chat-next", "25", "%", "spare"]


def test_what_is_not_given_stays_as_it_is(fleet):
    fleet("add-route", "gpt-4", "--target", "chat=95", "--fallback", "spare=timeout")
    before = listed(fleet)
    fleet("change-route", "gpt-4", "--name", "gpt-5")
    assert listed(fleet) == before | {"name": "gpt-5"}


def test_a_list_that_is_given_replaces_the_old_one(fleet):
    fleet("add-route", "gpt-4", "--target", "chat", "--fallback", "spare")
    fleet("change-route", "gpt-4", "--target", "chat-next=7", "--no-fallbacks")
    after = listed(fleet)
    assert [(target["model"], target["weight"]) for target in after["targets"]] == [("chat-next", 7)]
    assert after["fallbacks"] == []


def test_a_route_is_removed(fleet):
    fleet("add-route", "gpt-4", "--target", "chat")
    assert fleet("remove-route", "gpt-4") == "gpt-4 is removed.\n"
    assert not Route.objects.exists()


def test_what_is_done_to_a_route_is_in_the_audit_log(fleet):
    fleet("add-route", "gpt-4", "--target", "chat=95")
    entry = AuditEntry.objects.get()
    assert (entry.act, entry.after["name"], entry.after["target"]) == ("fleet add-route", "gpt-4", [["chat", 95]])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["add-route", "new"], "targets: Name at least one model"),
        (["add-route", "new", "--target", "nothing"], r"There is no model called nothing. The models: chat, chat-next"),
        (["add-route", "new", "--target", "chat=many"], "write MODEL=WEIGHT"),
        (["add-route", "new", "--target", "chat", "--target", "chat"], "targets: “chat” is named twice"),
        (["add-route", "spare", "--target", "chat"], "targets: There is a model named “spare”"),
        (["add-route", "bad name", "--target", "chat"], "name: Letters, digits"),
        (["add-route", "new", "--target", "chat", "--fallback", "spare=tired"], "'tired' is no kind of failure"),
        (["add-route", "new", "--target", "chat", "--fallback", "chat"], "fallbacks: This model is the only target"),
        (["add-route", "new", "--target", "chat", "--users", "chat=nobody"], "There is no user called nobody"),
        (["add-route", "new", "--target", "chat", "--users", "spare=ada"], "Add --target spare"),
        (["change-route", "gpt-4", "--users", "chat=ada"], "Add --target chat"),
        (["remove-route", "gpt-5"], r"There is no route called gpt-5. The routes: gpt-4. See: manage.py fleet routes."),
    ],
)
def test_a_mistake_is_told_with_its_remedy_and_changes_nothing(fleet, arguments, said):
    fleet("add-route", "gpt-4", "--target", "chat")
    before = listed(fleet)
    with pytest.raises(CommandError, match=said):
        fleet(*arguments)
    assert listed(fleet) == before
