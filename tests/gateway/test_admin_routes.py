"""An administrator makes routes."""

import re

import pytest
from django.core.exceptions import ValidationError
from django.test import Client

from fleet.deploying import deploy
from fleet.errors import ActRefused
from fleet.models import LanguageModel, Provider
from fleet.provider_catalogue import import_models
from gateway.issuing import issue_key
from gateway.models import FailureClass, KeyScope, Route

ADD = "/admin/gateway/route/add/"


@pytest.fixture
def models(db) -> list[LanguageModel]:
    return [LanguageModel.objects.create(name=name) for name in ("llama", "llama-next")]


def form(name: str, targets: list[tuple[LanguageModel, int]], fallbacks=()) -> dict[str, object]:
    """What the browser sends; fallbacks as pairs of model and failures."""
    fields: dict[str, object] = {"name": name}
    for prefix, rows in (("targets", targets), ("fallbacks", fallbacks)):
        fields |= {f"{prefix}-TOTAL_FORMS": len(rows), f"{prefix}-INITIAL_FORMS": 0}
    for number, (model, weight) in enumerate(targets):
        fields |= {f"targets-{number}-model": model.pk, f"targets-{number}-weight": weight}
    for number, (model, after) in enumerate(fallbacks):
        start = f"fallbacks-{number}"
        fields |= {f"{start}-model": model.pk, f"{start}-position": number, f"{start}-after": after}
    return fields


def test_a_split_with_a_fallback_is_saved_and_told_in_the_list(admin_client: Client, models):
    stable, canary = models
    shares = [(stable, 95), (canary, 5)]
    page = admin_client.post(ADD, form("chat", shares, [(stable, [FailureClass.TIMEOUT])]), follow=True)
    assert Route.objects.get().fallbacks.get().after == ["timeout"]
    assert b"llama 95 %, llama-next 5 %" in page.content


def test_a_route_may_stand_in_front_of_one_of_its_targets(admin_client: Client, models):
    admin_client.post(ADD, form("llama", [(models[0], 95), (models[1], 5)]))
    assert Route.objects.get().name == "llama"


@pytest.mark.parametrize(
    ("name", "weights", "after", "said"),
    [
        ("chat", [], None, "Name at least one model with a weight above 0."),
        ("chat", [0], None, "Name at least one model with a weight above 0."),
        ("llama-next", [100], None, "There is a model named “llama-next”."),
        ("not a name", [100], None, "Letters, digits and . : / @ + - _ only."),
        ("chat", [100], ["timeout"], "This model is the only target"),
        ("chat", [100], [], "Tick at least one failure"),
    ],
)
def test_a_mistake_is_named_with_its_remedy(admin_client: Client, models, name, weights, after, said):
    targets = [(models[0], weight) for weight in weights]
    fallbacks = [] if after is None else [(models[0], after)]
    page = admin_client.post(ADD, form(name, targets, fallbacks)).content.decode()
    assert said in page
    assert not Route.objects.exists()


def test_the_same_model_is_not_named_twice(admin_client: Client, models):
    page = admin_client.post(ADD, form("chat", [(models[0], 50), (models[0], 50)])).content.decode()
    assert "duplicate" in page
    assert not Route.objects.exists()


def test_a_model_that_a_route_leads_to_is_not_deleted(admin_client: Client, models):
    Route.objects.create(name="chat").targets.create(model=models[0])
    admin_client.post(f"/admin/fleet/languagemodel/{models[0].pk}/delete/", {"post": "yes"})
    assert LanguageModel.objects.filter(pk=models[0].pk).exists()


@pytest.fixture
def route(models) -> Route:
    """Named as no model is."""
    route = Route.objects.create(name="gpt-4o-mini")
    route.targets.create(model=models[0])
    return route


def test_a_new_model_may_not_hide_behind_a_route_of_its_name(admin_client: Client, route):
    page = admin_client.post("/admin/fleet/languagemodel/add/", {"name": route.name, "balancing_policy": "least_load"})
    assert "There is a route named “gpt-4o-mini”" in page.content.decode()
    with pytest.raises(ValidationError) as refused:
        deploy(route.name, [], {"engine": "echo"})
    assert list(refused.value.message_dict) == ["name"]
    with pytest.raises(ActRefused, match="rename the route first"):
        import_models(Provider.objects.create(name="cloud", kind="openai"), ["gpt-4o", route.name])
    assert LanguageModel.objects.count() == 2


def test_a_program_that_makes_such_a_model_is_told_which_field_is_wrong(admin_user, route):
    _, key = issue_key(admin_user, "terraform", scopes=[KeyScope.FLEET])
    body, headers = {"name": route.name}, {"Authorization": f"Bearer {key}"}
    refused = Client().post("/api/fleet/v1/models", body, content_type="application/json", headers=headers)
    assert (refused.status_code, list(refused.json()["error"]["fields"])) == (400, ["name"])


def test_a_model_behind_a_route_of_its_name_can_still_be_changed(models):
    route = Route.objects.create(name=models[0].name)
    route.targets.create(model=models[0])
    models[0].full_clean()


def test_each_field_of_a_target_says_what_it_is(admin_client: Client):
    page = admin_client.get("/admin/gateway/route/add/").content.decode()
    found = re.findall(r'<(?:input|select)[^>]* name="targets-0-(\w+)"[^>]* aria-label="([^"]+)"', page)
    assert {("model", "Model"), ("weight", "Weight")} <= set(found)
