"""`manage.py fleet`: the fleet from the command line."""

import io
import json

import pytest
from django.core.management import CommandError, call_command

from fleet.management.tables import table
from fleet.models import Deployment, Duty, JoinToken, Replica, Worker
from fleet.reconciler import reconcile


@pytest.fixture
def fleet(db, capsys):
    """`fleet("scale", "echo-1", "3")`: what the command prints."""

    def run(*arguments: str) -> str:
        call_command("fleet", *arguments)
        return capsys.readouterr().out

    return run


@pytest.fixture
def deployment(make_worker, make_deployment) -> Deployment:
    """Of two replicas on box-1, both ready."""
    make_worker("box-1")
    deployment = make_deployment(num_replicas=2)
    reconcile()
    Replica.objects.update(phase="ready")
    return deployment


def test_a_fleet_that_is_well_says_so_and_exits_with_0(fleet, deployment):
    assert fleet("status").split("\n")[:2] == ["Workers   1 of 1 alive", "Replicas  2 of 2 ready"]


def test_a_fleet_that_is_not_well_says_why_and_exits_with_1(fleet, deployment, capsys):
    Replica.objects.filter(slot=0).update(phase="failed", error="no such folder")
    with pytest.raises(SystemExit) as exit_:
        fleet("status")
    assert (exit_.value.code, "no such folder" in capsys.readouterr().out) == (1, True)


@pytest.mark.parametrize("look", ["workers", "deployments", "replicas"])
def test_every_table_fits_80_columns(fleet, make_worker, make_deployment, look):
    make_worker("a-machine-with-a-very-long-name." + "x" * 60, maintenance_remark="r" * 150, labels={"gpu": "h" * 60})
    make_worker("box-2")
    make_deployment("a-model-with-a-very-long-name/" + "y" * 60, source="/models/" + "z" * 200, num_replicas=2)
    make_deployment("waits", memory_gb=14)
    reconcile()
    lines = fleet(look).rstrip("\n").split("\n")
    assert len(lines) > 1
    assert max(len(line) for line in lines) <= 80


def test_what_is_cut_says_so():
    assert table(["A", "B"], [["x" * 100, "short"]]).split("\n")[1] == "x" * 72 + "…  short"


@pytest.mark.parametrize("look", ["workers", "deployments", "replicas", "status"])
def test_everything_is_told_to_programs_as_well(fleet, deployment, look):
    assert json.loads(fleet(look, "--json"))


def test_a_replica_without_a_place_says_why_worker_by_worker(fleet, make_worker, make_deployment):
    gpu = {"kind": "cuda", "memory_total_bytes": 80 * 2**30, "memory_free_bytes": 9 * 2**30}
    make_worker("box-1", hardware={"devices": [gpu]})
    make_worker("box-2", cordoned=True)
    make_deployment(memory_gb=14)
    (shown,) = json.loads(fleet("deployments", "--json"))
    assert shown["refusals"] == [
        {"worker": "box-1", "reason": "needs 14.0 GB, 9.0 GB free"},
        {"worker": "box-2", "reason": "cordoned"},
    ]
    assert "box-1: needs 14.0 GB, 9.0 GB free" in fleet("deployments")


@pytest.mark.parametrize(
    ("act", "before", "duty"),
    [
        (["cordon"], {}, Duty.CORDONED),
        (["uncordon"], {"cordoned": True}, Duty.IN_SERVICE),
        (["drain", "--force"], {}, Duty.EMPTIED),
        (["maintain", "--remark", "new fans", "--force"], {}, Duty.MAINTENANCE),
    ],
)
def test_a_workers_duty_is_decided_once(fleet, deployment, act, before, duty):
    Worker.objects.update(**before)
    fleet(*act, "box-1")
    assert Worker.objects.get().duty is duty
    assert fleet(*act, "box-1") == "Nothing to do: it was so already.\n"


def test_a_drain_that_would_stop_a_model_is_refused_with_its_name(fleet, deployment):
    with pytest.raises(CommandError, match="No other worker can take over: echo-1"):
        fleet("drain", "box-1")


def test_who_waits_for_a_drain_hears_when_the_worker_is_empty(fleet, make_worker):
    make_worker("box-1")
    assert fleet("drain", "box-1", "--wait", "5").split("\n")[:2] == ["box-1 drains.", "box-1 is empty."]


def test_who_waits_for_a_drain_in_vain_hears_what_to_look_at(fleet, deployment):
    with pytest.raises(CommandError, match=r"not empty after 0 s.*manage.py fleet replicas"):
        fleet("drain", "box-1", "--force", "--wait", "0")


def test_labels_are_given(fleet, make_worker):
    make_worker("box-1")
    fleet("label", "box-1", "gpu=h100, zone=a")
    assert Worker.objects.get().labels == {"gpu": "h100", "zone": "a"}


def test_a_worker_is_removed_when_it_is_empty(fleet, make_worker):
    make_worker("box-1")
    fleet("remove", "box-1")
    assert not Worker.objects.exists()


def test_a_deployment_is_stopped_started_and_scaled(fleet, deployment):
    numbers = []
    for act in (["stop", "echo-1"], ["start", "echo-1"], ["scale", "echo-1", "3"]):
        fleet(*act)
        numbers.append(Replica.objects.desired().count())
    assert numbers == [0, 2, 3]


def test_a_replica_is_restarted_by_the_beginning_of_its_id(fleet, deployment):
    replica = Replica.objects.get(slot=0)
    fleet("restart-replica", str(replica.pk)[:8])
    assert set(Replica.objects.exclude(restart_requested_at=None)) == {replica}


def test_a_replica_is_stopped(fleet, deployment):
    fleet("stop-replica", str(Replica.objects.get(slot=0).pk))
    assert Deployment.objects.get().num_replicas == 1


def test_a_model_is_added_on_a_worker(fleet, make_worker):
    make_worker("box-1")
    make_worker("box-2")
    fleet("add", "parrot", "--engine", "echo", "--worker", "box-2", "--replicas", "2", "--memory-gb", "1")
    (shown,) = json.loads(fleet("deployments", "--json"))
    assert (shown["model"], shown["wanted"], shown["pinned_to"]) == ("parrot", 2, ["box-2"])


@pytest.mark.parametrize(("minutes", "wanted_s"), [("30", 1800), ("0", None)])
def test_a_model_is_unloaded_when_idle_for_so_long_or_never_without_being_replaced(
    fleet, deployment, minutes, wanted_s
):
    deployment.idle_unload_minutes = 5
    deployment.save()
    told = fleet("replace", "echo-1", "--idle-unload-minutes", minutes)
    deployment.refresh_from_db()
    assert "is changed" in told
    assert deployment.idle_unload_s == wanted_s


def test_a_model_is_replaced_by_another_version(fleet, deployment):
    fleet("replace", "echo-1", "--source", "delay=0.01")
    assert (Deployment.objects.get().source, Deployment.objects.get().engine) == ("delay=0.01", "echo")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["cordon", "box-9"], r"There is no worker called box-9. The workers: box-1. See: manage.py fleet workers."),
        (["scale", "nothing", "2"], r"There is no deployment nothing. The deployments: \d+ \(echo-1\)."),
        (["restart-replica", "ffff"], r"There is no replica ffff"),
        (["scale", "echo-1", "65"], r"1 to 64 replicas. To run none, stop it."),
        (["label", "box-1", "gpu:h100"], r"Write name=value"),
        (["maintain", "box-1", "--remark", " "], r"Say in the remark"),
        (["add", "bad name", "--engine", "echo"], r"name: Letters, digits"),
        (["add", "parrot", "--engine", "parrot"], r"engine: "),
        (["replace", "echo-1", "--max-concurrency", "0"], r"max_concurrency: "),
        (["remove", "box-1"], r"Drain it first"),
    ],
)
def test_a_mistake_is_told_with_its_remedy(fleet, deployment, arguments, said):
    with pytest.raises(CommandError, match=said):
        fleet(*arguments)


@pytest.fixture
def shown_at_standard_input(monkeypatch):
    """`shown_at_standard_input(text)`: what the next command reads there."""
    return lambda text: monkeypatch.setattr("sys.stdin", io.StringIO(f"{text}\n"))


def test_a_join_token_is_issued_printed_once_and_lets_a_machine_join(fleet, shown_at_standard_input):
    text = fleet(
        "issue-join-token", "rack 4", "--uses", "2", "--networks", "10.0.0.0/8", "--labels", "gpu=h100"
    ).strip()
    shown_at_standard_input(text)
    assert fleet("check-join-token", "--peer", "10.0.0.7").startswith(
        "A machine at 10.0.0.7 may join with it: “rack 4”"
    )
    (listed,) = json.loads(fleet("join-tokens", "--json"))
    assert text not in fleet("join-tokens")
    assert (listed["state"], listed["max_uses"], listed["labels"]) == ("usable", 2, {"gpu": "h100"})


@pytest.mark.parametrize(
    ("peer", "acts", "why"),
    [
        ("192.168.1.1", (), "may be used from 10.0.0.0/8 only, not from 192.168.1.1"),
        ("10.0.0.7", ("revoke-join-token", "rack 4"), "was revoked"),
    ],
)
def test_why_a_join_token_would_be_refused_is_told(fleet, shown_at_standard_input, peer, acts, why):
    text = fleet("issue-join-token", "rack 4", "--networks", "10.0.0.0/8").strip()
    if acts:
        fleet(*acts)
    shown_at_standard_input(text)
    with pytest.raises(CommandError, match=why):
        fleet("check-join-token", "--peer", peer)


def test_join_tokens_of_one_name_are_told_apart_by_their_numbers(fleet):
    for _ in range(2):
        fleet("issue-join-token", "rack 4")
    with pytest.raises(CommandError, match="There is more than one join token rack 4"):
        fleet("revoke-join-token", "rack 4")
    fleet("revoke-join-token", str(JoinToken.objects.latest("pk").pk))
    assert [token["state"] for token in json.loads(fleet("join-tokens", "--json"))] == ["revoked", "usable"]


@pytest.mark.parametrize(
    "mistake",
    [("--hours", "0"), ("--hours", "soon"), ("--uses", "-1"), ("--networks", "here"), ("--labels", "gpu:h100")],
)
def test_a_join_token_with_senseless_terms_is_not_issued(fleet, mistake):
    with pytest.raises(CommandError):
        fleet("issue-join-token", "rack 4", mistake)
    assert not JoinToken.objects.exists()


def test_two_workers_of_one_name_are_told_apart_by_their_ids(fleet, make_worker):
    first, second = make_worker("box-1"), make_worker("box-1")
    with pytest.raises(CommandError, match=f"{first.pk}.*{second.pk}|{second.pk}.*{first.pk}"):
        fleet("cordon", "box-1")
    fleet("cordon", str(first.pk))
    assert list(Worker.objects.filter(cordoned=True)) == [first]
