"""From a call to the first byte of its answer: choose a model, a replica of it, ask that, and another if nothing came.

name ── route ──▶ legs: models, in order ── for each ──▶ a replica by the model's policy, then once more another
"""

from dataclasses import dataclass, field, replace

from fleet.snapshot import RoutableReplica
from gateway.balancer import Wanted
from gateway.continuation import Course
from gateway.errors import GatewayError, InvalidRequest, NoReplicaReady, shortened
from gateway.exchange import Answer, Exchange, TryAnother
from gateway.pool import Pool
from gateway.routes import legs_after
from gateway.runtime import Runtime
from gateway.usage import Meter

_MAX_ATTEMPTS = 2
CAPABILITIES = {"chat/completions": "chat", "completions": "completions", "embeddings": "embeddings"}
"""What a replica must be able to do, by endpoint."""


@dataclass(slots=True, kw_only=True)
class Opening:
    """The attempts for one call."""

    runtime: Runtime
    meter: Meter
    course: Course
    wanted: Wanted
    session: str
    """As the caller named it; empty if not."""
    tried: set[str] = field(default_factory=set)

    async def run(self) -> tuple[Exchange, Answer]:
        """The attempt that gave an answer. Raises GatewayError."""
        legs = self.runtime.poller.latest.legs(
            self.meter.requested_model,
            user_id=self.meter.caller.user_id,
            session=self.session,
            is_ready=self._is_ready,
        )
        while True:
            self.meter.model = self.course.model = legs[0].model
            try:
                return await self._ask_model()
            except GatewayError as error:
                legs = legs_after(legs, error)
                if not legs:
                    raise

    async def go_on(self) -> tuple[Exchange, Answer]:
        """The attempt at what a replica had begun, with another of the same model. Raises GatewayError."""
        return await self._ask_model()

    def _is_ready(self, model: str) -> bool:
        pool = self.runtime.poller.latest.pools.get(model)
        return pool is not None and self.runtime.balancer.can_ask(pool, self.wanted)

    async def _ask_model(self) -> tuple[Exchange, Answer]:
        """Two replicas at most. Raises GatewayError."""
        failure: TryAnother | None = None
        for _ in range(_MAX_ATTEMPTS):
            exchange = Exchange(self.runtime, self.meter, self._pick(failure))
            try:
                return exchange, await exchange.ask(self.course)
            except TryAnother as error:
                failure = error
        assert failure
        raise failure.final

    def _pick(self, failure: TryAnother | None) -> RoutableReplica:
        """One that was not tried, if there is one. Raises InvalidRequest, NoReplicaReady."""
        pool, balancer = self.runtime.poller.latest.pools.get(self.meter.model), self.runtime.balancer
        if pool is None:
            raise failure.final if failure else NoReplicaReady(self.meter.requested_model)
        wanted = replace(self.wanted, one_of=self.course.needs)
        chosen = balancer.pick(pool, wanted, tried=self.tried)
        if chosen is None and failure and failure.may_be_stale:
            chosen = balancer.pick(pool, wanted)
        if chosen is None:
            raise failure.final if failure else self._unavailable(pool)
        self.tried.add(chosen.replica_id)
        return chosen

    def _unavailable(self, pool: Pool) -> GatewayError:
        """Why nobody in the pool can be asked."""
        if any(self.wanted.capability in replica.capabilities for replica in pool.replicas):
            return NoReplicaReady(self.meter.requested_model)
        return InvalidRequest(
            f"The model '{shortened(self.meter.requested_model)}' does not support /v1/{self.meter.endpoint}.",
            param="model",
            code="unsupported_model",
        )
