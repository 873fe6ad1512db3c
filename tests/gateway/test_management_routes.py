"""Programs make routes over REST, and ask where a name leads."""

from types import SimpleNamespace

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group

from fleet.models import LanguageModel
from gateway.issuing import issue_key
from gateway.models import KeyScope, Route
from tests.fleet.test_management_api import Program


@pytest.fixture
def program(db) -> Program:
    root = get_user_model().objects.create_superuser("root")
    return Program(issue_key(root, "terraform", scopes=[KeyScope.FLEET])[1])


@pytest.fixture
def models(db) -> SimpleNamespace:
    return SimpleNamespace(**{name: LanguageModel.objects.create(name=name) for name in ("llama", "qwen")})


SPLIT = {
    "name": "chat",
    "targets": [{"model": "llama", "weight": 95}, {"model": "qwen", "weight": 5, "groups": ["testers"]}],
    "fallbacks": [{"model": "qwen", "after": ["timeout"]}],
}


def test_a_route_is_made_read_changed_and_deleted(program, models):
    Group.objects.create(name="testers")
    made = program.post("/routes", SPLIT, status=201)
    path = f"/routes/{made['id']}"
    read = program.get(path)
    assert [(target["model"], target["weight"], target["groups"]) for target in read["targets"]] == [
        ("llama", 95, []), ("qwen", 5, ["testers"]),
    ]  # fmt: skip
    assert read["fallbacks"] == [{"model": "qwen", "after": ["timeout"]}]
    changed = program.call("patch", path, {"targets": [{"model": "qwen"}], "fallbacks": []}).json()
    assert ([target["model"] for target in changed["targets"]], changed["fallbacks"]) == (["qwen"], [])
    assert program.call("patch", path, {"description": "for all"}).json()["targets"] == changed["targets"]
    assert program.call("delete", path).status_code == 204
    assert not Route.objects.exists()


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"targets": []}, "targets"),
        ({"targets": [{"model": "llama", "weight": 0}]}, "targets"),
        ({"targets": [{"model": "llama"}, {"model": "llama"}]}, "targets"),
        ({"targets": [{"model": "nobody"}]}, "targets"),
        ({"name": "qwen", "targets": [{"model": "llama"}]}, "targets"),
        ({"name": "not a name"}, "name"),
        ({"targets": [{"model": "llama"}], "fallbacks": [{"model": "llama", "after": ["timeout"]}]}, "fallbacks"),
        ({"fallbacks": [{"model": "llama", "after": []}]}, "fallbacks"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_kept(program, models, change, field):
    Group.objects.create(name="testers")
    error = program.post("/routes", SPLIT | change, status=400)["error"]
    assert list(error["fields"]) == [field]
    assert not Route.objects.exists()


def test_a_name_is_explained_by_the_process_that_answers(gateway, replica, program):
    found = program.post("/routes/explain", {"name": "fake-1"})
    (leg,) = found["legs"]
    assert (found["is_route"], leg["model"]) == (False, "fake-1")
    assert [(one["replica"], one["is_chosen"]) for one in leg["candidates"]] == [(str(replica.pk), True)]
    refused = program.post("/routes/explain", {"name": "nobody"}, status=409)
    assert "nobody" in refused["error"]["message"]
