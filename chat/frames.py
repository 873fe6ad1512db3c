"""What the chat's socket carries, both ways. A tagged union each: `type` says which frame it is.

A tab joins and gets State, then Live if an answer is being written, then Delta after Delta. Frames may get lost on the
way (channel layers deliver at most once), so each Delta says from which character to which it leads: a tab that sees a
gap, or nothing for a while, joins again. The end of an answer is a State that holds the whole message.
"""

from typing import Annotated, Any
from uuid import UUID

import msgspec

from protocol.codec import decode, encode

MAX_QUESTION = 100_000
"""Characters."""


class Frame(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag=str.lower):
    """Structs, not dataclasses: msgspec tells the members of a union apart only by a Struct's tag."""


class Join(Frame, frozen=True, kw_only=True):
    """Tell me what I do not have: all of the shown branch that comes after this message (all of it, if None)."""

    after: UUID | None = None


class Send(Frame, frozen=True, kw_only=True):
    """A question. The tab makes the id, so that a question sent twice over a shaky line is asked once."""

    message_id: UUID
    parent: UUID | None
    text: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_QUESTION)]
    model: Annotated[str, msgspec.Meta(max_length=100)]


class Stop(Frame, frozen=True, kw_only=True):
    """Stop the answer that is being written."""


class Regenerate(Frame, frozen=True, kw_only=True):
    """Write this answer anew, beside the old one."""

    message_id: UUID
    model: Annotated[str, msgspec.Meta(max_length=100)] = ""


class Show(Frame, frozen=True, kw_only=True):
    """Show the branch through this message."""

    message_id: UUID


ClientFrame = Join | Send | Stop | Regenerate | Show


class State(Frame, frozen=True, kw_only=True):
    """Everything after the message `after` (or everything, if None) is now this HTML: list items, one a message."""

    title: str
    after: UUID | None
    html: str


class Live(Frame, frozen=True, kw_only=True):
    """All that was written of the running answer so far: `closed` will not change, `tail` may. `end` in characters."""

    message_id: UUID
    end: int
    closed: str
    tail: str


class Delta(Frame, frozen=True, kw_only=True):
    """From character `offset` to `end`: append `closed`, replace the tail."""

    message_id: UUID
    offset: int
    end: int
    closed: str
    tail: str


class Queued(Frame, frozen=True, kw_only=True):
    """The answer waits for its turn at the model, and so many stand before it, itself counted."""

    message_id: UUID
    position: int


class Refused(Frame, frozen=True, kw_only=True):
    """What was asked for did not happen; `advice` says why and what to do."""

    code: str
    advice: str


def read(data: str) -> ClientFrame:
    """Raises MalformedMessage, which names the field."""
    frame: Any = ClientFrame
    return decode(frame, data.encode())


def write(frame: State | Live | Delta | Queued | Refused) -> str:
    return encode(frame).decode()
