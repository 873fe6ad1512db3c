"""What one request used, from its beginning to the one record that it leaves."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec

from fleet.snapshot import RoutableReplica
from gateway import metrics
from gateway.errors import ServerStopping
from gateway.keyring import Caller
from gateway.limits import Measure
from gateway.models import CountSource, UsageState
from gateway.naming import answer_from
from gateway.presence import Presence
from protocol.redaction import redacted_start

if TYPE_CHECKING:
    from gateway.journal import Journal
    from gateway.limiter import Reservation
    from gateway.moderation.policies import Finding

CLIENT_CLOSED_REQUEST = 499
"""nginx's word for it: the status of an answer that nobody was left to receive."""

_LONGEST_NAME = 150
BYTES_PER_TOKEN = 4


class TokenCounts(msgspec.Struct, frozen=True, kw_only=True):
    """OpenAI's `usage` object, as far as it is accounted for."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    prompt_tokens_details: Any = None
    completion_tokens_details: Any = None
    """Whatever engines and providers write there: only what can be read counts, and nothing else is refused for it."""

    @property
    def cached_tokens(self) -> int:
        """Of the prompt."""
        return min(_detail(self.prompt_tokens_details, "cached_tokens"), self.prompt_tokens)

    @property
    def reasoning_tokens(self) -> int:
        """Of the answer."""
        return min(_detail(self.completion_tokens_details, "reasoning_tokens"), self.completion_tokens)


class UsageEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A UsageRecord on its way to the database: a line of the journal. Fields are named as the record's columns."""

    request_id: str
    created_at: datetime
    user_id: int | None
    user_name: str
    key_id: int | None
    key_name: str
    model: str
    requested_model: str = ""
    endpoint: str
    is_stream: bool
    worker_name: str
    replica_id: str
    state: str
    count_source: str
    prompt_tokens: int
    completion_tokens: int
    status_code: int
    error_code: str
    time_to_first_token_ms: float | None
    duration_ms: float
    queue_ms: float = 0.0
    num_attempts: int = 1
    team_id: int | None = None
    input_price: Decimal | None = None
    output_price: Decimal | None = None
    cost: Decimal | None = None
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    cached_input_price: Decimal | None = None
    address: str = ""
    """From where, for the key's page; not kept with the record, and nor is the next one."""
    uses_previous_secret: bool = False
    content_policy: str = ""
    content_action: str = ""
    content_direction: str = ""
    content_text: str = ""
    """Last, since a line that cannot be read is logged by its beginning, and no text may be in a log."""


@dataclass(slots=True, kw_only=True)
class Meter:
    """Runs along with one request and is settled once; a second settling does nothing."""

    journal: "Journal"
    caller: Caller
    request_id: str
    endpoint: str
    model: str = ""
    """Who is asked: a route may try several, and the last one counts."""
    requested_model: str = ""
    """What the caller wrote."""
    is_stream: bool = False
    presence: Presence = field(default_factory=Presence)
    address: str = ""
    num_prompt_bytes: int = 0
    replica: RoutableReplica | None = None
    queued_s: float = 0.0
    """How long it has waited for its turn."""
    num_attempts: int = 0
    asked_at_s: float | None = None
    """When the replica was asked."""
    """How often a replica was asked."""
    told_status: int | None = None
    """The status that the client was sent before anything was decided: that of a stream in which it waits."""
    counts: TokenCounts | None = None
    """By the engine; None until it has said so."""
    counts_are_exact: bool = True
    """False when a part of an answer was counted by its deltas."""
    num_deltas: int = 0
    first_token_at_s: float | None = None
    finding: "Finding | None" = None
    """Of the content policy that refused the request, else of the first that marked it."""
    reservation: "Reservation | None" = None
    """Its part of the caller's limits, if they have any."""
    is_settled: bool = False
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    started_at_s: float = field(default_factory=time.perf_counter)

    def as_requested(self, part: bytes) -> bytes:
        """The part of an answer, under the name that the caller wrote."""
        return part if self.model == self.requested_model else answer_from(part, self.requested_model)

    @property
    def headers(self) -> Mapping[str, str]:
        """How the caller's limits stand, in OpenAI's headers, and what content policies found; mostly empty."""
        limits = self.reservation.headers() if self.reservation else {}
        return {**limits, **self.finding.headers} if self.finding else limits

    def found(self, finding: "Finding") -> None:
        """A content policy has; for the record and the counters."""
        metrics.observe_finding(finding)
        if self.finding is None or (finding.is_refused and not self.finding.is_refused):
            self.finding = finding

    def saw_deltas(self, num: int) -> None:
        """Text came: about one token a delta, if the engine should never say."""
        if not self.num_deltas:
            self.first_token_at_s = time.perf_counter()
        self.num_deltas += num

    def settle_cut(self, status_code: int | None = None) -> None:
        """Of a request that was left before its end. `status_code`: what its client has been told, if anything."""
        if self.presence.has_gone:
            self.settle(UsageState.CUT_BY_CLIENT, status_code=status_code or CLIENT_CLOSED_REQUEST)
        else:
            stop = ServerStopping
            self.settle(UsageState.CUT_BY_SERVER, status_code=status_code or stop.status, error_code=stop.code)

    def settle(self, state: UsageState, *, status_code: int, error_code: str | None = None) -> None:
        """Write the record to the journal. When this returns it survives the death of the process."""
        if self.is_settled:
            return
        self.is_settled = True
        entry = self._entry(state, status_code=status_code, error_code=error_code or "")
        self.journal.append(entry)
        metrics.observe(entry)
        if self.reservation:
            self.reservation.settle(_amounts(entry))

    def _entry(self, state: UsageState, *, status_code: int, error_code: str) -> UsageEntry:
        source, counts = self._counted()
        price = self.replica.price if self.replica else None
        return UsageEntry(
            request_id=self.request_id,
            created_at=self.started_at,
            user_id=self.caller.user_id,
            user_name=self.caller.user_name,
            key_id=self.caller.key_id,
            key_name=self.caller.key_name,
            # A key in the place of a name must not be kept.
            model=redacted_start(self.model, _LONGEST_NAME),
            requested_model=redacted_start(self.requested_model, _LONGEST_NAME),
            endpoint=self.endpoint,
            is_stream=self.is_stream,
            worker_name=self.replica.worker_name if self.replica else "",
            replica_id=self.replica.replica_id if self.replica else "",
            state=state.value,
            count_source=source.value,
            prompt_tokens=counts.prompt_tokens,
            completion_tokens=counts.completion_tokens,
            status_code=self.told_status or status_code,
            error_code=error_code,
            time_to_first_token_ms=_milliseconds(self.started_at_s, self.first_token_at_s),
            duration_ms=_milliseconds(self.started_at_s, time.perf_counter()) or 0.0,
            queue_ms=round(self.queued_s * 1000, 3),
            num_attempts=self.num_attempts,
            team_id=self.caller.team_id,
            input_price=price.input if price else None,
            output_price=price.output if price else None,
            cost=price.of(counts.prompt_tokens, counts.completion_tokens, cached_tokens=counts.cached_tokens)
            if price
            else None,
            cached_tokens=counts.cached_tokens,
            reasoning_tokens=counts.reasoning_tokens,
            cached_input_price=price.cached_input if price else None,
            address=self.address,
            uses_previous_secret=self.caller.uses_previous_secret,
            content_policy=self.finding.policy if self.finding else "",
            content_action=self.finding.action if self.finding else "",
            content_direction=self.finding.direction if self.finding else "",
            content_text=self.finding.text if self.finding else "",
        )

    @property
    def num_tokens(self) -> int:
        """Of prompt and answer, as far as is known now."""
        counts = self._counted()[1]
        return counts.prompt_tokens + counts.completion_tokens

    def _counted(self) -> tuple[CountSource, TokenCounts]:
        if self.counts is not None:
            return CountSource.ENGINE if self.counts_are_exact else CountSource.ESTIMATED, self.counts
        if not self.num_deltas:
            return CountSource.NONE, TokenCounts()
        prompt_tokens = -(-self.num_prompt_bytes // BYTES_PER_TOKEN)
        return CountSource.ESTIMATED, TokenCounts(prompt_tokens=prompt_tokens, completion_tokens=self.num_deltas)


def _amounts(entry: UsageEntry) -> dict[Measure, float]:
    """What counts against limits. A request that came to nothing is not counted."""
    num_tokens = entry.prompt_tokens + entry.completion_tokens
    has_served = entry.state == UsageState.COMPLETE or num_tokens > 0
    return {Measure.REQUESTS: float(has_served), Measure.TOKENS: num_tokens, Measure.COST: float(entry.cost or 0)}


def _detail(details: Any, name: str) -> int:
    value = details.get(name) if isinstance(details, dict) else None
    return max(0, value) if isinstance(value, int) else 0


def _milliseconds(start_s: float, end_s: float | None) -> float | None:
    return None if end_s is None else round((end_s - start_s) * 1000, 3)
