"""A model that nobody asks leaves the machine's memory, and comes back for whoever asks next."""

import json
from urllib.request import Request, urlopen

import psutil
import pytest
from django.utils.timezone import now

from fleet.models import Deployment, Replica, Worker
from gateway.models import UsageRecord
from tests.journeys.conftest import LiveServer, WorkerProcess
from tests.journeys.waiting import PATIENCE_S, wait_until
from tests.processes import command_of

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
    return [one for one in worker.children() if "workers.engines" in command_of(one)]


def phase_of(deployment: Deployment) -> str:
    return Replica.objects.get(deployment=deployment).phase


def memory_of(replica: Replica) -> int:
    known = Replica.objects.filter(pk=replica.pk, memory_bytes__gt=0).values_list("memory_bytes", flat=True)
    return wait_until(known.first, what="its memory is known")


def wait_asleep(deployment: Deployment) -> None:
    asleep = Replica.objects.filter(deployment=deployment, phase="asleep")
    wait_until(asleep.exists, what=f"{deployment} is asleep")


def wait_heard_twice(name: str) -> None:
    """The answer to the first call tells it what is wanted now; with the second it has surely come."""
    for _ in range(2):
        heard = Worker.objects.filter(name=name, last_heartbeat_at__gt=now())
        wait_until(heard.exists, what=f"{name} calls")


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


def test_two_models_share_a_machine_that_has_room_for_one(web, start_worker, deploy, wait_ready, key):
    start_worker("large")
    measured = memory_of(wait_ready(deploy("measured")))
    Deployment.objects.all().delete()
    Worker.objects.update(cordoned=True)
    small = start_worker("small", "--memory-gb", f"{1.5 * measured / 2**30:.4f}")
    first, second = (deploy(name, idle_unload_minutes=A_SECOND) for name in ("first", "second"))
    wait_asleep(first)
    wait_asleep(second)
    Deployment.objects.update(idle_unload_minutes=60)
    wait_heard_twice("small")
    assert not engines(small)
    for asked, other in ((first, second), (second, first), (first, second)):
        name = asked.model.name
        assert chat(web, key, name, name) == name
        assert len(engines(small)) == 1
        wait_until(lambda asked=asked: phase_of(asked) == "ready", what=f"{name} is awake", log=small.log)
        wait_asleep(other)
