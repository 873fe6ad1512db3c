"""What somebody tries who has seen a join token, a credential, or a heartbeat; over HTTP, as they would."""

import itertools
from collections.abc import Callable

import msgspec
import pytest
from django.test import Client

from fleet.enrolment import Terms
from fleet.membership import rotate_credential
from fleet.models import JoinToken, Replica, Worker
from fleet.reconciler import reconcile
from protocol import codec
from protocol.control import ENROL_PATH, HEARTBEAT_PATH, Enrolled, ReplicaPhase, ReplicaStatus
from protocol.tokens import TokenKind, hash_token, make_token
from tests.fleet.conftest import enrolment, heartbeat

STRANGER = "203.0.113.66"
NEIGHBOUR = "10.0.0.66"


def post(path: str, message: object, token: str, peer: str = "127.0.0.1", **headers: str):
    body = message if isinstance(message, bytes) else codec.encode(message)
    sent = {"Authorization": f"Bearer {token}"} | headers
    return Client(REMOTE_ADDR=peer).post(path, body, content_type="application/json", headers=sent)


def code(answer) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


@pytest.fixture
def join(issue) -> Callable[..., Enrolled]:
    """`join("name")`: a worker that came in by the door."""
    _, text = issue()

    def make(name: str = "box-1", port: int = 8100) -> Enrolled:
        wanted = enrolment(name=name, address=f"http://127.0.0.1:{port}")
        return codec.decode(Enrolled, post(ENROL_PATH, wanted, text).content)

    return make


@pytest.mark.parametrize(
    "address",
    [
        "http://127.0.0.1:6379",
        "http://localhost:6379",
        "http://[::1]:5432",
        "http://127.1:80",
        "http://2130706433:80",
        "http://0x7f000001:80",
        "http://[::ffff:127.0.0.1]:80",
        "http://0.0.0.0:8000",
        "http://169.254.169.254",
        "http://[fe80::1]",
        "http://224.0.0.1",
        "http://8.8.8.8",
        "http://10.0.0.7@127.0.0.1",
        "http://10.0.0.7:8100/v1/../admin",
        "http://10.0.0.7:8100?x=1",
        "http://10.0.0.7\\@127.0.0.1",
        "file:///etc/passwd",
        "gopher://10.0.0.7",
        "http://",
        "http://10.0.0.7:99999",
    ],
)
def test_a_remote_machine_cannot_point_the_gateway_at_what_is_not_its_own(issue, address):
    answer = post(ENROL_PATH, enrolment(address=address), issue()[1], NEIGHBOUR)
    assert code(answer) == (400, "address_refused")
    assert (Worker.objects.count(), JoinToken.objects.get().num_uses) == (0, 0)


def test_nor_can_it_move_there_once_it_has_joined(issue):
    wanted = enrolment(address="http://10.0.0.66:8100")
    enrolled = codec.decode(Enrolled, post(ENROL_PATH, wanted, issue()[1], NEIGHBOUR).content)
    moved = heartbeat(address="http://127.0.0.1:6379")
    assert code(post(HEARTBEAT_PATH, moved, enrolled.credential, NEIGHBOUR)) == (400, "address_refused")
    assert Worker.objects.get().pinned_ip == "10.0.0.66"


def test_a_name_that_resolves_to_something_else_later_changes_nothing(issue, monkeypatch):
    answers = itertools.chain(["10.0.0.7"], itertools.repeat("127.0.0.1"))
    found = lambda *_, **__: [(2, 1, 6, "", (next(answers), 0))]  # noqa: E731 - the network, broken on purpose
    monkeypatch.setattr("fleet.addresses.socket.getaddrinfo", found)
    wanted = enrolment(address="http://rebind.example:8100")
    enrolled = codec.decode(Enrolled, post(ENROL_PATH, wanted, issue()[1], NEIGHBOUR).content)
    beat = heartbeat(address="http://rebind.example:8100")
    assert post(HEARTBEAT_PATH, beat, enrolled.credential, NEIGHBOUR).status_code == 200
    assert Worker.objects.get().pinned_ip == "10.0.0.7"


def test_a_name_of_which_one_address_is_forbidden_is_refused(issue, monkeypatch):
    found = [(2, 1, 6, "", (ip, 0)) for ip in ("10.0.0.7", "169.254.169.254")]
    monkeypatch.setattr("fleet.addresses.socket.getaddrinfo", lambda *_, **__: found)
    answer = post(ENROL_PATH, enrolment(address="http://two.example:8100"), issue()[1], NEIGHBOUR)
    assert code(answer) == (400, "address_refused")


def test_a_forged_forwarding_header_does_not_open_a_token_s_network(issue):
    _, text = issue(terms=Terms(networks=["10.20.0.0/16"]))
    forged = {"X-Forwarded-For": "10.20.0.1", "X-Real-IP": "10.20.0.1", "Forwarded": "for=10.20.0.1"}
    assert code(post(ENROL_PATH, enrolment(), text, STRANGER, **forged)) == (401, "invalid_join_token")


def test_a_captured_heartbeat_cannot_be_sent_again_even_after_a_restart_of_the_daemon(join):
    credential = join().credential
    captured = [heartbeat(boot_id="boot-1", sequence=number) for number in (1, 2)]
    for beat in captured:
        assert post(HEARTBEAT_PATH, beat, credential).status_code == 200
    assert code(post(HEARTBEAT_PATH, captured[0], credential)) == (409, "heartbeat_replayed")
    assert post(HEARTBEAT_PATH, heartbeat(boot_id="boot-2"), credential).status_code == 200
    assert {code(post(HEARTBEAT_PATH, beat, credential)) for beat in captured} == {(409, "credential_shared")}


def test_a_worker_cannot_speak_for_a_replica_of_another(join, make_deployment):
    owner, thief = join("owner", 8100), join("thief", 8200)
    assert post(HEARTBEAT_PATH, heartbeat(), owner.credential).status_code == 200
    make_deployment()
    reconcile()
    replica = Replica.objects.get()
    lie = ReplicaStatus(replica_id=str(replica.pk), phase=ReplicaPhase.READY)
    beat = heartbeat(address="http://127.0.0.1:8200", replicas=[lie])
    assert post(HEARTBEAT_PATH, beat, thief.credential).status_code == 200
    replica.refresh_from_db()
    assert (str(replica.worker_id), replica.phase) == (owner.worker_id, "pending")


@pytest.mark.parametrize(
    "forge",
    [
        lambda token: make_token(TokenKind.WORKER_CREDENTIAL),
        lambda token: token[:-1] + ("A" if token[-1] != "A" else "B"),
        lambda token: token + "x",
        lambda token: token.lower(),
        lambda token: hash_token(token),
        lambda token: "",
        lambda token: "flt-worker-" + "a" * 100_000,
    ],
    ids=["another", "one character", "longer", "lower case", "the stored hash", "nothing", "huge"],
)
def test_a_credential_that_is_nearly_right_opens_nothing(join, forge):
    token = join().credential
    assert post(HEARTBEAT_PATH, heartbeat(), forge(token)).status_code == 401


def test_a_revoked_worker_s_credential_opens_nothing_not_even_with_a_rotation_under_way(join):
    enrolled = join()
    worker = Worker.objects.get()
    rotate_credential(worker)
    worker.refresh_from_db()
    worker.revoke()
    for token in (enrolled.credential, worker.next_credential):
        assert code(post(HEARTBEAT_PATH, heartbeat(), token)) == (401, "worker_revoked")


def test_a_rotated_away_credential_opens_nothing(join):
    old = join().credential
    rotate_credential(Worker.objects.get())
    new = post(HEARTBEAT_PATH, heartbeat(sequence=1), old).json()["next_credential"]
    assert post(HEARTBEAT_PATH, heartbeat(sequence=2), new).status_code == 200
    assert code(post(HEARTBEAT_PATH, heartbeat(sequence=3), old)) == (401, "invalid_credential")


@pytest.mark.parametrize(
    "change",
    [
        {"sequence": 0},
        {"sequence": 2**63},
        {"sequence": -1},
        {"sequence": 1.5},
        {"boot_id": ""},
        {"boot_id": "a b"},
        {"boot_id": "x" * 65},
        {"replicas": [{"replica_id": "r", "phase": "ready", "progress": 2}]},
        {"replicas": [{"replica_id": "r", "phase": "on fire"}]},
        {"replicas": [{"replica_id": "r", "phase": "ready", "memory_bytes": -1}]},
        {"replicas": [{"replica_id": "'; DROP TABLE fleet_worker; --", "phase": "ready"}]},
        {"software_version": "x" * 33},
        {"software_version": "\x00"},
        {"hardware": None},
        {"hardware": {"hostname": "h", "num_cpus": 10**30, "devices": [], "disk_free_bytes": 1}},
        {"is_draining": "yes"},
    ],
    ids=str,
)
def test_a_heartbeat_with_a_wrong_field_is_refused_and_changes_nothing(join, change):
    credential = join().credential
    before = Worker.objects.values().get()
    message = msgspec.to_builtins(heartbeat()) | change
    assert code(post(HEARTBEAT_PATH, message, credential)) == (400, "malformed_request")
    assert Worker.objects.values().get() == before


def test_what_a_worker_says_is_shown_as_text(join, admin_client):
    credential = join("<script>alert(1)</script>").credential
    beat = msgspec.to_builtins(heartbeat()) | {"software_version": "<img src=x>"}
    beat["hardware"] |= {"hostname": "<script>alert(2)</script>"}
    assert post(HEARTBEAT_PATH, beat, credential).status_code == 200
    page = admin_client.get(f"/admin/fleet/worker/{Worker.objects.get().pk}/change/").content.decode()
    assert "<script>alert" not in page
    assert "<img src=x>" not in page
