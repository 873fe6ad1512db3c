"""A stream whose replica died goes on from another one, without a seam.

    body ── telling_tokens ──▶ replica A ── events, token ids taken off ──▶ client
                                   ╳
    body ── resuming ────────▶ replica B ── the same identity, no second beginning, one usage ──▶ client

Our own engines take the token ids back and go on as if they had generated them; others get the text as the beginning
of the assistant's message, by vLLM's convention.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from fleet.snapshot import RoutableReplica
from gateway.events import event_data
from gateway.naming import request_to
from gateway.transcript import Said, Transcript

BY_TOKENS, BY_TEXT = "resume", "continuation"
"""Capabilities of a replica."""
MAX_CONTINUATIONS = 2
"""A generation that kills every engine it meets must not go through the whole fleet."""

_Fields = dict[str, msgspec.Raw]


@dataclass(slots=True, kw_only=True)
class Course:
    """One call on its way through one or more replicas.

    `asked_for`: the model that the body names; `model`: the one that serves. `wants_usage`: whether the client asked
    for the usage chunk of a stream. `transcript`: None where nothing can be continued (plain answers, raw completions).
    `said`: what the replicas before this one have said.
    """

    body: bytes
    asked_for: str
    wants_usage: bool
    transcript: Transcript | None
    said: Said | None = None
    num_continued: int = 0
    model: str = ""

    def body_for(self, replica: RoutableReplica) -> bytes:
        body = self.body if self.model == self.asked_for else request_to(self.body, self.model)
        if self.transcript is None:
            return body
        body = telling_tokens(body, replica)
        return resuming(body, self.said, replica) if self.said else body

    def successor(self, replica: RoutableReplica) -> "Successor | None":
        """How to word what this replica says; None for the first one, which speaks for itself."""
        if self.said is None or self.transcript is None:
            return None
        by_tokens = bool(self.said.token_ids) and BY_TOKENS in replica.capabilities
        return Successor(self.transcript.identity, self.said, by_tokens=by_tokens)

    @property
    def needs(self) -> frozenset[str]:
        """One of which a replica must have to go on; nothing where there is nothing to go on from."""
        if self.said is None or not self.said.num_tokens:
            return frozenset()
        return frozenset({BY_TOKENS, BY_TEXT} if self.said.token_ids else {BY_TEXT})

    def broke_off(self) -> bool:
        """The replica has died. Whether another may go on."""
        said = self.transcript.said() if self.transcript else None
        if said is None or self.num_continued >= MAX_CONTINUATIONS:
            return False
        self.said = said
        self.num_continued += 1
        return True


def telling_tokens(body: bytes, replica: RoutableReplica) -> bytes:
    """The body for the first replica; engines that can take tokens back are asked to tell them."""
    return _with_field(body, b'"return_token_ids":true') if BY_TOKENS in replica.capabilities else body


def resuming(body: bytes, said: Said, replica: RoutableReplica) -> bytes:
    """The body for the next replica."""
    if not said.num_tokens:
        return body
    if said.token_ids and BY_TOKENS in replica.capabilities:
        resume = {"token_ids": said.token_ids, "num_chars": len(said.text)}
        return _with_field(body, b'"resume":' + msgspec.json.encode(resume))
    return msgspec.json.encode(_by_text(msgspec.json.decode(body, type=_Fields), said))


def _with_field(body: bytes, field: bytes) -> bytes:
    """A JSON object that has been checked, with one more field at its beginning."""
    return b"{" + field + b"," + body.lstrip()[1:]


def _by_text(fields: _Fields, said: Said) -> dict[str, Any]:
    messages = msgspec.json.decode(fields["messages"])
    if _value(fields, "continue_final_message"):
        messages[-1] = {**messages[-1], "content": messages[-1]["content"] + said.text}
    else:
        messages.append({"role": "assistant", "content": said.text})
    limits = {
        name: max(1, limit - said.num_tokens)
        for name in ("max_tokens", "max_completion_tokens")
        if (limit := _value(fields, name))
    }
    flags = {"continue_final_message": True, "add_generation_prompt": False}
    return {**fields, **limits, **flags, "messages": messages}


def _value(fields: _Fields, name: str) -> Any:
    return msgspec.json.decode(fields.get(name, b"null"))


class Successor:
    """Words the events of the replica that goes on as if they were the first one's."""

    def __init__(self, identity: Mapping[str, Any], said: Said, *, by_tokens: bool) -> None:
        self._identity = identity
        self.counts_exactly = by_tokens or not said.num_tokens
        # Whoever took tokens back counts them as its own.
        self._num_uncounted = 0 if by_tokens else said.num_tokens

    def worded(self, event: bytes) -> bytes:
        """The event for the client; empty for what it has heard already."""
        try:
            chunk = msgspec.json.decode(event_data(event), type=dict[str, Any])
        except (msgspec.DecodeError, UnicodeDecodeError):
            return event
        if chunk.get("choices") and _is_beginning(chunk["choices"][0]):
            return b""
        chunk |= self._identity
        if isinstance(usage := chunk.get("usage"), dict):
            chunk["usage"] = self._as_one(usage)
        return b"data: " + msgspec.json.encode(chunk) + b"\n\n"

    def _as_one(self, usage: dict[str, Any]) -> dict[str, Any]:
        moved = self._num_uncounted
        return usage | {
            "prompt_tokens": max(0, usage["prompt_tokens"] - moved),
            "completion_tokens": usage["completion_tokens"] + moved,
        }


def _is_beginning(choice: Mapping[str, Any]) -> bool:
    delta = choice.get("delta") or {}
    return "role" in delta and not delta.get("content") and not choice.get("finish_reason")
