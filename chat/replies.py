"""Asking: each act is one transaction, checks whose conversation it is, and leaves the answer's row to live.py."""

import re
from dataclasses import dataclass
from itertools import groupby
from uuid import UUID, uuid4

from django.db import IntegrityError, transaction
from django.utils.timezone import now

from accounts.models import User
from chat.branches import Tree
from chat.errors import AnswerRunning, NoModelChosen, NoSuchConversation, UnknownMessage
from chat.models import Conversation, Message, MessagePhase, Role
from gateway.generation import Caller

MAX_TITLE = 60
_MARKUP = re.compile(r"^[#>\s-]+|[*`_~]{2,}|`", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """`message_id` comes from the tab that asks; `parent_id` is the answer it continues from, None for the first."""

    user_id: int
    conversation_id: UUID
    message_id: UUID
    parent_id: UUID | None
    text: str
    model: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An answer to be generated. Its row is there, STREAMING and empty."""

    message_id: UUID
    conversation_id: UUID
    parent_id: UUID
    """The question."""
    after: UUID | None
    """The last message that is as it was; what follows is new to the tabs."""
    model: str
    history: list[dict[str, str]]
    """Role and content, oldest first; the question is the last."""
    caller: Caller


def start_conversation(user_id: int, *, text: str, model: str) -> Reply:
    """A new conversation and the answer to its first question. Raises NoModelChosen."""
    with transaction.atomic():
        conversation = Conversation.objects.create(owner_id=user_id, model=model)
        reply = start_reply(
            Question(
                user_id=user_id,
                conversation_id=conversation.pk,
                message_id=uuid4(),
                parent_id=None,
                text=text,
                model=model,
            )
        )
    assert reply, "the id is new, so the question cannot be there already"
    return reply


def start_reply(question: Question) -> Reply | None:
    """Keep the question and begin its answer. None if this very question is there already.

    Raises NoSuchConversation, UnknownMessage, NoModelChosen, AnswerRunning.
    """
    try:
        with transaction.atomic():
            return _ask(question)
    except IntegrityError as error:  # the constraint one_answer_at_a_time
        raise AnswerRunning from error


def regenerate(user_id: int, message_id: UUID, model: str = "") -> Reply:
    """Begin another answer beside this one, by the given model or else the same. An empty failure is replaced.

    Raises UnknownMessage, AnswerRunning.
    """
    try:
        with transaction.atomic():
            return _ask_again(_own_answer(user_id, message_id), model)
    except IntegrityError as error:
        raise AnswerRunning from error


def show_branch(user_id: int, message_id: UUID) -> Message:
    """Show the branch through this message from now on. Raises UnknownMessage, AnswerRunning."""
    message = _own_answer(user_id, message_id)
    if message.conversation.messages.streaming().exists():
        raise AnswerRunning
    leaf = read_tree(message.conversation_id).newest_leaf(message_id)
    Conversation.objects.filter(pk=message.conversation_id).update(leaf_id=leaf)
    return message


def own_conversation(user_id: int, conversation_id: UUID) -> Conversation:
    """Raises NoSuchConversation for a missing one and for somebody else's."""
    try:
        return Conversation.objects.of(user_id).select_related("owner__team").get(pk=conversation_id)
    except Conversation.DoesNotExist as error:
        raise NoSuchConversation from error


def read_tree(conversation_id: UUID) -> Tree:
    return Tree(dict(Message.objects.filter(conversation_id=conversation_id).values_list("pk", "parent_id")))


def title_from(text: str) -> str:
    """The question on one line without its Markdown, cut at a word where it is long."""
    line = " ".join(_MARKUP.sub("", text).split())
    if len(line) <= MAX_TITLE:
        return line
    cut = line[:MAX_TITLE].rsplit(" ", 1)[0] if " " in line[:MAX_TITLE] else line[:MAX_TITLE]
    return f"{cut}…"


def _ask(question: Question) -> Reply | None:
    conversation = own_conversation(question.user_id, question.conversation_id)
    known = Message.objects.filter(pk=question.message_id).first()
    if known and known.conversation_id == conversation.pk:
        return None
    if known or not _may_follow(conversation, question.parent_id):
        raise UnknownMessage
    if not question.model:
        raise NoModelChosen
    asked = conversation.messages.create(
        pk=question.message_id, parent_id=question.parent_id, role=Role.USER, text=question.text
    )
    conversation.title = conversation.title or title_from(question.text)
    return _begin(conversation, asked, model=question.model, after=question.parent_id)


def _may_follow(conversation: Conversation, parent_id: UUID | None) -> bool:
    return parent_id is None or conversation.messages.filter(pk=parent_id, role=Role.ASSISTANT).exists()


def _own_answer(user_id: int, message_id: UUID) -> Message:
    own = Message.objects.filter(conversation__owner_id=user_id, role=Role.ASSISTANT)
    try:
        return own.select_related("conversation__owner__team", "parent").get(pk=message_id)
    except Message.DoesNotExist as error:
        raise UnknownMessage from error


def _ask_again(answer: Message, model: str) -> Reply:
    conversation, asked = answer.conversation, answer.parent
    if asked is None:
        raise UnknownMessage
    if answer.phase == MessagePhase.FAILED and not answer.text:
        answer.delete()
    return _begin(conversation, asked, model=model or answer.model, after=asked.pk)


def _begin(conversation: Conversation, asked: Message, *, model: str, after: UUID | None) -> Reply:
    """The answer's row, and the conversation moved on to it."""
    conversation.messages.all().fail_abandoned()
    answer = conversation.messages.create(parent=asked, role=Role.ASSISTANT, phase=MessagePhase.STREAMING, model=model)
    Conversation.objects.filter(pk=conversation.pk).update(
        leaf=answer, model=model, title=conversation.title, updated_at=now()
    )
    return Reply(
        message_id=answer.pk,
        conversation_id=conversation.pk,
        parent_id=asked.pk,
        after=after,
        model=model,
        history=_history(conversation, asked),
        caller=_caller(conversation.owner),
    )


def _caller(owner: User) -> Caller:
    return Caller(
        user_id=owner.pk,
        user_name=owner.get_username(),
        key_id=None,
        key_name="chat",
        team_id=owner.team_id,
        weight=owner.weight,
    )


def _history(conversation: Conversation, asked: Message) -> list[dict[str, str]]:
    """The branch that ends with this question. Answers without text are left out, and neighbours of one role joined:
    many chat templates refuse two turns of the same speaker in a row."""
    branch = read_tree(conversation.pk).branch(asked.pk)
    rows = conversation.messages.in_bulk(branch)
    turns = [rows[pk] for pk in branch if rows[pk].text]
    return [
        {"role": str(role), "content": "\n\n".join(turn.text for turn in of_one)}
        for role, of_one in groupby(turns, key=lambda turn: turn.role)
    ]
