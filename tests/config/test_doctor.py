"""`manage.py doctor` names what is wrong and what to do."""

import os
import socket
from datetime import timedelta

import pytest
from django.core.management import call_command
from django.utils.timezone import now

from config import doctor
from config.doctor import Level
from fleet.models import Worker

pytestmark = pytest.mark.django_db


def worker_at(port: int, **fields) -> Worker:
    return Worker.objects.create(
        name="box",
        address=f"http://127.0.0.1:{port}",
        pinned_ip="127.0.0.1",
        credential_hash="0" * 64,
        gateway_secret="secret",
        **{"last_heartbeat_at": now(), **fields},
    )


@pytest.fixture
def closed_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        yield probe.getsockname()[1]


def levels(check) -> set[Level]:
    return {finding.level for finding in check()}


@pytest.mark.parametrize("check", [doctor.check_database, doctor.check_clock, doctor.check_channel_layer])
def test_a_well_installation_gives_no_complaint(check):
    assert levels(check) == {Level.OK}


def test_every_finding_that_is_not_well_says_what_to_do(closed_port):
    worker_at(closed_port)
    assert all(finding.remedy for finding in doctor.examine() if finding.level is not Level.OK)


def test_a_worker_that_beats_but_cannot_be_reached_is_an_error(closed_port):
    worker_at(closed_port)
    (finding,) = doctor.check_workers()
    assert finding.level is Level.ERROR
    assert "cannot be reached" in finding.says


def test_a_silent_worker_is_an_error_with_its_last_heartbeat(closed_port):
    worker_at(closed_port, last_heartbeat_at=now() - timedelta(minutes=5))
    (finding,) = doctor.check_workers()
    assert finding.says.startswith("silent since 20")


def test_a_secret_that_others_may_read_is_named(settings, tmp_path):
    settings.VAR_DIR = tmp_path
    (tmp_path / "secret_key").write_text("x")
    os.chmod(tmp_path / "secret_key", 0o644)
    (finding,) = doctor.check_secrets()
    assert finding.remedy == f"chmod 600 {tmp_path / 'secret_key'}"


def test_a_broker_that_does_not_answer_is_an_error(closed_port, monkeypatch):
    monkeypatch.setattr(doctor.app.conf, "broker_write_url", f"redis://127.0.0.1:{closed_port}/0")
    monkeypatch.setattr(doctor.app.conf, "broker_transport", "redis")
    assert levels(doctor.check_broker) == {Level.ERROR}


def test_a_check_that_breaks_is_a_finding_not_a_traceback(monkeypatch):
    def check_the_moon():
        raise RuntimeError("too far")
        yield

    monkeypatch.setattr(doctor, "_CHECKS", (check_the_moon,))
    (finding,) = doctor.examine()
    assert (finding.level, finding.subject) == (Level.ERROR, "the moon")


def test_the_command_fails_when_something_is_broken(closed_port, capsys):
    worker_at(closed_port)
    with pytest.raises(SystemExit):
        call_command("doctor")
    assert "1 errors" in capsys.readouterr().out
