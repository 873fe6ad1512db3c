"""From a call to the first byte of its answer: choose a model, a replica of it, ask that, and another if nothing came.

name ── route ──▶ legs: models, in order ── for each ──▶ a place on a replica, in fair turn; on others where it failed
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from gateway.admission import Claim, Standing
from gateway.balancer import Wanted
from gateway.continuation import Course
from gateway.errors import GatewayError, NoReplicaReady
from gateway.exchange import Answer, Exchange, TryAnother
from gateway.moderation.screening import Screening
from gateway.routes import Leg, legs_after
from gateway.runtime import Runtime
from gateway.usage import Meter

_MAX_FAILURES = 3
"""A request that breaks every engine it meets must not go through the whole fleet."""


@dataclass(slots=True, kw_only=True)
class Opening:
    """The attempts for one call."""

    runtime: Runtime
    meter: Meter
    course: Course
    wanted: Wanted
    session: str
    """As the caller named it; empty if not."""
    screening: Screening | None = None
    """None where no content policy holds."""
    tell: Callable[[Standing], None] | None = None
    """Whom to tell how it stands in the queue, while it waits."""
    tried: set[str] = field(default_factory=set)
    """Replicas that failed."""

    async def run(self) -> tuple[Exchange, Answer]:
        """The attempt that gave an answer. Raises GatewayError."""
        self.meter.caller.require_name(self.meter.requested_model)
        legs = self.runtime.poller.latest.legs(
            self.meter.requested_model,
            user_id=self.meter.caller.user_id,
            session=self.session,
            is_ready=self._is_ready,
        )
        while True:
            self.meter.model = self.course.model = legs[0].model
            try:
                return await self._ask_model(self._claim(legs))
            except GatewayError as error:
                legs = legs_after(legs, error)
                if not legs:
                    raise

    async def go_on(self) -> tuple[Exchange, Answer]:
        """The attempt at what a replica had begun, with another of the same model. Raises GatewayError."""
        if self.meter.replica:
            self.tried.add(self.meter.replica.replica_id)
        claim = self._claim([])
        claim.is_back = True
        if not self._has_another(claim):
            raise NoReplicaReady(claim.shown_as)
        return await self._ask_model(claim)

    def _is_ready(self, model: str) -> bool:
        pool = self.runtime.poller.latest.pools.get(model)
        return pool is not None and self.runtime.balancer.can_ask(pool, self.wanted)

    async def _ask_model(self, claim: Claim) -> tuple[Exchange, Answer]:
        """Three replicas at most, not counting those that turn it away. Raises GatewayError."""
        num_failed = 0
        try:
            while True:
                exchange = Exchange(self.runtime, self.meter, await self.runtime.admission.place(claim))
                try:
                    return exchange, await exchange.ask(self.course)
                except TryAnother as error:
                    claim.is_back = True
                    num_failed += not error.is_declined
                    if num_failed == _MAX_FAILURES or not self._may_try_again(claim, error):
                        raise error.final from None
        finally:
            self.meter.queued_s += claim.queued_s

    def _may_try_again(self, claim: Claim, error: TryAnother) -> bool:
        if error.is_declined:
            return True
        failed = self.meter.replica.replica_id if self.meter.replica else ""
        claim.tried.add(failed)
        if error.may_be_stale and not self._has_another(claim):
            claim.tried.discard(failed)
            return True
        return self._has_another(claim)

    def _has_another(self, claim: Claim) -> bool:
        """Whether a replica that has not failed is there, even if it has no room now."""
        pool = self.runtime.poller.latest.pools.get(claim.model)
        return pool is not None and self.runtime.balancer.may_answer(pool, claim.wanted, tried=claim.tried)

    def _claim(self, legs: Sequence[Leg]) -> Claim:
        caller, needs = self.meter.caller, self.course.needs
        return Claim(
            model=self.meter.model,
            shown_as=self.meter.requested_model,
            endpoint=self.meter.endpoint,
            wanted=replace(self.wanted, one_of=needs) if needs else self.wanted,
            lane=("user", caller.user_id) if caller.key_id is None else ("key", caller.key_id),
            weight=caller.weight,
            num_bytes=len(self.course.body),
            num_prompt_bytes=self.meter.num_prompt_bytes,
            has_alternative=lambda error: bool(legs_after(legs, error)),
            tell=self.tell,
            tried=self.tried,
        )
