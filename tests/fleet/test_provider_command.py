"""`manage.py fleet` about providers, versions, approval and the past."""

import io
import json

import pytest
from django.core.management import CommandError, call_command

from fleet.models import (
    Cause,
    Deployment,
    LanguageModel,
    Provider,
    ProviderModel,
    Rollout,
    RolloutPhase,
    Transition,
    Worker,
)
from fleet.reconciler import reconcile
from tests.gateway.providers.openai_server import MODEL, OpenAIServer
from tests.gateway.providers.server import KEY


@pytest.fixture
def fleet(db, capsys, settings):
    """`fleet("providers")`: what the command prints."""
    settings.PROVIDER_NETWORKS = ["127.0.0.0/8"]

    def run(*arguments: str) -> str:
        call_command("fleet", *arguments)
        return capsys.readouterr().out

    return run


@pytest.fixture
def server():
    server = OpenAIServer()
    yield server
    server.close()


@pytest.fixture
def provider(server, db) -> Provider:
    return Provider.objects.create(name="cloud", kind="other", base_url=server.url, credential=KEY)


def test_a_provider_is_added_with_a_key_from_standard_input(fleet, server, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO(KEY + "\n"))
    said = fleet("add-provider", "cloud", "--kind", "other", "--base-url", server.url, "--key")
    assert Provider.objects.get().credential == KEY
    assert KEY not in said + fleet("providers") + fleet("providers", "--json")
    assert MODEL in fleet("test-provider", "cloud")


def test_a_change_keeps_what_is_not_named(fleet, provider):
    fleet("change-provider", "cloud", "--max-requests-per-minute", "60", "--disable")
    changed = Provider.objects.get()
    assert (changed.max_requests_per_minute, changed.is_enabled, changed.credential) == (60, False, KEY)


def test_models_are_imported_priced_and_listed(fleet, provider):
    fleet("import-models", "cloud", MODEL)
    assert fleet("import-models", "cloud", MODEL) == "Nothing to do: it was so already.\n"
    fleet("offer", "cloud", MODEL, "--input-price", "2.5", "--output-price", "10")
    (shown,) = json.loads(fleet("providers", "--json"))
    assert [(one["model"], one["input_price"], one["output_price"]) for one in shown["models"]] == [
        (MODEL, "2.500000", "10.000000")
    ]
    assert max(map(len, fleet("providers").split("\n"))) <= 80


def test_a_providers_model_answers_for_one_of_ours(fleet, provider):
    fleet("offer", "cloud", "gpt-there", "--model", "gpt")
    assert str(ProviderModel.objects.get()) == "gpt: gpt-there @ cloud"
    assert "gpt" in fleet("models")


def test_a_provider_is_removed(fleet, provider):
    fleet("remove-provider", "cloud")
    assert not Provider.objects.exists()


def test_a_version_is_taken_back_and_tried_again(fleet, make_worker, make_deployment):
    make_worker()
    deployment = make_deployment(source="delay=0.1")
    reconcile()
    Rollout.objects.update(phase=RolloutPhase.IN_FORCE)
    fleet("replace", "echo-1", "--source", "delay=0.2")
    sources = []
    for act in ("roll-back", "try-again"):
        fleet(act, "echo-1")
        sources.append(Deployment.objects.get(pk=deployment.pk).source)
    assert sources == ["delay=0.1", "delay=0.2"]


def test_a_worker_is_approved(fleet, make_worker):
    make_worker("box-1", awaits_approval=True)
    fleet("approve", "box-1")
    assert not Worker.objects.get().awaits_approval


def test_a_workers_past_is_told_latest_first(fleet, make_worker):
    worker = make_worker("box-1")
    for before, after in (("alive", "silent"), ("silent", "alive")):
        Transition.objects.note(worker, before, after, Cause.HEARTBEAT)
    assert [row["after"] for row in json.loads(fleet("timeline", "box-1", "--json"))] == ["alive", "silent"]
    assert "silent" in fleet("timeline", "box-1")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["test-provider", "fog"], "There is no provider called fog. The providers: cloud"),
        (["change-provider", "cloud", "--base-url", "ftp://example.org"], "base_url: "),
        (["import-models", "cloud", "gpt-9"], "names: cloud has no model “gpt-9”"),
        (["offer", "cloud", "gpt", "--input-price", "-1"], "input_price: A price is not negative."),
        (["roll-back", "echo-1"], "no version before"),
    ],
)
def test_a_mistake_is_told_with_its_remedy(fleet, provider, make_deployment, arguments, said):
    make_deployment()
    with pytest.raises(CommandError, match=said):
        fleet(*arguments)
    assert not LanguageModel.objects.filter(name="gpt").exists()
