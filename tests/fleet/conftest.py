from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.utils.timezone import now

from fleet.enrolment import issue_join_token
from fleet.models import Deployment, JoinToken, LanguageModel, Worker
from protocol.control import Device, Enrolment, Hardware, Heartbeat

HARDWARE = Hardware(
    hostname="box",
    num_cpus=2,
    devices=[Device(name="cpu", kind="cpu", memory_total_bytes=2**34, memory_free_bytes=2**33)],
    disk_free_bytes=2**40,
)


@pytest.fixture
def issue(db: None) -> Callable[..., tuple[JoinToken, str]]:
    """`issue(max_uses=1)`: a join token and its text."""

    def make(**fields: Any) -> tuple[JoinToken, str]:
        return issue_join_token(
            "gpu boxes", **({"lifetime": timedelta(hours=1), "max_uses": None, "created_by": None} | fields)
        )

    return make


def enrolment(**fields: Any) -> Enrolment:
    given = {
        "name": "box-1",
        "address": "http://127.0.0.1:8100",
        "gateway_secret": "flt-gateway-" + "s" * 49,
        "hardware": HARDWARE,
        "software_version": "0.1.0",
    }
    return Enrolment(**(given | fields))


def heartbeat(**fields: Any) -> Heartbeat:
    given = {
        "boot_id": "boot-1",
        "sequence": 1,
        "hardware": HARDWARE,
        "software_version": "0.1.0",
        "address": "http://127.0.0.1:8100",
    }
    return Heartbeat(**(given | fields))


@pytest.fixture
def make_worker(db: None) -> Callable[..., Worker]:
    """`make_worker("name")`: a worker that has just been heard."""

    def make(name: str = "box-1", **fields: Any) -> Worker:
        given = {
            "address": "http://127.0.0.1:8100",
            "pinned_ip": "127.0.0.1",
            "credential_hash": uuid4().hex,
            "gateway_secret": "secret",
            "boot_id": "boot-0",
            "last_heartbeat_at": now(),
        }
        return Worker.objects.create(name=name, **(given | fields))

    return make


@pytest.fixture
def make_deployment(db: None) -> Callable[..., Deployment]:
    """`make_deployment("name", num_replicas=2)`: not placed yet."""

    def make(name: str = "echo-1", **fields: Any) -> Deployment:
        model, _ = LanguageModel.objects.get_or_create(name=name)
        return Deployment.objects.create(model=model, **({"engine": "echo"} | fields))

    return make
