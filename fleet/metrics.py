"""The fleet as Prometheus reads it: asked of the database whenever Prometheus asks."""

from collections import Counter
from collections.abc import Iterator

from django.utils.timezone import now
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from fleet.models import Replica, Worker
from fleet.models.worker import SECRETS_OF_WORKER


class FleetCollector(Collector):
    """Workers by name, replicas by model and worker; of revoked workers nothing."""

    def collect(self) -> Iterator[Metric]:
        workers = list(Worker.objects.filter(revoked_at=None).without_secrets())
        replicas = list(
            Replica.objects.desired().select_related("deployment__model", "worker").defer(*SECRETS_OF_WORKER)
        )
        yield _workers_by_state(workers)
        yield _heartbeat_ages(workers)
        yield from _devices(workers)
        yield _replicas_by_phase(replicas)
        yield from _requests(replicas)

    def describe(self) -> list[Metric]:
        """Nothing: to register must not ask the database."""
        return []


def _workers_by_state(workers: list[Worker]) -> Metric:
    family = GaugeMetricFamily("flotilla_workers", "Workers by state.", labels=["state"])
    for state, num in Counter(worker.state for worker in workers).items():
        family.add_metric([state], num)
    return family


def _heartbeat_ages(workers: list[Worker]) -> Metric:
    family = GaugeMetricFamily(
        "flotilla_worker_heartbeat_age_seconds", "Time since the worker was last heard.", labels=["worker"]
    )
    at = now()
    for worker in workers:
        if worker.last_heartbeat_at:
            family.add_metric([worker.name], (at - worker.last_heartbeat_at).total_seconds())
    return family


def _devices(workers: list[Worker]) -> Iterator[Metric]:
    labels = ["worker", "device"]
    total = GaugeMetricFamily("flotilla_device_memory_bytes", "Memory of a worker's device.", labels=labels)
    free = GaugeMetricFamily("flotilla_device_memory_free_bytes", "Of that, free.", labels=labels)
    busy = GaugeMetricFamily("flotilla_device_utilization_ratio", "Share of its time that it computes.", labels=labels)
    for worker in workers:
        for index, device in enumerate(worker.hardware.get("devices", ())):
            place = [worker.name, f"{device['kind']}:{index}"]
            total.add_metric(place, device["memory_total_bytes"])
            free.add_metric(place, device["memory_free_bytes"])
            if device.get("utilization") is not None:
                busy.add_metric(place, device["utilization"])
    yield from (total, free, busy)


def _replicas_by_phase(replicas: list[Replica]) -> Metric:
    family = GaugeMetricFamily("flotilla_replicas", "Replicas that should run, by phase.", labels=["model", "phase"])
    for (model, phase), num in Counter((_model(replica), replica.phase) for replica in replicas).items():
        family.add_metric([model, phase], num)
    return family


def _requests(replicas: list[Replica]) -> Iterator[Metric]:
    labels = ["model", "worker", "replica"]
    running = GaugeMetricFamily("flotilla_replica_requests_running", "By its worker's last heartbeat.", labels=labels)
    waiting = GaugeMetricFamily("flotilla_replica_requests_waiting", "By its worker's last heartbeat.", labels=labels)
    restarts = GaugeMetricFamily("flotilla_replica_restarts", "Times its engine was started again.", labels=labels)
    for replica in replicas:
        place = [_model(replica), replica.worker.name, str(replica.pk)]
        running.add_metric(place, replica.num_running)
        waiting.add_metric(place, replica.num_waiting)
        restarts.add_metric(place, replica.num_restarts)
    yield from (running, waiting, restarts)


def _model(replica: Replica) -> str:
    return replica.deployment.model.name
