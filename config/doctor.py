"""Looks the installation over. Each check gives findings: what is, and what to do where it is not well."""

import os
import shutil
import stat
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum
from importlib import metadata
from urllib.parse import urlsplit

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.conf import settings
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from kombu.exceptions import OperationalError

from config.celery import app
from fleet.models import ProbeFailure, Worker, WorkerState
from fleet.probes import call_worker

_DISK_NEEDED_BYTES = 1 << 30
_CLOCK_TOLERANCE = timedelta(seconds=5)
_TIMEOUT_S = 5


class Level(StrEnum):
    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at. `remedy` is empty where all is well."""

    level: Level
    subject: str
    says: str
    remedy: str = ""


def examine() -> Iterator[Finding]:
    """Every check in turn. A check that itself fails is a finding, never a traceback."""
    for check in _CHECKS:
        subject = check.__name__.removeprefix("check_").replace("_", " ")
        try:
            yield from check()
        except Exception as error:
            yield Finding(Level.ERROR, subject, f"could not be checked: {error}", "Mend what is named above first.")


def check_versions() -> Iterator[Finding]:
    python = ".".join(map(str, sys.version_info[:3]))
    yield Finding(Level.OK, "Python", python)
    for name, wanted in _pinned_versions():
        yield _compare_version(name, wanted)


def check_database() -> Iterator[Finding]:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError as error:
        yield Finding(Level.ERROR, "database", str(error).strip(), "Check DATABASE_URL, and that the server runs.")
        return
    yield Finding(Level.OK, "database", connection.vendor)
    yield _pending_migrations()


def check_clock() -> Iterator[Finding]:
    """Ours against the database server's: keys, tokens and heartbeats are judged by both."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT CURRENT_TIMESTAMP")
        answered = cursor.fetchone()[0]
    theirs = datetime.fromisoformat(answered).replace(tzinfo=UTC) if isinstance(answered, str) else answered
    yield _compare_clocks("clock of the database", theirs)


def check_channel_layer() -> Iterator[Finding]:
    layer = get_channel_layer()
    try:
        async_to_sync(_round_trip)(layer)
    except Exception as error:
        yield Finding(Level.ERROR, "channel layer", str(error), "Check REDIS_URL, and that Redis runs.")
    else:
        yield Finding(Level.OK, "channel layer", type(layer).__name__)


def check_broker() -> Iterator[Finding]:
    scheme = urlsplit(settings.CELERY_BROKER_URL).scheme
    try:
        with app.connection_for_write() as broker:
            broker.ensure_connection(max_retries=1, timeout=_TIMEOUT_S)
    except (OSError, OperationalError) as error:
        yield Finding(Level.ERROR, "broker", f"{scheme}: {error}", "Check CELERY_BROKER_URL, and that the broker runs.")
    else:
        yield Finding(Level.OK, "broker", scheme)


def check_disk() -> Iterator[Finding]:
    settings.VAR_DIR.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(settings.VAR_DIR).free
    says = f"{free / (1 << 30):.1f} GiB free in {settings.VAR_DIR}"
    if not os.access(settings.VAR_DIR, os.W_OK):
        yield Finding(
            Level.ERROR, "disk", f"{settings.VAR_DIR} is not writable", "Give it to the user who runs Flotilla."
        )
    elif free < _DISK_NEEDED_BYTES:
        yield Finding(Level.WARNING, "disk", says, "Make room: the journal refuses requests when the disk is full.")
    else:
        yield Finding(Level.OK, "disk", says)


def check_secrets() -> Iterator[Finding]:
    for name in ("secret_key", "encryption_key", "credentials.json"):
        path = settings.VAR_DIR / name
        if path.exists() and path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            yield Finding(Level.WARNING, "secrets", f"{path} may be read by others", f"chmod 600 {path}")


def check_workers() -> Iterator[Finding]:
    workers = list(Worker.objects.filter(revoked_at=None))
    if not workers:
        yield Finding(Level.WARNING, "workers", "none has joined", "Issue a join token in the admin, or run `make up`.")
    for worker in workers:
        yield from _examine_worker(worker)


_CHECKS: tuple[Callable[[], Iterator[Finding]], ...] = (
    check_versions,
    check_database,
    check_clock,
    check_channel_layer,
    check_broker,
    check_disk,
    check_secrets,
    check_workers,
)


def _pinned_versions() -> Iterator[tuple[str, str]]:
    """Name and version of each line `name==version` of the server's requirements."""
    for line in (settings.BASE_DIR / "requirements" / "server.txt").read_text().splitlines():
        requirement = line.partition("#")[0].strip()
        if "==" in requirement:
            name, _, version = requirement.partition("==")
            yield name.partition("[")[0], version


def _compare_version(name: str, wanted: str) -> Finding:
    remedy = "pip install -r requirements/server.txt"
    try:
        found = metadata.version(name)
    except metadata.PackageNotFoundError:
        return Finding(Level.ERROR, name, "is not installed", remedy)
    if found != wanted:
        return Finding(Level.WARNING, name, f"{found}, tested with {wanted}", remedy)
    return Finding(Level.OK, name, found)


def _pending_migrations() -> Finding:
    executor = MigrationExecutor(connection)
    pending = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if pending:
        return Finding(Level.ERROR, "migrations", f"{len(pending)} not applied", "python manage.py migrate")
    return Finding(Level.OK, "migrations", "all applied")


async def _round_trip(layer: object) -> None:
    channel = await layer.new_channel()  # type: ignore[attr-defined]
    await layer.send(channel, {"type": "doctor"})  # type: ignore[attr-defined]
    await layer.receive(channel)  # type: ignore[attr-defined]


def _examine_worker(worker: Worker) -> Iterator[Finding]:
    subject = f"worker {worker.name}"
    if worker.state is WorkerState.SILENT:
        since = f"{worker.last_heartbeat_at:%Y-%m-%d %H:%M:%S %Z}" if worker.last_heartbeat_at else "it joined"
        yield Finding(Level.ERROR, subject, f"silent since {since}", "Start its daemon, or remove it in the admin.")
        return
    call = call_worker(worker)
    if call.failure:
        says = f"beats, but cannot be reached: {ProbeFailure(call.failure).label}"
        remedy = f"Open {worker.address} for this host, or restart the daemon with --advertise."
        yield Finding(Level.ERROR, subject, says, remedy)
        return
    yield Finding(Level.OK, subject, f"reachable at {worker.address}")
    if call.date:
        yield _compare_clocks(f"clock of {subject}", parsedate_to_datetime(call.date))


def _compare_clocks(subject: str, theirs: datetime) -> Finding:
    skew = abs(datetime.now(UTC) - theirs)
    if skew > _CLOCK_TOLERANCE:
        says = f"differs from ours by {skew.total_seconds():.0f} s"
        return Finding(Level.WARNING, subject, says, "Keep both machines' clocks by NTP.")
    return Finding(Level.OK, subject, "agrees with ours")
