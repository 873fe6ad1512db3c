"""The shown branch of a conversation, as pages and tabs show it: one partial template serves both."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from django.template.loader import render_to_string

from chat import frames
from chat.branches import Tree
from chat.failures import Failure, failure_of
from chat.models import Conversation, Message, MessagePhase, Role
from chat.rendering import render_markdown
from chat.replies import own_conversation, read_tree

PAGE_SIZE = 100
"""Messages shown at first; rendering thousands would keep people waiting for what they do not read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownMessage:
    """A message, its HTML, and where it stands among its siblings."""

    message: Message
    html: str
    failure: Failure | None
    position: int
    num_siblings: int
    previous: UUID | None
    next: UUID | None

    @property
    def is_answer(self) -> bool:
        return self.message.role == Role.ASSISTANT

    @property
    def is_streaming(self) -> bool:
        return self.message.phase == MessagePhase.STREAMING

    @property
    def is_stopped(self) -> bool:
        return self.message.phase == MessagePhase.STOPPED


@dataclass(frozen=True, slots=True, kw_only=True)
class Thread:
    """The end of the shown branch; `num_earlier` messages come before it."""

    messages: Sequence[ShownMessage]
    num_earlier: int


def read_thread(conversation: Conversation, *, num_shown: int = PAGE_SIZE) -> Thread:
    """The last `num_shown` messages of the branch. An answer that nobody writes any more is shown as failed."""
    conversation.messages.all().fail_abandoned()
    tree = read_tree(conversation.pk)
    branch = tree.branch(conversation.leaf_id)
    shown = branch[-num_shown:]
    return Thread(messages=_shown(conversation, tree, shown), num_earlier=len(branch) - len(shown))


def read_state(user_id: int, conversation_id: UUID, after: UUID | None) -> frames.State:
    """What a tab needs that has everything up to `after`: all that is shown, where the branch does not hold it.

    Raises NoSuchConversation.
    """
    conversation = own_conversation(user_id, conversation_id)
    conversation.messages.all().fail_abandoned()
    tree = read_tree(conversation_id)
    branch = tree.branch(conversation.leaf_id)
    if after not in branch:
        after = None
    new = branch[branch.index(after) + 1 :] if after else branch[-PAGE_SIZE:]
    return frames.State(
        title=conversation.title,
        after=after,
        html="".join(map(render_message, _shown(conversation, tree, new))),
    )


def render_message(shown: ShownMessage) -> str:
    return render_to_string("chat/_message.html", {"shown": shown})


def _shown(conversation: Conversation, tree: Tree, ids: Sequence[UUID]) -> list[ShownMessage]:
    rows = conversation.messages.in_bulk(ids)
    return [_shown_message(rows[pk], tree) for pk in ids]


def _shown_message(message: Message, tree: Tree) -> ShownMessage:
    siblings = tree.siblings(message.pk)
    position = siblings.index(message.pk)
    return ShownMessage(
        message=message,
        html=render_markdown(message.text) if message.role == Role.ASSISTANT else "",
        failure=failure_of(message),
        position=position + 1,
        num_siblings=len(siblings),
        previous=siblings[position - 1] if position else None,
        next=siblings[position + 1] if position + 1 < len(siblings) else None,
    )
