"""What the task processes do for the fleet; the schedule lies in django-celery-beat's tables (0002_schedule)."""

from celery import shared_task

from fleet import heartbeats, probes, provider_probes, reconciler, samples, timeline


@shared_task(name="fleet.mark_lost")
def mark_lost() -> None:
    heartbeats.mark_lost()


@shared_task(name="fleet.reconcile")
def reconcile() -> None:
    reconciler.reconcile()


@shared_task(name="fleet.prune_timeline")
def prune_timeline() -> None:
    timeline.prune()
    samples.prune()


@shared_task(name="fleet.probe_workers")
def probe_workers() -> None:
    probes.probe_workers()


@shared_task(name="fleet.probe_providers")
def probe_providers() -> None:
    provider_probes.probe_providers()
