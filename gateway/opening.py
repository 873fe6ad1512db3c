"""From a call to the first byte of its answer: choose a replica, ask it, and once more another if nothing came."""

import time
from dataclasses import dataclass, field

from fleet.snapshot import RoutableReplica
from gateway.balancer import least_loaded
from gateway.errors import InvalidRequest, ModelNotFound, NoReplicaReady, shortened
from gateway.exchange import Answer, Exchange, TryAnother
from gateway.runtime import Runtime
from gateway.usage import Meter

_MAX_ATTEMPTS = 2
_NEEDED = {"chat/completions": "chat", "completions": "completions", "embeddings": "embeddings"}
"""What a replica must be able to do, by endpoint."""


@dataclass(slots=True, kw_only=True)
class Opening:
    """The attempts for one call."""

    runtime: Runtime
    meter: Meter
    body: bytes
    wants_usage: bool
    """Whether the client asked for the usage chunk of a stream."""
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
        reachable = self._reachable()
        fresh = [replica for replica in reachable if replica.replica_id not in self.tried]
        candidates = fresh or (reachable if failure is None or failure.may_be_stale else [])
        if not candidates:
            raise failure.final if failure else NoReplicaReady(self.meter.model)
        chosen = least_loaded(candidates, self.runtime.in_flight)
        self.tried.add(chosen.replica_id)
        return chosen

    def _reachable(self) -> list[RoutableReplica]:
        clock_s, breaker = time.monotonic(), self.runtime.breaker
        return [replica for replica in self._able() if breaker.allows(replica, clock_s)]

    def _able(self) -> list[RoutableReplica]:
        """Ready, and capable of what is asked."""
        model, snapshot = self.meter.model, self.runtime.poller.latest
        if snapshot.model(model) is None:
            raise ModelNotFound(model)
        ready = snapshot.ready_replicas(model)
        able = [replica for replica in ready if _NEEDED[self.meter.endpoint] in replica.capabilities]
        if ready and not able:
            raise InvalidRequest(
                f"The model '{shortened(model)}' does not support /v1/{self.meter.endpoint}.",
                param="model",
                code="unsupported_model",
            )
        return able
