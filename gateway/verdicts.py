"""Why a key can, or cannot, call a model: every condition in the gateway's own order, each asked of what decides it.

key ── network ── scope ── record ── limits and budgets ── allowed models ── name ── replicas of each model behind it

Nothing is sent and nothing is used up: what is reserved of a limit is given back at once.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from gateway.admission import Claim
from gateway.errors import GatewayError
from gateway.explanation import DryRun
from gateway.keyring import KeyringEntry
from gateway.limits import Balance, Subject
from gateway.models import KeyScope
from gateway.reserving import Size, at_most
from gateway.routes import Leg, legs_after
from gateway.runtime import Runtime, current


class Condition(StrEnum):
    """What must hold, in this order."""

    KEY = "key"
    NETWORK = "network"
    SCOPE = "scope"
    RECORD = "record"
    """Usage can be written down."""
    LIMITS = "limits"
    BUDGETS = "budgets"
    ALLOWED = "allowed_models"
    NAME = "name"
    REPLICAS = "replicas"


class Outcome(StrEnum):
    """What became of a condition."""

    MET = "met"
    REFUSED = "refused"
    WAITS = "waits"
    """The request would wait for its turn."""
    UNASKED = "unasked"
    """It depends on something that was not given, or that came to nothing before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    condition: Condition
    outcome: Outcome
    of: str = ""
    """Whose limits: key or team; which model's replicas."""
    error: GatewayError | None = None
    """What the caller is told."""
    balances: Sequence[Balance] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A call as far as it matters here. `address` empty: from wherever. `max_tokens`: of the answer."""

    model: str
    address: str = ""
    max_tokens: int = 1


async def judge(entry: KeyringEntry, key_hash: str, asked: Asked) -> list[Verdict]:
    """All verdicts, those after a refusal too. Raises NotStarted.

    Async to run in the event loop's thread, which alone changes what is read here.
    """
    return await _Hearing(current(), entry, key_hash, asked).run()


def refusal(verdicts: Sequence[Verdict]) -> GatewayError | None:
    """What the call would be told, in the gateway's order; None if it would be answered. Of replicas the last word
    counts: it comes after all that the name falls back on."""
    before = [verdict for verdict in verdicts if verdict.condition is not Condition.REPLICAS]
    last = [verdict for verdict in verdicts if verdict.condition is Condition.REPLICAS][-1:]
    return next((verdict.error for verdict in (*before, *last) if verdict.error), None)


class _Hearing:
    def __init__(self, runtime: Runtime, entry: KeyringEntry, key_hash: str, asked: Asked) -> None:
        self._runtime, self._entry, self._key_hash, self._asked = runtime, entry, key_hash, asked
        self._snapshot, self._caller = runtime.poller.latest, entry.caller
        self._dry = DryRun(runtime, f"{self._caller.user_id}/{self._caller.key_id}/", "")

    async def run(self) -> list[Verdict]:
        asked = self._asked
        return [
            _tried(Condition.KEY, lambda: self._snapshot.keyring.require(self._key_hash)),
            self._network(),
            _tried(Condition.SCOPE, lambda: self._caller.require(KeyScope.INFERENCE)),
            _tried(Condition.RECORD, self._runtime.journal.check),
            *await self._limits(),
            _tried(Condition.ALLOWED, lambda: self._caller.require_name(asked.model)),
            _tried(Condition.NAME, self._legs),
            *self._replicas(),
        ]

    def _network(self) -> Verdict:
        if self._entry.networks and not self._asked.address:
            return Verdict(condition=Condition.NETWORK, outcome=Outcome.UNASKED)
        return _tried(Condition.NETWORK, lambda: self._entry.admit(self._asked.address))

    async def _limits(self) -> list[Verdict]:
        limiter = self._runtime.limiter
        balances = await limiter.balances(limiter.limits_of(self._caller))
        verdicts = []
        for condition in (Condition.LIMITS, Condition.BUDGETS):
            some = [one for one in balances if one.limit.is_budget == (condition is Condition.BUDGETS)]
            for subject in Subject:
                own = [one for one in some if one.limit.subject is subject]
                if own:
                    verdicts.append(await self._limit(condition, subject, own))
        return verdicts

    async def _limit(self, condition: Condition, subject: Subject, balances: Sequence[Balance]) -> Verdict:
        size = Size(model=self._asked.model, num_bytes=0, max_tokens=self._asked.max_tokens)
        amounts = at_most(size, self._snapshot)
        try:
            reservation = await self._runtime.limiter.reserve([one.limit for one in balances], amounts)
        except GatewayError as error:
            return Verdict(condition=condition, outcome=Outcome.REFUSED, of=subject, error=error, balances=balances)
        reservation.settle({})
        return Verdict(condition=condition, outcome=Outcome.MET, of=subject, balances=balances)

    def _legs(self) -> Sequence[Leg]:
        return self._snapshot.legs(
            self._asked.model, user_id=self._caller.user_id, session="", is_ready=self._dry.is_ready
        )

    def _replicas(self) -> list[Verdict]:
        """Of one model after the other, as long as the name has another to fall back on."""
        try:
            legs = self._legs()
        except GatewayError:
            return [Verdict(condition=Condition.REPLICAS, outcome=Outcome.UNASKED)]
        verdicts = []
        while legs:
            verdicts.append(self._replicas_of(legs))
            error = verdicts[-1].error
            legs = legs_after(legs, error) if error else ()
        return verdicts

    def _replicas_of(self, legs: Sequence[Leg]) -> Verdict:
        model = legs[0].model
        try:
            outcome = Outcome.WAITS if self._runtime.admission.must_wait(self._claim(legs)) else Outcome.MET
        except GatewayError as error:
            return Verdict(condition=Condition.REPLICAS, outcome=Outcome.REFUSED, of=model, error=error)
        return Verdict(condition=Condition.REPLICAS, outcome=outcome, of=model)

    def _claim(self, legs: Sequence[Leg]) -> Claim:
        wanted = self._dry.wanted_of(legs[0].model)
        return Claim(
            model=legs[0].model,
            shown_as=self._asked.model,
            endpoint=wanted.capability,
            wanted=wanted,
            lane=("key", self._caller.key_id),
            weight=self._caller.weight,
            num_bytes=0,
            has_alternative=lambda error: bool(legs_after(legs, error)),
        )


def _tried(condition: Condition, decide: Callable[[], object]) -> Verdict:
    try:
        decide()
    except GatewayError as error:
        return Verdict(condition=condition, outcome=Outcome.REFUSED, error=error)
    return Verdict(condition=condition, outcome=Outcome.MET)
