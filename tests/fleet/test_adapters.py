"""LoRA adapters of a deployment: what may be listed, what workers are told, and what the gateway may ask."""

import pytest
from django.core.exceptions import ValidationError

from fleet.heartbeats import record_heartbeat
from fleet.models import Deployment, LanguageModel, Replica
from fleet.overview import replica_view
from fleet.reconciler import reconcile
from fleet.snapshot import read_fleet_snapshot
from protocol.control import ModelInfo, ReplicaPhase, ReplicaStatus
from tests.fleet.conftest import heartbeat

ADAPTERS = {"support": "/adapters/support", "legal": "/adapters/legal"}


@pytest.fixture
def replica(make_worker, make_deployment) -> Replica:
    make_worker()
    make_deployment("base", adapters=ADAPTERS)
    reconcile()
    return Replica.objects.get()


def observed(replica: Replica, **states: str) -> Replica:
    info = ModelInfo(context_length=4096, capabilities=["chat"])
    status = ReplicaStatus(replica_id=str(replica.pk), phase=ReplicaPhase.READY, info=info, adapters=states)
    record_heartbeat(replica.worker, heartbeat(sequence=replica.worker.sequence + 1, replicas=[status]))
    return Replica.objects.get()


def test_a_worker_is_told_of_another_list_without_another_replica(replica):
    Deployment.objects.update(adapters={"support": "/adapters/support-2"})
    reconcile()
    (wanted,) = record_heartbeat(replica.worker, heartbeat()).replicas
    assert (wanted.replica_id, wanted.adapters) == (str(replica.pk), {"support": "/adapters/support-2"})


def test_an_adapter_is_a_model_answered_by_the_replicas_that_have_it(replica):
    observed(replica, support="", legal="It does not fit this base model.")
    snapshot = read_fleet_snapshot()
    assert set(snapshot.models) == {"base", "support", "legal"}
    (routable,) = snapshot.replicas["support"]
    assert (routable.model, routable.replica_id) == ("support", str(replica.pk))
    assert snapshot.models["support"].capabilities == {"chat"}
    assert "legal" not in snapshot.replicas


def test_an_adapter_that_was_taken_from_the_list_is_asked_no_more(replica):
    observed(replica, support="", legal="")
    Deployment.objects.update(adapters={"legal": "/adapters/legal"})
    assert set(read_fleet_snapshot().replicas) == {"base", "legal"}


def test_an_adapter_that_fails_is_told_by_name_and_its_replica_is_ready(replica):
    view = replica_view(observed(replica, support="", legal="It holds nothing."))
    assert (view.phase, view.error) == ("ready", "Adapter legal: It holds nothing.")


@pytest.mark.parametrize(
    ("engine", "adapters", "said"),
    [
        ("echo", ["support"], "Write a JSON object"),
        ("echo", {"support": 1}, "Write a JSON object"),
        ("llama.cpp", {"support": "/a"}, "cannot serve adapters"),
        ("echo", {"sup port": "/a"}, "Letters, digits"),
        ("echo", {"support": ""}, "a source 1 to 500"),
        ("echo", {f"a{number}": "/a" for number in range(65)}, "up to 64"),
        ("echo", {"taken": "/a"}, "There is a model named “taken”"),
        ("echo", {"legal": "/a"}, "There is an adapter named “legal”"),
    ],
)
def test_a_list_that_cannot_be_served_is_refused_at_its_field(make_deployment, engine, adapters, said):
    LanguageModel.objects.create(name="taken")
    make_deployment("other", adapters={"legal": "/adapters/legal"})
    deployment = make_deployment("base", engine=engine, source="/m")
    deployment.adapters = adapters
    with pytest.raises(ValidationError) as refused:
        deployment.clean()
    assert said in " ".join(refused.value.message_dict["adapters"])


def test_deployments_of_one_model_may_list_the_same_adapter(make_deployment):
    make_deployment("base", adapters=ADAPTERS)
    make_deployment("base", adapters=ADAPTERS).clean()


def test_no_model_may_take_an_adapters_name(make_deployment):
    make_deployment("base", adapters=ADAPTERS)
    with pytest.raises(ValidationError, match="an adapter named “support”"):
        LanguageModel(name="support").full_clean()
