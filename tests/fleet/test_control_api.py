"""The control plane over HTTP: nothing answers without a credential."""

import logging
from datetime import timedelta

import msgspec
import pytest
from django.test import Client
from django.utils.timezone import now
from django_celery_beat.models import PeriodicTask

from fleet.api.views import MAX_BODY_BYTES
from fleet.models import Worker
from protocol import codec
from protocol.control import ENROL_PATH, HEARTBEAT_PATH, DesiredState, Enrolled
from protocol.tokens import TokenKind, make_token
from tests.fleet.conftest import enrolment, heartbeat

ENROLMENT = codec.encode(enrolment())
HEARTBEAT = codec.encode(heartbeat())


def post(path: str, body: bytes, token: str | None = None):
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return Client().post(path, body, content_type="application/json", headers=headers)


@pytest.fixture
def enrolled(issue) -> Enrolled:
    return codec.decode(Enrolled, post(ENROL_PATH, ENROLMENT, issue()[1]).content)


def test_a_machine_enrols_and_beats(enrolled):
    answer = post(HEARTBEAT_PATH, HEARTBEAT, enrolled.credential)
    assert codec.decode(DesiredState, answer.content).replicas == []


@pytest.mark.django_db
@pytest.mark.parametrize("path", [ENROL_PATH, HEARTBEAT_PATH])
@pytest.mark.parametrize("method", ["get", "post", "put", "delete", "options"])
def test_nothing_answers_without_a_credential(path, method):
    answer = getattr(Client(), method)(path)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("path", "token"),
    [
        (ENROL_PATH, make_token(TokenKind.JOIN_TOKEN)),
        (ENROL_PATH, make_token(TokenKind.API_KEY)),
        (HEARTBEAT_PATH, make_token(TokenKind.WORKER_CREDENTIAL)),
        (HEARTBEAT_PATH, "flt-worker-ö\udcff".encode("utf-8", "surrogateescape").decode("latin-1")),
    ],
    ids=["unknown join token", "another kind of token", "unknown credential", "not even text"],
)
def test_a_forged_credential_is_refused_with_one_log_line_without_the_secret(path, token, caplog):
    caplog.set_level(logging.INFO, "fleet")
    answer = post(path, b"not even JSON", token)
    (line,) = [record.getMessage() for record in caplog.records if record.name.startswith("fleet")]
    assert answer.status_code == 401
    assert token not in line
    assert "127.0.0.1" in line


def test_an_expired_join_token_gets_401(issue, time_machine):
    _, text = issue(lifetime=timedelta(minutes=1))
    time_machine.move_to(now() + timedelta(hours=1))
    assert post(ENROL_PATH, ENROLMENT, text).status_code == 401


def test_a_used_up_join_token_gets_401(issue):
    _, text = issue(max_uses=1)
    assert [post(ENROL_PATH, ENROLMENT, text).status_code for _ in range(2)] == [201, 401]


def test_a_join_token_opens_no_other_door(issue):
    assert post(HEARTBEAT_PATH, HEARTBEAT, issue()[1]).status_code == 401


def test_a_revoked_worker_is_told_so(enrolled):
    Worker.objects.get().revoke()
    answer = post(HEARTBEAT_PATH, HEARTBEAT, enrolled.credential)
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "worker_revoked")


def test_a_replayed_heartbeat_gets_409(enrolled):
    answers = [post(HEARTBEAT_PATH, HEARTBEAT, enrolled.credential) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 409]


def test_an_address_outside_the_networks_gets_400(issue):
    body = codec.encode(enrolment(address="http://8.8.8.8"))
    answer = post(ENROL_PATH, body, issue()[1])
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "address_refused")


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"name": 1}', b"\xff", b"[" * 100_000])
def test_a_body_that_is_no_enrolment_gets_400(issue, body):
    assert post(ENROL_PATH, body, issue()[1]).status_code in (400, 426)


@pytest.mark.parametrize("value", ["", "x" * 101, "a\x00b"])
def test_a_name_that_no_column_could_hold_gets_400(issue, value):
    message = msgspec.to_builtins(enrolment()) | {"name": value}
    assert post(ENROL_PATH, codec.encode(message), issue()[1]).status_code == 400


def test_another_version_of_the_protocol_gets_advice(issue):
    message = {"protocol_version": 99, "everything": "else is different"}
    answer = post(ENROL_PATH, codec.encode(message), issue()[1])
    assert answer.status_code == 426
    assert "Upgrade the server" in answer.json()["error"]["message"]


def test_unknown_fields_are_ignored(issue):
    message = msgspec.to_builtins(enrolment()) | {"colour": "blue"}
    assert post(ENROL_PATH, codec.encode(message), issue()[1]).status_code == 201


def test_a_body_that_is_too_long_gets_413(issue):
    assert post(ENROL_PATH, b" " * (MAX_BODY_BYTES + 1), issue()[1]).status_code == 413


@pytest.mark.django_db
def test_the_schedule_looks_after_the_fleet():
    tasks = PeriodicTask.objects.filter(enabled=True).values_list("task", flat=True)
    assert {"fleet.mark_lost", "fleet.reconcile"} <= set(tasks)
