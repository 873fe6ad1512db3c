"""What would happen to a request: which models stand for its name, which replica of each would be asked, and why."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from fleet.models import BalancingPolicy
from fleet.snapshot import RoutableReplica
from gateway.balancer import LeftOut, Wanted
from gateway.models import FailureClass
from gateway.routes import Share
from gateway.runtime import Runtime, current

_CAPABILITIES = ("chat", "completions", "embeddings")


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A ready replica. `left_out`: why it is not asked; None if it may be."""

    replica: RoutableReplica
    load: float
    num_ours: int
    """Requests of this process that it works on."""
    speed: float | None
    left_out: LeftOut | None
    is_chosen: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainedLeg:
    """A model that would be asked; all but the first only after one of these failures of the one before."""

    model: str
    after: Sequence[FailureClass]
    policy: BalancingPolicy | None
    """None for a model without a ready replica."""
    candidates: Sequence[Candidate]


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """As this process sees it at this moment; where chance decides, another time may differ."""

    name: str
    is_route: bool
    shares: Sequence[Share]
    """Those that are open to the caller; empty for a model."""
    legs: Sequence[ExplainedLeg]


async def explain(name: str, *, user_id: int, session: str = "", beginning: str = "") -> Explanation:
    """A dry run: nothing is asked and nobody loses a turn. Raises ModelNotFound, NotStarted.

    Async to run in the event loop's thread, which alone changes what is read here.
    """
    runtime = current()
    snapshot, dry = runtime.poller.latest, DryRun(runtime, f"{user_id}/None/{session}", beginning)
    route = snapshot.routes.get(name)
    named_session = f"{user_id}/{session}" if session else ""
    legs = snapshot.legs(name, user_id=user_id, session=named_session, is_ready=dry.is_ready)
    return Explanation(
        name=name,
        is_route=route is not None,
        shares=route.open_to(user_id) if route else (),
        legs=[dry.leg(leg.model, after=sorted(leg.after) if position else ()) for position, leg in enumerate(legs)],
    )


class DryRun:
    """What the balancer would say, asked without consequences."""

    def __init__(self, runtime: Runtime, session: str, beginning: str) -> None:
        self._balancer, self._pools = runtime.balancer, runtime.poller.latest.pools
        self._wanted = Wanted(capability="chat", session=session, beginning=beginning or session)

    def is_ready(self, model: str) -> bool:
        pool = self._pools.get(model)
        return pool is not None and self._balancer.can_ask(pool, self.wanted_of(model))

    def leg(self, model: str, *, after: Sequence[FailureClass]) -> ExplainedLeg:
        pool = self._pools.get(model)
        if pool is None:
            return ExplainedLeg(model=model, after=after, policy=None, candidates=())
        chosen = self._balancer.would_pick(pool, self.wanted_of(model))
        candidates = [self._candidate(replica, is_chosen=replica is chosen) for replica in pool.replicas]
        return ExplainedLeg(model=model, after=after, policy=pool.policy, candidates=candidates)

    def _candidate(self, replica: RoutableReplica, *, is_chosen: bool) -> Candidate:
        return Candidate(
            replica=replica,
            load=self._balancer.load(replica),
            num_ours=self._balancer.in_flight[replica.replica_id],
            speed=self._balancer.speed(replica),
            left_out=self._balancer.why_not(replica, self.wanted_of(replica.model)),
            is_chosen=is_chosen,
        )

    def wanted_of(self, model: str) -> Wanted:
        """A chat, where the model can; else what it can."""
        pool = self._pools.get(model)
        can = frozenset().union(*(replica.capabilities for replica in pool.replicas)) if pool else frozenset()
        capability = next((name for name in _CAPABILITIES if name in can), "chat")
        return replace(self._wanted, capability=capability)
