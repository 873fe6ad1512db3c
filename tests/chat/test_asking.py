"""Asking and asking again: what is kept, what the model is told, and what is refused."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.utils.timezone import now

from chat.errors import AnswerRunning, NoModelChosen, NoSuchConversation, UnknownMessage
from chat.models import Conversation, Message, MessagePhase
from chat.replies import Question, regenerate, show_branch, start_conversation, start_reply, title_from
from chat.tasks import fail_abandoned_answers
from tests.chat.conftest import MODEL, add_turn

pytestmark = pytest.mark.django_db


def question(conversation: Conversation, **changes) -> Question:
    values = {
        "user_id": conversation.owner_id,
        "conversation_id": conversation.pk,
        "message_id": uuid4(),
        "parent_id": conversation.leaf_id,
        "text": "What is a fleet?",
        "model": MODEL,
    }
    return Question(**(values | changes))


def shown(conversation: Conversation) -> Message:
    conversation.refresh_from_db()
    assert conversation.leaf
    return conversation.leaf


def test_a_question_is_kept_and_its_answer_begun(conversation):
    reply = start_reply(question(conversation))
    answer = Message.objects.get(pk=reply.message_id)
    assert (answer.phase, answer.parent.text) == (MessagePhase.STREAMING, "What is a fleet?")


def test_the_first_question_names_the_conversation(conversation):
    start_reply(question(conversation, text="# What is\n\na **fleet**?"))
    conversation.refresh_from_db()
    assert conversation.title == "What is a fleet?"


def test_a_long_title_is_cut_at_a_word():
    assert title_from("word " * 40) == "word " * 11 + "word…"


def test_a_title_without_spaces_is_cut_as_well():
    assert title_from("字" * 100) == "字" * 60 + "…"


def test_the_model_is_told_the_shown_branch_and_nothing_else(conversation):
    first = add_turn(conversation, "Who are you?", "A model.")
    Message.objects.create(conversation=conversation, parent=first.parent, role="assistant", text="Hidden.")
    reply = start_reply(question(conversation))
    assert [turn["content"] for turn in reply.history] == ["Who are you?", "A model.", "What is a fleet?"]


def test_a_stopped_answer_is_part_of_what_the_model_is_told(conversation):
    add_turn(conversation, "Count to ten", "One, two", phase=MessagePhase.STOPPED)
    assert start_reply(question(conversation)).history[1] == {"role": "assistant", "content": "One, two"}


def test_turns_alternate_even_after_an_answer_that_failed_empty(conversation):
    add_turn(conversation, "Hello?", "", phase=MessagePhase.FAILED)
    reply = start_reply(question(conversation))
    assert reply.history == [{"role": "user", "content": "Hello?\n\nWhat is a fleet?"}]


def test_a_question_sent_twice_is_asked_once(conversation):
    asked = question(conversation)
    start_reply(asked)
    assert start_reply(asked) is None
    assert conversation.messages.count() == 2


def test_a_second_question_while_an_answer_runs_is_refused_and_not_kept(conversation):
    start_reply(question(conversation))
    with pytest.raises(AnswerRunning):
        start_reply(question(conversation))
    assert conversation.messages.count() == 2


def test_nobody_asks_in_a_conversation_of_somebody_else(conversation, eve):
    with pytest.raises(NoSuchConversation):
        start_reply(question(conversation, user_id=eve.pk))


def test_a_question_cannot_continue_from_another_conversation(conversation, eve):
    foreign = add_turn(Conversation.objects.create(owner=eve, model=MODEL), "Secret?", "Yes.")
    with pytest.raises(UnknownMessage):
        start_reply(question(conversation, parent_id=foreign.pk))


def test_a_question_cannot_take_the_id_of_a_message_elsewhere(conversation, eve):
    foreign = add_turn(Conversation.objects.create(owner=eve, model=MODEL), "Secret?", "Yes.")
    with pytest.raises(UnknownMessage):
        start_reply(question(conversation, message_id=foreign.pk))


def test_without_a_model_nothing_is_asked(conversation):
    with pytest.raises(NoModelChosen):
        start_reply(question(conversation, model=""))


def test_a_conversation_begins_with_its_first_question(ada):
    reply = start_conversation(ada.pk, text="Hello", model=MODEL)
    assert shown(Conversation.objects.get()).pk == reply.message_id


def test_a_conversation_that_could_not_begin_leaves_nothing_behind(ada):
    with pytest.raises(NoModelChosen):
        start_conversation(ada.pk, text="Hello", model="")
    assert not Conversation.objects.exists()


def test_another_answer_stands_beside_the_old_one_and_is_shown(conversation):
    old = add_turn(conversation, "Hello", "Hi.")
    reply = regenerate(conversation.owner_id, old.pk)
    assert shown(conversation).pk == reply.message_id
    assert shown(conversation).parent_id == old.parent_id


def test_another_answer_may_come_from_another_model(conversation):
    old = add_turn(conversation, "Hello", "Hi.")
    assert regenerate(conversation.owner_id, old.pk, "other").model == "other"


def test_trying_again_replaces_an_answer_that_failed_empty(conversation):
    failed = add_turn(conversation, "Hello", "", phase=MessagePhase.FAILED)
    regenerate(conversation.owner_id, failed.pk)
    assert not Message.objects.filter(pk=failed.pk).exists()


def test_nobody_regenerates_the_answer_of_somebody_else(conversation, eve):
    answer = add_turn(conversation, "Hello", "Hi.")
    with pytest.raises(UnknownMessage):
        regenerate(eve.pk, answer.pk)


def test_an_older_answer_can_be_shown_again_with_what_followed_it(conversation):
    old = add_turn(conversation, "Hello", "Hi.")
    follow_up = add_turn(conversation, "More", "Here.")
    Message.objects.filter(pk=regenerate(conversation.owner_id, old.pk).message_id).update(phase=MessagePhase.COMPLETE)
    show_branch(conversation.owner_id, old.pk)
    assert shown(conversation) == follow_up


def test_nobody_turns_the_pages_of_somebody_else(conversation, eve):
    answer = add_turn(conversation, "Hello", "Hi.")
    with pytest.raises(UnknownMessage):
        show_branch(eve.pk, answer.pk)


def test_an_answer_that_nobody_writes_any_more_becomes_a_failed_one_with_its_text(conversation):
    answer = add_turn(conversation, "Hello", "So far", phase=MessagePhase.STREAMING)
    Message.objects.filter(pk=answer.pk).update(updated_at=now() - timedelta(minutes=2))
    fail_abandoned_answers()
    answer.refresh_from_db()
    assert (answer.phase, answer.text, answer.error_code) == (MessagePhase.FAILED, "So far", "abandoned")


def test_an_answer_that_was_saved_lately_is_left_alone(conversation):
    answer = add_turn(conversation, "Hello", "So far", phase=MessagePhase.STREAMING)
    fail_abandoned_answers()
    answer.refresh_from_db()
    assert answer.phase == MessagePhase.STREAMING


def test_an_abandoned_answer_does_not_block_the_next_question(conversation):
    answer = add_turn(conversation, "Hello", "So far", phase=MessagePhase.STREAMING)
    Message.objects.filter(pk=answer.pk).update(updated_at=now() - timedelta(minutes=2))
    assert start_reply(question(conversation))
