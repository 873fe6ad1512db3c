"""A machine trades a join token for a credential of its own."""

import threading
from datetime import timedelta

import pytest
from django.db import connection
from django.utils.timezone import now

from fleet.enrolment import enrol
from fleet.errors import AddressRefused, JoinTokenRefused
from fleet.models import JoinToken, Worker
from protocol.tokens import TokenKind, hash_token, make_token
from tests.fleet.conftest import enrolment


def test_a_machine_with_a_token_becomes_a_worker(issue):
    _, text = issue()
    enrolled = enrol(text, enrolment(name="box-7"))
    assert Worker.objects.get(pk=enrolled.worker_id).name == "box-7"


def test_only_the_hash_of_the_credential_is_kept(issue):
    enrolled = enrol(issue()[1], enrolment())
    assert Worker.objects.get().credential_hash == hash_token(enrolled.credential)


def test_the_gateway_secret_is_encrypted_in_the_database(issue):
    enrol(issue()[1], enrolment(gateway_secret="flt-gateway-" + "x" * 40))
    with connection.cursor() as cursor:
        cursor.execute("SELECT gateway_secret FROM fleet_worker")
        (stored,) = cursor.fetchone()
    assert "x" * 40 not in stored
    assert Worker.objects.get().gateway_secret == "flt-gateway-" + "x" * 40


@pytest.mark.django_db
def test_a_forged_token_is_refused():
    with pytest.raises(JoinTokenRefused, match="unknown"):
        enrol(make_token(TokenKind.JOIN_TOKEN), enrolment())


@pytest.mark.django_db
def test_text_that_is_no_token_is_refused():
    with pytest.raises(JoinTokenRefused, match="not a join token"):
        enrol("flt-join-hello", enrolment())


def test_an_expired_token_is_refused(issue, time_machine):
    _, text = issue(lifetime=timedelta(hours=1))
    time_machine.move_to(now() + timedelta(hours=2))
    with pytest.raises(JoinTokenRefused, match="expired"):
        enrol(text, enrolment())


def test_a_revoked_token_is_refused(issue):
    token, text = issue()
    token.revoke()
    with pytest.raises(JoinTokenRefused, match="revoked"):
        enrol(text, enrolment())


def test_a_token_is_used_up_after_its_uses(issue):
    _, text = issue(max_uses=1)
    enrol(text, enrolment())
    with pytest.raises(JoinTokenRefused, match="used up"):
        enrol(text, enrolment())


def test_an_address_outside_the_networks_is_refused_and_takes_no_use(issue, settings):
    settings.WORKER_NETWORKS = ["10.0.0.0/8"]
    _, text = issue(max_uses=1)
    with pytest.raises(AddressRefused):
        enrol(text, enrolment(address="http://127.0.0.1:8100"))
    assert JoinToken.objects.get().num_uses == 0


@pytest.mark.django_db(transaction=True)
def test_machines_that_race_for_the_last_use_do_not_get_more_than_one(issue):
    _, text = issue(max_uses=1)
    start = threading.Barrier(6)
    outcomes: list[str] = []

    def race() -> None:
        start.wait()
        try:
            outcomes.append(enrol(text, enrolment()).worker_id)
        except JoinTokenRefused:
            outcomes.append("refused")
        finally:
            connection.close()

    racers = [threading.Thread(target=race) for _ in range(6)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()
    assert outcomes.count("refused") == 5
    assert Worker.objects.count() == 1


def test_revoking_a_token_twice_changes_nothing(issue):
    token, _ = issue()
    assert [token.revoke(), token.revoke()] == [True, False]
