"""Providers in admin: keys go in and never come out, mistakes are named, models are chosen from a list."""

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test import Client

from fleet.attention import findings
from fleet.models import LanguageModel, Provider, ProviderFailure, ProviderModel
from fleet.overview import read_overview
from fleet.provider_probes import probe_providers
from tests.gateway.providers.anthropic_server import AnthropicServer
from tests.gateway.providers.openai_server import MODEL, OpenAIServer, error
from tests.gateway.providers.server import KEY

CONFIRMED = {"_form_submitted": "on"}
NO_MODELS = {"models-TOTAL_FORMS": "0", "models-INITIAL_FORMS": "0"}


@pytest.fixture(autouse=True)
def networks(settings):
    settings.PROVIDER_NETWORKS = ["127.0.0.0/8"]


@pytest.fixture
def server():
    server = OpenAIServer()
    yield server
    server.close()


@pytest.fixture
def provider(db, server) -> Provider:
    return Provider.objects.create(name="cloud", kind="other", base_url=server.url, credential=KEY)


def form(provider_or_server, **fields):
    given = {"name": "cloud", "kind": "other", "headers": "{}", "is_enabled": "on", **NO_MODELS}
    url = getattr(provider_or_server, "base_url", None) or getattr(provider_or_server, "url", "")
    return given | {"base_url": url} | fields


def save(client: Client, provider: Provider, **fields):
    return client.post(f"/admin/fleet/provider/{provider.pk}/change/", form(provider, **fields))


def add(client: Client, **fields):
    return client.post("/admin/fleet/provider/add/", form(None, **fields))


def errors(response) -> dict[str, list[str]]:
    return response.context["adminform"].form.errors


def test_a_provider_is_added_with_its_key(admin_client, server):
    add(admin_client, base_url=server.url, api_key=KEY)
    assert Provider.objects.get().credential == KEY


def test_the_key_lies_in_the_database_encrypted(provider):
    with connection.cursor() as cursor:
        cursor.execute("SELECT credential FROM fleet_provider")
        assert KEY not in str(cursor.fetchone())


def test_the_key_is_never_shown(admin_client, provider):
    pages = ["", f"{provider.pk}/change/", f"{provider.pk}/history/", f"{provider.pk}/delete/"]
    shown = [admin_client.get(f"/admin/fleet/provider/{page}").content.decode() for page in pages]
    save(admin_client, provider, api_key="sk-brand-new")
    logged = " ".join(entry.change_message for entry in LogEntry.objects.all())
    assert not any(KEY in page or "sk-brand-new" in page for page in [*shown, logged])


def test_saving_without_writing_a_key_keeps_the_one_that_is_set(admin_client, provider):
    save(admin_client, provider, name="renamed")
    provider.refresh_from_db()
    assert (provider.name, provider.credential) == ("renamed", KEY)


def test_a_key_is_replaced_and_forgotten(admin_client, provider):
    save(admin_client, provider, api_key="sk-new")
    provider.refresh_from_db()
    assert provider.credential == "sk-new"
    save(admin_client, provider, forget_key="on")
    provider.refresh_from_db()
    assert provider.credential == ""


def test_a_key_is_not_sent_to_another_address_unless_written_again(admin_client, provider, server):
    elsewhere = f"http://127.0.0.2:{server.port}/v1"
    assert "api_key" in errors(save(admin_client, provider, base_url=elsewhere))
    save(admin_client, provider, base_url=elsewhere, api_key=KEY)
    provider.refresh_from_db()
    assert provider.base_url == elsewhere


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("base_url", "http://169.254.169.254/v1"),
        ("base_url", "https://10.9.9.9/v1"),
        ("base_url", ""),
        ("headers", '{"Authorization": "Bearer x"}'),
        ("headers", '{"X-A": "1\\n2"}'),
        ("headers", '["X-A"]'),
        ("api_key", "two words"),
        ("api_version", "1&x=2"),
        ("ca_certificate", "no certificate"),
        ("max_requests_per_minute", "0"),
    ],
)
def test_a_mistake_is_named_at_its_field(admin_client, db, field, value):
    given = {"base_url": "http://127.0.0.1:9/v1"} | {field: value}
    assert list(errors(add(admin_client, **given))) == [field]
    assert not Provider.objects.exists()


def test_the_usual_address_need_not_be_written(admin_client, db, monkeypatch):
    checked = []
    monkeypatch.setattr("fleet.provider_forms.check_url", checked.append)
    add(admin_client, kind="mistral", api_key=KEY)
    assert checked == ["https://api.mistral.ai/v1"]


def test_the_test_says_how_many_models_there_are(admin_client, provider):
    answer = admin_client.post(f"/admin/fleet/provider/{provider.pk}/test/", CONFIRMED, follow=True)
    assert "2 models" in answer.content.decode()


def test_the_test_passes_on_the_providers_own_words_but_not_our_key(admin_client, provider, server):
    server.key = "another"
    answer = admin_client.post(f"/admin/fleet/provider/{provider.pk}/test/", CONFIRMED, follow=True)
    assert "Incorrect API key provided: [redacted]" in answer.content.decode()
    assert KEY not in answer.content.decode()


def test_following_the_link_of_the_test_asks_nobody(admin_client, provider, server):
    admin_client.get(f"/admin/fleet/provider/{provider.pk}/test/")
    assert server.headers == []


def test_models_are_chosen_from_the_providers_list(admin_client, provider):
    page = f"/admin/fleet/provider/{provider.pk}/import_models/"
    assert MODEL in admin_client.get(page).content.decode()
    admin_client.post(page, {"names": ["text-embedding-tiny", MODEL]})
    assert {offer.model.name: offer.capabilities for offer in provider.models.all()} == {
        MODEL: ["chat", "tools"],
        "text-embedding-tiny": ["embeddings"],
    }


def test_a_model_that_the_provider_does_not_list_is_not_added(admin_client, provider):
    admin_client.post(f"/admin/fleet/provider/{provider.pk}/import_models/", {"names": ["gpt-unheard-of"]})
    assert not LanguageModel.objects.exists()


def test_choosing_a_model_twice_offers_it_once(admin_client, provider):
    for _ in range(2):
        admin_client.post(f"/admin/fleet/provider/{provider.pk}/import_models/", {"names": [MODEL]})
    assert ProviderModel.objects.count() == 1


def test_models_of_anthropic_are_listed_with_its_own_headers(admin_client, db):
    server = AnthropicServer()
    provider = Provider.objects.create(name="a", kind="anthropic", base_url=server.url, credential=KEY)
    page = admin_client.get(f"/admin/fleet/provider/{provider.pk}/import_models/").content.decode()
    server.close()
    assert "claude-tiny" in page


def test_prices_are_kept_with_the_model(admin_client, provider):
    model = LanguageModel.objects.create(name="story")
    offered = {
        "models-TOTAL_FORMS": "1",
        "models-0-model": str(model.pk),
        "models-0-upstream_name": MODEL,
        "models-0-capabilities": ["chat"],
        "models-0-max_concurrency": "4",
        "models-0-max_output_tokens": "100",
        "models-0-input_price": "0.15",
        "models-0-output_price": "0.6",
    }
    save(admin_client, provider, **offered)
    offer = ProviderModel.objects.get()
    assert (float(offer.input_price), float(offer.output_price)) == (0.15, 0.6)


def test_a_provider_that_refuses_its_key_needs_attention_until_it_answers(provider, server):
    provider.models.create(model=LanguageModel.objects.create(name="story"), upstream_name=MODEL)
    server.fault = lambda: error(401, "Your key was revoked.")
    assert probe_providers() == 1
    (finding,) = findings(read_overview())
    assert (finding.tone, "Your key was revoked." in finding.cause) == ("danger", True)
    server.fault = lambda: None
    probe_providers()
    assert findings(read_overview()) == []


def test_a_provider_that_cannot_be_reached_needs_attention(provider, server):
    server.close()
    probe_providers()
    provider.refresh_from_db()
    assert provider.probe_failure == ProviderFailure.UNREACHABLE


def test_a_disabled_provider_is_not_asked_and_not_complained_of(provider, server):
    Provider.objects.update(is_enabled=False, probe_failure=ProviderFailure.REFUSED)
    probe_providers()
    assert server.headers == []
    assert not any(provider.name in finding.title for finding in findings(read_overview()))


def test_its_page_shows_how_it_is(admin_client, provider):
    probe_providers()
    assert "answers" in admin_client.get(f"/admin/fleet/provider/{provider.pk}/change/").content.decode()
