"""A Flotilla answers for another one's models: two installations, each with its own database, and one client."""

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import openai
import pytest
from django.contrib.auth import get_user_model

from fleet.models import LanguageModel, Provider
from gateway.issuing import issue_key
from gateway.models import UsageRecord
from tests.journeys.conftest import ROOT, LiveServer, WorkerProcess
from tests.journeys.waiting import PATIENCE_S, wait_until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.once, pytest.mark.xdist_group("another")]

HELLO = [{"role": "user", "content": "Hello across the sea"}]
SET_UP = """
from datetime import timedelta
from django.contrib.auth import get_user_model
from fleet.enrolment import issue_join_token
from fleet.models import Deployment, LanguageModel
from gateway.issuing import issue_key
Deployment.objects.create(model=LanguageModel.objects.create(name="far-echo"), engine="echo", source="delay=0.02")
print(issue_key(get_user_model().objects.create_user("neighbour"), "theirs", expires_at=None)[1])
print(issue_join_token("w", lifetime=timedelta(hours=1), max_uses=None, created_by=None)[1])
"""


class OtherFlotilla(LiveServer):
    """With a database, secrets and a worker of its own."""

    key = ""

    @property
    def environment(self) -> dict[str, str]:
        database = f"sqlite:///{self.database}"
        return super().environment | {"DATABASE_URL": database, "SECRET_KEY": "another", "ENCRYPTION_KEY": "another"}

    @property
    def database(self) -> Path:
        return self.log.parent / "other.sqlite3"

    def manage(self, *arguments: str) -> list[str]:
        """Lines that the command printed."""
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT, env=os.environ | self.environment, capture_output=True, text=True, check=True,
        )  # fmt: skip
        return done.stdout.split()


@pytest.fixture(scope="module")
def other_flotilla(tmp_path_factory):
    """Up, with one ready echo behind it; `.key` opens it."""
    folder = tmp_path_factory.mktemp("other")
    worker = WorkerProcess(folder / "worker" / "state", "far-worker")
    with OtherFlotilla(folder) as server:
        server.manage("migrate", "--verbosity", "0")
        server.key, join_token = server.manage("shell", "--verbosity", "0", "-c", SET_UP)[-2:]
        server.start()
        try:
            worker.start(server.url, join_token)
            with openai.OpenAI(base_url=f"{server.url}/v1", api_key=server.key, max_retries=0) as direct:
                wait_until(lambda: direct.models.retrieve("far-echo").capabilities, what="the far echo is ready")
            yield server
        finally:
            worker.kill()


@pytest.fixture
def other(other_flotilla):
    """Nothing is on record there yet."""
    with sqlite3.connect(other_flotilla.database, timeout=PATIENCE_S) as database:
        database.execute("DELETE FROM gateway_usagerecord")
    return other_flotilla


@pytest.fixture
def client(monkeypatch, other, request):
    """Of the Flotilla that has no worker of its own."""
    monkeypatch.setenv("PROVIDER_NETWORKS", "127.0.0.0/8")
    web = request.getfixturevalue("web")
    provider = Provider.objects.create(
        name="the other", kind="flotilla", base_url=f"{other.url}/v1", credential=other.key
    )
    provider.models.create(model=LanguageModel.objects.create(name="echo"), upstream_name="far-echo")
    key = issue_key(get_user_model().objects.create_user("ada"), "notebook", expires_at=None)[1]
    with openai.OpenAI(base_url=f"{web.url}/v1", api_key=key, max_retries=0, timeout=PATIENCE_S) as client:
        wait_until(lambda: "echo" in [model.id for model in client.models.list()], what="the gateway knows it")
        yield client


def records_there(other: OtherFlotilla) -> list[tuple[str, str, int]]:
    with sqlite3.connect(other.database, timeout=PATIENCE_S) as database:
        return database.execute("SELECT user_name, state, completion_tokens FROM gateway_usagerecord").fetchall()


def test_what_one_asks_the_other_answers_and_both_account_for_it(client, other):
    whole = client.chat.completions.create(model="echo", messages=HELLO)
    chunks = list(client.chat.completions.create(model="echo", messages=HELLO, stream=True))
    said = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert (whole.model, {chunk.model for chunk in chunks}) == ("echo", {"echo"})
    assert said == whole.choices[0].message.content
    num = whole.usage.completion_tokens
    wait_until(lambda: UsageRecord.objects.count() == 2, what="both are on record here")
    assert set(UsageRecord.objects.values_list("worker_name", "state", "completion_tokens")) == {
        ("the other", "complete", num)
    }
    wait_until(lambda: len(records_there(other)) == 2, what="both are on record there")
    assert set(records_there(other)) == {("neighbour", "complete", num)}


def test_a_hang_up_here_stops_the_engine_there(client, other):
    long = [{"role": "user", "content": "one two three four five six seven eight nine ten " * 100}]
    with client.chat.completions.create(model="echo", messages=long, stream=True) as stream:
        for _ in range(5):
            next(stream)
    (record,) = wait_until(lambda: records_there(other), what="it is on record there")
    assert record[:2] == ("neighbour", "cut_by_client")
    assert record[2] < 1000
