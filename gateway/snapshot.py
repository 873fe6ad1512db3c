"""What the data plane knows without asking: keys, routes, fleet; read by one thread, immutable, used by everybody."""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from django.conf import settings
from django.db import connections

from fleet.snapshot import FleetSnapshot, ModelEntry, read_fleet_snapshot
from gateway.errors import ModelNotFound
from gateway.keyring import Keyring, read_keyring
from gateway.limits import Limits, read_limits
from gateway.moderation.policies import Rule, read_rules
from gateway.pool import Pool
from gateway.routes import Leg, RouteEntry, read_routes

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Keys, routes and fleet at one moment. An empty one stands for a database that has not been read yet."""

    keyring: Keyring = field(default_factory=Keyring)
    fleet: FleetSnapshot = field(default_factory=lambda: FleetSnapshot(models={}, replicas={}))
    pools: Mapping[str, Pool] = field(default_factory=dict)
    """The ready replicas by model; a model without an entry has none."""
    routes: Mapping[str, RouteEntry] = field(default_factory=dict)
    """By name; a route comes before the model of that name."""
    limits: Limits = field(default_factory=dict)
    content_rules: Sequence[Rule] = ()
    """The content policies that do anything."""
    ready_at_s: Mapping[str, float] = field(default_factory=dict)
    """When, by the monotonic clock, each model last had a replica that was ready; not for ever."""

    def model(self, name: str) -> ModelEntry | None:
        return self.fleet.models.get(name)

    def is_name(self, name: str) -> bool:
        """Whether a model or a route is called so."""
        return name in self.routes or name in self.fleet.models

    def legs(self, name: str, *, user_id: int | None, session: str, is_ready: Callable[[str], bool]) -> Sequence[Leg]:
        """Which models stand for the name, for that caller: see RouteEntry.legs. Raises ModelNotFound."""
        if route := self.routes.get(name):
            if shares := route.open_to(user_id):
                return route.legs(shares, session=session, is_ready=is_ready)
            raise ModelNotFound(name)
        entry = self.model(name)
        if entry is None or entry.only_by_route:
            raise ModelNotFound(name)
        return [Leg(model=name)]

    def models_behind(self, name: str) -> list[str]:
        """All that might answer to that name, whoever asks."""
        if route := self.routes.get(name):
            return [*(share.model for share in route.shares), *(leg.model for leg in route.fallbacks)]
        return [name]

    def base_of(self, model: str) -> str:
        """Of an adapter, the model on which it rides; of any other, itself."""
        entry = self.model(model)
        return entry.base if entry else model

    def policed_as(self, name: str) -> set[str]:
        """The models whose content policies hold for that name: whichever of them answers is not known yet, and a
        policy for a model holds for its adapters."""
        behind = self.models_behind(name)
        return {*behind, *map(self.base_of, behind)}

    def is_awaited(self, name: str) -> bool:
        """Whether a replica of that model is on its way, or the last one went so lately that it may well return."""
        model = self.fleet.models.get(name)
        has_just_gone = name not in self.pools and _is_recent(self.ready_at_s.get(name))
        return model is not None and (model.is_expected or has_just_gone)


def read_snapshot(before: Snapshot) -> Snapshot:
    fleet = read_fleet_snapshot()
    pools = _pools(fleet)
    ready_at_s = {name: at_s for name, at_s in before.ready_at_s.items() if _is_recent(at_s)}
    ready_at_s |= dict.fromkeys(pools, time.monotonic())
    return Snapshot(
        keyring=read_keyring(),
        fleet=fleet,
        pools=pools,
        routes=read_routes(),
        limits=read_limits(),
        content_rules=read_rules(),
        ready_at_s=ready_at_s,
    )


def _is_recent(at_s: float | None) -> bool:
    return at_s is not None and time.monotonic() - at_s < settings.RETURN_WITHIN.total_seconds()


def _pools(fleet: FleetSnapshot) -> dict[str, Pool]:
    return {
        name: Pool.of(name, fleet.models[name].balancing_policy, replicas)
        for name, replicas in fleet.replicas.items()
        if name in fleet.models
    }


class SnapshotPoller:
    """Reads a snapshot every settings.SNAPSHOT_INTERVAL. If that fails, the last one stays in force."""

    def __init__(self) -> None:
        self.latest = Snapshot()
        self.has_read = False
        """Until then nothing can be said of any key."""
        self._waiting: list[Future[None]] = []
        self._waiting_lock, self._reading = threading.Lock(), threading.Lock()
        self._is_failing = False
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="gateway-snapshot", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        with self._waiting_lock:
            self._ending.set()
        self._thread.join()

    def refresh(self) -> None:
        """Read now, in this thread. Raises what the database raises."""
        # One after another: a reading that began earlier must not end later, and put an older state in force again.
        with self._reading:
            self.latest = read_snapshot(self.latest)
            self.has_read = True

    async def next_reading(self) -> None:
        """Until a reading that begins after this call has ended, well or badly. Asks for no reading of its own, so
        callers cannot make the database work."""
        future: Future[None] = Future()
        with self._waiting_lock:
            if self._ending.is_set():
                return
            self._waiting.append(future)
        await asyncio.wrap_future(future)

    def _run(self) -> None:
        try:
            while not self._ending.is_set():
                self._read_for_waiting()
                self._ending.wait(settings.SNAPSHOT_INTERVAL.total_seconds())
        finally:
            self._wake(self._taken())
            connections.close_all()

    def _read_for_waiting(self) -> None:
        waiting = self._taken()
        try:
            self.refresh()
            self._is_failing = False
        except Exception:
            # Whatever it is, it must not end the thread: an old snapshot is better than none, and the next try is near.
            logger.log(*self._severity(), exc_info=True)
            self._is_failing = True
            connections.close_all()
        self._wake(waiting)

    def _taken(self) -> list[Future[None]]:
        with self._waiting_lock:
            waiting, self._waiting = self._waiting, []
        return waiting

    def _severity(self) -> tuple[int, str]:
        """Loud the first time, quiet while it lasts."""
        level = logging.DEBUG if self._is_failing else logging.ERROR
        return level, "Keys and fleet cannot be read from the database; what was known stays in force"

    @staticmethod
    def _wake(waiting: Sequence[Future[None]]) -> None:
        for future in waiting:
            if not future.done():
                future.set_result(None)
