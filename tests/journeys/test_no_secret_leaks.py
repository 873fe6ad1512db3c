"""Canaries in every secret there is, and in a prompt: used well and badly, then looked for wherever anything is
written. The processes are real and their logs as loud as they can be."""

import base64
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP
from django.apps import apps
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.db import connection
from django.urls import reverse

from accounts.invitations import invite
from fleet.models import LanguageModel, Provider, ProviderModel, Worker
from fleet.provider_probes import probe_providers
from gateway.issuing import issue_key, rotate_key
from gateway.models import KeyScope, UsageRecord
from protocol.tokens import TokenKind, make_token
from tests.gateway.providers.openai_server import MODEL, OpenAIServer, error
from tests.journeys.conftest import ROOT, LiveServer, Part
from tests.journeys.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)

PERSONAL = {"address": "wisteria.canary@example.org", "card": "4539 1488 0343 6467", "phone": "+49 30 5550 1234"}
PROMPT = f"Wisteria, write to {PERSONAL['address']} or {PERSONAL['phone']}, and pay by {PERSONAL['card']}."
OF_ENVIRONMENT = {
    "OIDC_CLIENT_SECRET": "canary-oidc-71c09d",
    "METRICS_TOKEN": "canary-metrics-2f8e11",
    "EMAIL_URL": "canary-mail-99ab02",
}
LISTS = ("workers", "models", "deployments", "replicas", "join-tokens", "providers", "provider-models", "keys", "teams")

Secrets = dict[str, str]


class LoudServer(LiveServer):
    @property
    def environment(self) -> dict[str, str]:
        told = {name: value for name, value in OF_ENVIRONMENT.items() if name != "EMAIL_URL"}
        return super().environment | told | {
            "EMAIL_URL": f"smtp://flotilla:{OF_ENVIRONMENT['EMAIL_URL']}@127.0.0.1:1",
            "OIDC_SERVER_URL": "http://127.0.0.1:1",
            "OIDC_CLIENT_ID": "flotilla",
            "PROVIDER_NETWORKS": "127.0.0.0/8",
            "ALLOWED_HOSTS": "127.0.0.1",
            "LOG_LEVEL": "DEBUG",
        }  # fmt: skip


class Witness:
    """Every answer that anybody got, headers but for the visitor's own cookies included."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.told: dict[str, str] = {}

    def ask(self, method: str, path: str, *, by: httpx2.Client | None = None, **how: Any) -> httpx2.Response:
        client = by or httpx2.Client()
        answer = client.request(method, self.url + path, follow_redirects=True, timeout=60, **how)
        headers = {name: value for name, value in answer.headers.items() if name != "set-cookie"}
        self.told[f"{method} {path} ({len(self.told)})"] = f"{headers} {answer.text}"
        if by is None:
            client.close()
        return answer

    def submit(self, browser: httpx2.Client, path: str, **fields: str) -> httpx2.Response:
        """The form of that page."""
        self.ask("GET", path, by=browser)
        token = browser.cookies["csrftoken"]
        headers = {"Referer": self.url + path}
        return self.ask("POST", path, by=browser, data=fields | {"csrfmiddlewaretoken": token}, headers=headers)


@pytest.fixture
def secrets(settings) -> Secrets:
    """By what each is; those that only come to be in the test are added there."""
    settings.SECRET_KEY, settings.ENCRYPTION_KEY = "canary-secret-key-5d0e", "canary-encryption-key-a41b"
    return OF_ENVIRONMENT | {
        "SECRET_KEY": settings.SECRET_KEY,
        "ENCRYPTION_KEY": settings.ENCRYPTION_KEY,
        "the password": "canary-password-3e77",
        "a mistyped password": "canary-mistyped-3e7",
        "the seed of the code app": base64.b32encode(b"canary-totp-seed-000").decode(),
        "a key that nobody issued": make_token(TokenKind.API_KEY),
        "a join token that nobody issued": make_token(TokenKind.JOIN_TOKEN),
        # Of no kind that any pattern knows.
        "the provider's key": "canary/provider/key.8c21",
    }


@pytest.fixture
def web(transactional_db: None, secrets: Secrets, tmp_path: Path) -> Iterator[LiveServer]:
    with LoudServer(tmp_path / "web") as server:
        server.start()
        yield server


@pytest.fixture
def witness(web: LiveServer) -> Witness:
    return Witness(web.url)


@pytest.fixture
def root(transactional_db: None, secrets: Secrets):
    person = get_user_model().objects.create_superuser("ada", "ada@example.org", password=secrets["the password"])
    TOTP.activate(person, secrets["the seed of the code app"])
    codes = RecoveryCodes.activate(person)
    secrets |= {f"recovery code {number}": code for number, code in enumerate(codes.get_unused_codes())}
    return person


@pytest.fixture
def keys(root, secrets: Secrets) -> Secrets:
    scopes = [*KeyScope]
    row, before = issue_key(root, "nightly", scopes=scopes)
    secrets |= {"an API key": str(rotate_key(row, timedelta(hours=1))), "its previous secret": before}
    return secrets


@pytest.fixture
def cloud(keys: Secrets, web: LiveServer) -> Iterator[OpenAIServer]:
    """A provider whose model is called `cloud`."""
    server = OpenAIServer()
    server.key = keys["the provider's key"]
    provider = Provider.objects.create(name="cloud", kind="other", base_url=server.url, credential=server.key)
    model = LanguageModel.objects.create(name="cloud")
    ProviderModel.objects.create(provider=provider, model=model, upstream_name=MODEL)
    yield server
    server.close()


@pytest.fixture
def fleet(start_worker, deploy, wait_ready, join_token, secrets: Secrets) -> None:
    """One model that answers, one whose answers break, and the secrets between its worker and us."""
    models = [deploy("echo"), deploy("broken", source="fail_after=5")]
    daemon = start_worker()
    for model in models:
        wait_ready(model)
    kept = json.loads((daemon.state_dir / "credential.json").read_text())
    secrets |= {name: kept[name] for name in ("credential", "gateway_secret")} | {"a join token": join_token}


def test_no_secret_is_anywhere_but_where_it_belongs(witness, web, keys, fleet, cloud, root, start_worker, tmp_path):
    call_models(witness, keys, cloud)
    call_workers_and_join(witness, keys, start_worker)
    pages, answers = visit_pages(witness, keys, root), manage(witness, keys)
    texts = {**written(tmp_path), **rows(), **witness.told}
    assert (len(pages) > 40, len(answers) > 10) == (True, True)
    assert "could not be mailed" in texts["web/web.log"]
    seen = found(keys, texts)
    # Who asks may read their own prompt in the answer.
    seen += found(PERSONAL, {**written(tmp_path), **rows(), **pages, **answers})
    assert "\n".join(seen) == ""


def found(secrets: Secrets, texts: dict[str, str]) -> list[str]:
    return [f"{name} in {place}" for name, secret in secrets.items() for place, text in texts.items() if secret in text]


def call_models(witness: Witness, secrets: Secrets, cloud: OpenAIServer) -> None:
    key = secrets["an API key"]
    wait_until(lambda: chat(witness, key, "echo").status_code == 200, what="the gateway knows the worker")
    wait_until(lambda: chat(witness, key, "cloud").status_code == 200, what="the gateway knows the provider")
    asked = [
        chat(witness, key, "echo", stream=True),
        chat(witness, secrets["its previous secret"], "echo"),
        chat(witness, key, "echo", temperature="hot"),
        chat(witness, key, "broken"),
        chat(witness, secrets["a key that nobody issued"], "echo"),
        # Into the wrong field.
        chat(witness, key, key),
    ]
    assert [answer.status_code for answer in asked] == [200, 200, 400, 502, 401, 404]
    chat(witness, key, "broken", stream=True)
    witness.ask("GET", f"/v1/models/{key}", headers=bearer(key))
    witness.ask("GET", f"/v1/models?api_key={key}")
    refuse_at_the_provider(witness, key, cloud)
    wait_until(UsageRecord.objects.filter(model="cloud", state="failed").exists, what="all is on record")


def refuse_at_the_provider(witness: Witness, key: str, cloud: OpenAIServer) -> None:
    """In words that quote our key, then in words that quote the prompt."""
    cloud.key, before = "another", cloud.key
    assert chat(witness, key, "cloud").status_code == 502
    probe_providers()
    cloud.key, cloud.fault = before, lambda: error(500, f"Cannot cope with: {PROMPT}")
    assert chat(witness, key, "cloud").status_code == 502
    cloud.fault = lambda: None


def call_workers_and_join(witness: Witness, secrets: Secrets, start_worker) -> None:
    worker = Worker.objects.get()
    door = Witness(worker.address)
    for secret in (secrets["gateway_secret"], secrets["a key that nobody issued"]):
        door.ask("POST", "/v1/chat/completions", json={"model": 1, "messages": PROMPT}, headers=bearer(secret))
    witness.told |= door.told
    stranger: Part = start_worker("stranger", token=secrets["a join token that nobody issued"])
    wait_until(lambda: not stranger.is_running, what="the stranger is refused", log=stranger.log)


def visit_pages(witness: Witness, secrets: Secrets, root) -> dict[str, str]:
    _, secrets["an invitation"] = invite("grace", team=None, lifetime=timedelta(days=1), created_by=root)
    witness.ask("GET", f"/invitation/{secrets['an invitation']}/")
    witness.ask("GET", "/oidc/main/login/")
    before = set(witness.told)
    with httpx2.Client() as browser:
        witness.submit(browser, "/login/", login="ada", password=secrets["a mistyped password"])
        # There is no mail server, and its password must not be in the complaint.
        witness.submit(browser, "/login/forgotten/", email="ada@example.org")
        # A form gives back what was typed for a name, to whoever typed it.
        Witness(witness.url).submit(browser, "/login/", login=secrets["the password"], password="wrong")
        witness.submit(browser, "/login/", login="ada", password=secrets["the password"])
        witness.submit(browser, "/login/code/", code="000000")
        witness.submit(browser, "/login/code/", code=secrets["recovery code 0"])
        secrets["the session"] = browser.cookies["sessionid"]
        for path in admin_pages():
            assert witness.ask("GET", path, by=browser).status_code == 200, path
        for path in ("/keys/", "/usage/", "/account/", "/admin/jsi18n/"):
            witness.ask("GET", path, by=browser)
    return {place: witness.told[place] for place in witness.told.keys() - before}


def admin_pages() -> list[str]:
    """Each list, and the page of one row of it."""
    pages = ["/admin/"]
    for model in admin.site._registry:
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        pages.append(reverse(f"{name}_changelist"))
        if row := model._default_manager.order_by("-pk").first():
            pages.append(reverse(f"{name}_change", args=[row.pk]))
    return pages


def manage(witness: Witness, secrets: Secrets) -> dict[str, str]:
    before = set(witness.told)
    headers = bearer(secrets["an API key"])
    for kind in LISTS:
        found = witness.ask("GET", f"/api/fleet/v1/{kind}", headers=headers).json()
        for row in (found if isinstance(found, list) else found["results"])[:1]:
            witness.ask("GET", f"/api/fleet/v1/{kind}/{row['id']}", headers=headers)
    provider = Provider.objects.get()
    body = {"headers": "no object", "api_key": secrets["the provider's key"]}
    witness.ask("PATCH", f"/api/fleet/v1/providers/{provider.pk}", headers=headers, json=body)
    witness.ask("GET", "/v1/usage", headers=headers)
    witness.ask("GET", "/metrics", headers=bearer(secrets["METRICS_TOKEN"]))
    witness.ask("GET", "/metrics", headers=bearer(secrets["an API key"]))
    return {place: witness.told[place] for place in witness.told.keys() - before}


def chat(witness: Witness, key: str, model: str, **more: Any) -> httpx2.Response:
    body = {"model": model, "messages": [{"role": "user", "content": PROMPT}], **more}
    return witness.ask("POST", "/v1/chat/completions", json=body, headers=bearer(key))


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


def written(folder: Path) -> dict[str, str]:
    """Every file of web process and workers, but for the one that is there to hold the worker's secrets."""
    found = {}
    for path in folder.rglob("*"):
        # The processes still run, and may take a file away that they have listed here.
        with suppress(FileNotFoundError):
            if path.is_file() and path.name != "credential.json":
                found[str(path.relative_to(folder))] = path.read_text(errors="replace")
    return found


def rows() -> dict[str, str]:
    """Every row of every table; of sessions without their keys, by which they are found."""
    found = {}
    for table in connection.introspection.table_names():
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")
            names = [column[0] for column in cursor.description]
            told = [[value for name, value in zip(names, row, strict=True) if name != "session_key"] for row in cursor]
        found[f"table {table}"] = str(told)
    assert len(found) > len(apps.get_models())
    return found


def test_what_cannot_be_reached_is_named_without_its_password():
    """The database, the broker, Redis."""
    address = "canary:canary-url-password-6b@127.0.0.1:1"
    environment = {
        "DATABASE_URL": f"postgres://{address}/flotilla",
        "REDIS_URL": f"redis://{address}/0",
        "LOG_LEVEL": "DEBUG",
        "ALLOWED_HOSTS": "*",
    }
    command = [sys.executable, "manage.py", "doctor"]
    told = subprocess.run(command, cwd=ROOT, env=os.environ | environment, capture_output=True, text=True, check=False)
    assert "DATABASE_URL" in told.stdout
    assert "canary-url-password-6b" not in told.stdout + told.stderr
