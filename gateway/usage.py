"""What one request used, from its beginning to the one record that it leaves."""

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from fleet.snapshot import RoutableReplica
from gateway import metrics
from gateway.keyring import Caller
from gateway.models import CountSource, UsageState
from gateway.naming import answer_from

if TYPE_CHECKING:
    from gateway.journal import Journal

CLIENT_CLOSED_REQUEST = 499
"""nginx's word for it: the status of an answer that nobody was left to receive."""

_LONGEST_NAME = 150
_BYTES_PER_TOKEN = 4


class TokenCounts(msgspec.Struct, frozen=True, kw_only=True):
    """OpenAI's `usage` object, as far as it is accounted for."""

    prompt_tokens: int = 0
    completion_tokens: int = 0


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
    num_prompt_bytes: int = 0
    replica: RoutableReplica | None = None
    queued_s: float = 0.0
    """How long it has waited for its turn."""
    told_status: int | None = None
    """The status that the client was sent before anything was decided: that of a stream in which it waits."""
    counts: TokenCounts | None = None
    """By the engine; None until it has said so."""
    counts_are_exact: bool = True
    """False when a part of an answer was counted by its deltas."""
    num_deltas: int = 0
    first_token_at_s: float | None = None
    is_settled: bool = False
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    started_at_s: float = field(default_factory=time.perf_counter)

    def as_requested(self, part: bytes) -> bytes:
        """The part of an answer, under the name that the caller wrote."""
        return part if self.model == self.requested_model else answer_from(part, self.requested_model)

    def saw_deltas(self, num: int) -> None:
        """Text came: about one token a delta, if the engine should never say."""
        if not self.num_deltas:
            self.first_token_at_s = time.perf_counter()
        self.num_deltas += num

    def settle(self, state: UsageState, *, status_code: int, error_code: str | None = None) -> None:
        """Write the record to the journal. When this returns it survives the death of the process."""
        if self.is_settled:
            return
        self.is_settled = True
        entry = self._entry(state, status_code=status_code, error_code=error_code or "")
        self.journal.append(entry)
        metrics.observe(entry)

    def _entry(self, state: UsageState, *, status_code: int, error_code: str) -> UsageEntry:
        source, counts = self._counted()
        return UsageEntry(
            request_id=self.request_id,
            created_at=self.started_at,
            user_id=self.caller.user_id,
            user_name=self.caller.user_name,
            key_id=self.caller.key_id,
            key_name=self.caller.key_name,
            model=self.model[:_LONGEST_NAME],
            requested_model=self.requested_model[:_LONGEST_NAME],
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
        prompt_tokens = -(-self.num_prompt_bytes // _BYTES_PER_TOKEN)
        return CountSource.ESTIMATED, TokenCounts(prompt_tokens=prompt_tokens, completion_tokens=self.num_deltas)


def _milliseconds(start_s: float, end_s: float | None) -> float | None:
    return None if end_s is None else round((end_s - start_s) * 1000, 3)
