"""A model that nobody asks leaves the machine's memory, and comes back for whoever asks next."""

import json
from urllib.request import Request, urlopen

import psutil
import pytest

from fleet.models import Deployment, Replica
from gateway.models import UsageRecord
from tests.journeys.conftest import LiveServer, WorkerProcess
from tests.journeys.waiting import PATIENCE_S, wait_until

pytestmark = pytest.mark.django_db(transaction=True)
A_SECOND = 1 / 60


def chat(web: LiveServer, key: str, model: str, text: str) -> str:
    body = {"model": model, "messages": [{"role": "user", "content": text}]}
    request = Request(web.url + "/v1/chat/completions", json.dumps(body).encode())
    request.add_header("Authorization", f"Bearer {key}")
    request.add_header("Content-Type", "application/json")
    with urlopen(request, timeout=PATIENCE_S) as answer:
        return json.load(answer)["choices"][0]["message"]["content"]


def engines(worker: WorkerProcess) -> list[psutil.Process]:
    return [one for one in worker.children() if "workers.engines" in " ".join(one.cmdline())]


def wait_asleep(deployment: Deployment) -> None:
    asleep = Replica.objects.filter(deployment=deployment, phase="asleep")
    wait_until(asleep.exists, what=f"{deployment} is asleep")


def test_an_idle_model_is_unloaded_and_wakes_for_the_next_request(web, start_worker, deploy, key):
    worker = start_worker()
    deployment = deploy("echo", idle_unload_minutes=A_SECOND)
    wait_asleep(deployment)
    wait_until(lambda: not engines(worker), what="its engine process is gone", log=worker.log)
    assert chat(web, key, "echo", "good morning") == "good morning"
    wait_asleep(deployment)
    assert [chat(web, key, "echo", text) for text in ("once", "more")] == ["once", "more"]
    assert set(UsageRecord.objects.values_list("state", flat=True)) == {"complete"}
    assert Replica.objects.filter(deployment=deployment).count() == 1
