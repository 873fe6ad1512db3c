"""Programs look after providers and after who runs which version, over REST and from the command line."""

import json

import pytest
from django.contrib.auth import get_user_model

from fleet.models import JoinToken, Provider, ProviderModel, Rollout, RolloutPhase, Worker
from fleet.reconciler import reconcile
from gateway.issuing import issue_key
from gateway.models import KeyScope
from tests.fleet.test_management_api import Program
from tests.gateway.providers.openai_server import MODEL, OpenAIServer
from tests.gateway.providers.server import KEY

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def networks(settings):
    settings.PROVIDER_NETWORKS = ["127.0.0.0/8"]


@pytest.fixture
def server():
    server = OpenAIServer()
    yield server
    server.close()


@pytest.fixture
def program() -> Program:
    root = get_user_model().objects.create_superuser("root")
    return Program(issue_key(root, "terraform", scopes=[KeyScope.FLEET])[1])


@pytest.fixture
def provider(server) -> Provider:
    return Provider.objects.create(name="cloud", kind="other", base_url=server.url, credential=KEY)


def test_a_provider_is_added_tested_and_its_models_are_offered(program, server):
    body = {"name": "cloud", "kind": "other", "base_url": server.url, "api_key": KEY}
    made = program.post("/providers", body, status=201)
    assert made["has_key"]
    path = f"/providers/{made['id']}"
    assert MODEL in program.post(path + "/test")["names"]
    (offer,) = program.post(path + "/import_models", {"names": [MODEL]})
    assert (offer["upstream_name"], offer["model"]) == (MODEL, MODEL)
    assert program.post(path + "/import_models", {"names": [MODEL]}) == []
    changed = program.call("patch", f"/provider-models/{offer['id']}", {"input_price": "2.5", "model": "gpt"}).json()
    assert (changed["input_price"], changed["model"], changed["upstream_name"]) == ("2.500000", "gpt", MODEL)
    assert program.call("delete", path).status_code == 204
    assert not ProviderModel.objects.exists()


def test_a_key_goes_in_and_never_comes_out(program, provider):
    answers = [program.get("/providers"), program.get(f"/providers/{provider.pk}")]
    answers += [program.call("patch", f"/providers/{provider.pk}", {"api_key": "another-key-4711"}).json()]
    assert Provider.objects.get().credential == "another-key-4711"
    assert all(secret not in json.dumps(answers) for secret in (KEY, "another-key-4711"))


def test_a_change_in_part_keeps_the_rest(program, provider):
    changed = program.call("patch", f"/providers/{provider.pk}", {"max_requests_per_minute": 60}).json()
    assert (changed["max_requests_per_minute"], changed["base_url"], changed["has_key"]) == (
        60, provider.base_url, True,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"base_url": "http://127.0.0.1:1/v1"}, "api_key"),
        ({"base_url": "ftp://example.org", "forget_key": True}, "base_url"),
        ({"headers": {"Authorization": "mine"}}, "headers"),
        ({"api_key": "two words"}, "api_key"),
        ({"kind": "carrier pigeon"}, "kind"),
        ({"ca_certificate": "nonsense"}, "ca_certificate"),
    ],
)
def test_what_is_wrong_with_a_provider_is_named(program, provider, body, field):
    refused = program.call("patch", f"/providers/{provider.pk}", body)
    assert (refused.status_code, list(refused.json()["error"]["fields"])) == (400, [field])


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"output_price": "-1"}, "output_price"),
        ({"model": "bad name"}, "model"),
        ({"capabilities": ["fly"]}, "capabilities"),
    ],
)
def test_what_is_wrong_with_an_offer_is_named(program, provider, body, field):
    whole = {"provider": provider.pk, "model": "gpt", "upstream_name": MODEL} | body
    error = program.post("/provider-models", whole, status=400)["error"]
    assert list(error["fields"]) == [field]
    assert not ProviderModel.objects.exists()


def test_offers_are_listed_for_one_provider_and_never_for_what_is_no_id(program, provider):
    program.post(f"/providers/{provider.pk}/import_models", {"names": [MODEL]})

    assert [offer["provider"] for offer in program.get(f"/provider-models?provider={provider.pk}")["results"]] == [
        provider.pk
    ]
    assert program.get(f"/provider-models?provider={'9' * 30}")["results"] == []
    refused = program.call("get", "/provider-models?provider=cloud")
    assert refused.status_code == 400
    assert list(refused.json()["error"]["fields"]) == ["provider"]


def test_a_test_that_fails_tells_the_providers_own_words(program, provider, server):
    provider.set_credential("wrong")
    refused = program.post(f"/providers/{provider.pk}/test", status=502)
    assert refused["error"]["code"] == "provider_fault"
    assert refused["error"]["message"].startswith("401")
    assert Provider.objects.get().probe_failure == "refused"


def test_a_model_that_it_does_not_have_is_not_offered(program, provider):
    refused = program.post(f"/providers/{provider.pk}/import_models", {"names": ["gpt-9"]}, status=400)
    assert "gpt-9" in refused["error"]["fields"]["names"][0]
    assert not ProviderModel.objects.exists()


def test_a_version_is_taken_back_and_tried_again(program, make_worker, make_deployment):
    make_worker()
    deployment = make_deployment(source="delay=0.1")
    reconcile()
    Rollout.objects.update(phase=RolloutPhase.IN_FORCE)
    program.call("patch", f"/deployments/{deployment.pk}", {"source": "delay=0.2"})
    path = f"/deployments/{deployment.pk}"
    assert program.post(path + "/roll_back")["source"] == "delay=0.1"
    assert [row["phase"] for row in program.get(path + "/rollouts")["results"]][:2] == ["rolled_back", "in_force"]
    assert program.post(path + "/try_again")["source"] == "delay=0.2"
    assert program.get(path + "/rollouts")["results"][0]["started_by"] == "root"


def test_where_there_is_nothing_to_take_back_that_is_told(program, make_deployment):
    refused = program.post(f"/deployments/{make_deployment().pk}/roll_back", status=409)
    assert refused["error"]["code"] == "act_refused"


def test_a_worker_that_waits_for_approval_is_approved(program, make_worker):
    worker = make_worker(awaits_approval=True)
    assert program.post(f"/workers/{worker.pk}/approve")["awaits_approval"] is False
    assert not Worker.objects.get().awaits_approval


def test_a_join_token_is_issued_on_terms(program):
    terms = {"networks": ["10.0.0.0/8"], "labels": {"gpu": "h100"}, "needs_approval": True}
    program.post("/join-tokens", {"name": "rack 4", "valid_for": "01:00:00", **terms}, status=201)
    token = JoinToken.objects.get()
    assert {"networks": token.networks, "labels": token.labels, "needs_approval": token.needs_approval} == terms
    wrong = {"name": "rack 5", "valid_for": "01:00:00", "networks": ["rack 5"]}
    assert list(program.post("/join-tokens", wrong, status=400)["error"]["fields"]) == ["networks"]
