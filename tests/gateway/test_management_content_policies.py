"""Programs write content policies over REST."""

import pytest
from django.contrib.auth import get_user_model

from accounts.models import Team
from fleet.models import LanguageModel
from gateway.issuing import issue_key
from gateway.models import ContentPolicy, KeyScope
from tests.fleet.test_management_api import Program

RULES = {"name": "house rules", "words": "gunpowder", "on_output": "mark", "for_models": ["llama"]}


@pytest.fixture
def program(db) -> Program:
    root = get_user_model().objects.create_superuser("root")
    LanguageModel.objects.create(name="llama")
    Team.objects.create(name="interns")
    return Program(issue_key(root, "terraform", scopes=[KeyScope.FLEET])[1])


def test_a_policy_is_made_read_changed_and_deleted(program):
    made = program.post("/content-policies", RULES, status=201)
    path = f"/content-policies/{made['id']}"
    assert program.get(path) | RULES == program.get(path)
    changed = program.call("patch", path, {"for_teams": ["interns"], "patterns": "x+"}).json()
    assert (changed["for_teams"], changed["for_models"], changed["words"]) == (["interns"], ["llama"], "gunpowder")
    LanguageModel.objects.all().delete()
    assert ContentPolicy.objects.get().holds_for_nobody
    assert program.call("delete", path).status_code == 204
    assert not ContentPolicy.objects.exists()


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"words": ""}, "words"),
        ({"patterns": "a("}, "patterns"),
        ({"on_input": "shout"}, "on_input"),
        ({"for_models": ["nobody"]}, "for_models"),
        ({"threshold": 2}, "threshold"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_kept(program, change, field):
    error = program.post("/content-policies", RULES | change, status=400)["error"]
    assert list(error["fields"]) == [field]
    assert not ContentPolicy.objects.exists()
