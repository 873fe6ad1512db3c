"""From a call to the first byte of its answer: choose a replica, ask it, and once more another if nothing came."""

from dataclasses import dataclass, field

from fleet.snapshot import RoutableReplica
from gateway.balancer import Wanted
from gateway.errors import GatewayError, InvalidRequest, ModelNotFound, NoReplicaReady, shortened
from gateway.exchange import Answer, Exchange, TryAnother
from gateway.pool import Pool
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
    body: bytes
    wants_usage: bool
    """Whether the client asked for the usage chunk of a stream."""
    wanted: Wanted
    tried: set[str] = field(default_factory=set)

    async def run(self) -> tuple[Exchange, Answer]:
        """The attempt that gave an answer. Raises GatewayError."""
        failure: TryAnother | None = None
        for _ in range(_MAX_ATTEMPTS):
            exchange = Exchange(self.runtime, self.meter, self._pick(failure))
            try:
                return exchange, await exchange.ask(self.body, wants_usage=self.wants_usage)
            except TryAnother as error:
                failure = error
        assert failure
        raise failure.final

    def _pick(self, failure: TryAnother | None) -> RoutableReplica:
        """One that was not tried, if there is one. Raises ModelNotFound, InvalidRequest, NoReplicaReady."""
        pool, balancer = self._pool(), self.runtime.balancer
        chosen = balancer.pick(pool, self.wanted, tried=self.tried)
        if chosen is None and failure and failure.may_be_stale:
            chosen = balancer.pick(pool, self.wanted)
        if chosen is None:
            raise failure.final if failure else self._unavailable(pool)
        self.tried.add(chosen.replica_id)
        return chosen

    def _pool(self) -> Pool:
        """Raises ModelNotFound, NoReplicaReady."""
        model, snapshot = self.meter.model, self.runtime.poller.latest
        if snapshot.model(model) is None:
            raise ModelNotFound(model)
        if pool := snapshot.pools.get(model):
            return pool
        raise NoReplicaReady(model)

    def _unavailable(self, pool: Pool) -> GatewayError:
        """Why nobody in the pool can be asked."""
        if any(self.wanted.capability in replica.capabilities for replica in pool.replicas):
            return NoReplicaReady(self.meter.model)
        return InvalidRequest(
            f"The model '{shortened(self.meter.model)}' does not support /v1/{self.meter.endpoint}.",
            param="model",
            code="unsupported_model",
        )
