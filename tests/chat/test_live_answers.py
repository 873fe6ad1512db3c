"""An answer belongs to the server: tabs join, leave and come back, and lose nothing."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from asgiref.sync import sync_to_async
from channels.routing import URLRouter
from channels.testing import WebsocketCommunicator
from django.contrib.auth.models import AnonymousUser
from django.utils.timezone import now

from chat import live
from chat.consumers import MAX_FRAME_BYTES, Allowance
from chat.models import Conversation, Message, MessagePhase
from chat.routing import websocket_urlpatterns
from gateway import runtime
from gateway.models import UsageRecord
from tests.chat.conftest import MODEL
from tests.gateway import fake_replica
from tests.gateway.conftest import give_places

pytestmark = pytest.mark.django_db(transaction=True)

PATIENCE_S = 30


class Tab:
    """A page's side of the socket."""

    def __init__(self, conversation: Conversation, user: Any, *, language: str = "en") -> None:
        path = f"/ws/chat/{conversation.pk}/?language={language}"
        self._socket = WebsocketCommunicator(URLRouter(websocket_urlpatterns), path)
        self._socket.scope["user"] = user

    async def open(self) -> None:
        await self._socket.connect(timeout=PATIENCE_S)

    async def send(self, **frame: Any) -> None:
        await self._socket.send_json_to(frame)

    async def ask(self, text: str = "Tell me a story", **changes: Any) -> str:
        message_id = str(uuid4())
        frame = {"type": "send", "message_id": message_id, "parent": None, "text": text, "model": MODEL}
        await self.send(**(frame | changes))
        return message_id

    async def next(self) -> dict[str, Any]:
        return await self._socket.receive_json_from(timeout=PATIENCE_S)

    async def until(self, kind: str, phase: str | None = None) -> dict[str, Any]:
        """The next frame of this kind, the last message of which is in this phase; those before it are dropped."""
        while True:
            frame = await self.next()
            if frame["type"] == kind and phase in (None, _phase(frame)):
                return frame

    async def close_code(self) -> int:
        sent = await self._socket.receive_output(timeout=PATIENCE_S)
        assert sent["type"] == "websocket.close"
        return sent["code"]

    async def leave(self) -> None:
        await self._socket.disconnect(timeout=PATIENCE_S)


def _phase(state: dict[str, Any]) -> str | None:
    phases = re.findall(r'data-phase="(\w+)"', state.get("html", ""))
    return phases[-1] if phases else None


async def eventually(is_so: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not await is_so():  # noqa: ASYNC110 - a row in a database sets no event
            await asyncio.sleep(0.05)


@asynccontextmanager
async def tab_on(conversation: Conversation, user: Any, **options: Any):
    tab = Tab(conversation, user, **options)
    await tab.open()
    try:
        yield tab
    finally:
        await tab.leave()


@pytest.fixture
async def tab(gateway, conversation, ada):
    async with tab_on(conversation, ada) as tab:
        yield tab


async def the_answer() -> Message:
    return await Message.objects.aget(role="assistant")


async def is_settled() -> bool:
    return (await the_answer()).phase != MessagePhase.STREAMING


async def test_a_question_is_answered_and_the_whole_message_comes_last(tab):
    await tab.ask()
    state = await tab.until("state", "complete")
    assert "<p>Once upon a time</p>" in state["html"]


async def test_the_answer_is_kept_in_its_row(tab):
    await tab.ask()
    await tab.until("state", "complete")
    answer = await the_answer()
    assert (answer.phase, answer.text) == (MessagePhase.COMPLETE, "Once upon a time")


async def test_who_waits_for_the_model_is_told_their_place(tab, gateway, fake, ada):
    fake.behave = fake_replica.linger
    await sync_to_async(give_places)(1)
    await sync_to_async(gateway.poller.refresh)()
    another = await Conversation.objects.acreate(owner=ada, model=MODEL)
    async with tab_on(another, ada) as before:
        await before.ask()
        async with asyncio.timeout(PATIENCE_S):
            while not fake.num_open:  # noqa: ASYNC110 - it is in another thread
                await asyncio.sleep(0.05)
        await tab.ask()
        assert (await tab.until("queued"))["position"] == 1
        fake.release(2)
        await before.until("state", "complete")
        await tab.until("state", "complete")


async def test_the_answer_is_on_record_as_usage_of_its_reader(tab, gateway):
    await tab.ask()
    await tab.until("state", "complete")
    await sync_to_async(gateway.journal.write_up)()
    record = await UsageRecord.objects.aget()
    assert (record.user_name, record.key_name, record.state) == ("ada", "chat", "complete")


async def test_what_comes_while_it_is_written_joins_without_a_gap(tab, fake):
    fake.behave = fake_replica.one_word_then_wait
    await tab.ask()
    delta = await tab.until("delta")
    assert (delta["offset"], delta["end"], delta["tail"]) == (0, 4, "<p>Once</p>\n")


async def test_stop_gets_through_and_keeps_what_there_is(tab, fake):
    fake.behave = fake_replica.one_word_then_wait
    await tab.ask()
    await tab.until("delta")
    await tab.send(type="stop")
    await tab.until("state", "stopped")
    answer = await the_answer()
    assert (answer.phase, answer.text) == (MessagePhase.STOPPED, "Once")


async def test_stop_reaches_the_engine(tab, fake):
    fake.behave = fake_replica.one_word_then_wait
    await tab.ask()
    await tab.until("delta")
    await tab.send(type="stop")
    await tab.until("state", "stopped")
    assert len(fake.cancelled) == 1


async def test_stop_gets_through_before_the_first_word(tab, fake):
    fake.behave = fake_replica.wait
    await tab.ask()
    await tab.until("state", "streaming")
    await tab.send(type="stop")
    await tab.until("state", "stopped")


async def test_a_second_tab_gets_all_there_is_and_then_what_follows(tab, fake, conversation, ada):
    fake.behave = fake_replica.one_word_then_wait
    await tab.ask()
    await tab.until("delta")
    async with tab_on(conversation, ada) as second:
        await second.send(type="join", after=None)
        await second.until("state", "streaming")
        report = await second.until("live")
        await second.send(type="stop")
        await second.until("state", "stopped")
    assert (report["end"], report["tail"]) == (4, "<p>Once</p>\n")


async def test_an_answer_goes_on_when_every_tab_has_left(gateway, conversation, ada, fake):
    async with tab_on(conversation, ada) as tab:
        await tab.ask()
        await tab.until("state")
    await eventually(is_settled)
    assert (await the_answer()).text == "Once upon a time"


async def test_a_tab_that_comes_back_is_sent_only_what_it_lacks(tab):
    asked = await tab.ask()
    await tab.until("state", "complete")
    await tab.send(type="join", after=asked)
    state = await tab.until("state")
    assert state["after"] == asked
    assert "Tell me a story" not in state["html"]


async def test_a_tab_with_messages_that_are_gone_is_sent_everything(tab):
    await tab.ask()
    await tab.until("state", "complete")
    await tab.send(type="join", after=str(uuid4()))
    # The end of an answer may be told twice: a tab that is slow to read its beginning finds it ended.
    while (state := await tab.until("state"))["after"] is not None:
        pass
    assert "Tell me a story" in state["html"]


async def test_a_question_sent_again_after_a_lost_line_is_asked_once(tab):
    asked = await tab.ask()
    await tab.until("state", "complete")
    await tab.ask(message_id=asked)
    await tab.until("state", "complete")
    assert await Message.objects.acount() == 2


async def test_a_second_question_while_an_answer_runs_is_refused_with_a_reason(tab, fake):
    fake.behave = fake_replica.one_word_then_wait
    await tab.ask()
    await tab.until("delta")
    await tab.ask("And another")
    assert "still being written" in (await tab.until("refused"))["advice"]


async def test_another_answer_can_be_asked_for_and_the_first_shown_again(tab):
    await tab.ask()
    await tab.until("state", "complete")
    first = await the_answer()
    await tab.send(type="regenerate", message_id=str(first.pk))
    while "2 / 2" not in (await tab.until("state", "complete"))["html"]:
        pass
    await tab.send(type="show", message_id=str(first.pk))
    while "1 / 2" not in (await tab.until("state", "complete"))["html"]:
        pass


@pytest.mark.parametrize(
    ("behaviour", "words"),
    [
        (fake_replica.die_after_one_word, "The worker was lost in the middle of the answer."),
        (fake_replica.refuse(400, code="context_length_exceeded"), "The conversation is too long for this model."),
        (fake_replica.refuse(400, message="I am a teapot."), "I am a teapot."),
    ],
)
async def test_a_failure_says_what_happened(tab, fake, behaviour, words):
    fake.behave = behaviour
    await tab.ask()
    assert words in (await tab.until("state", "failed"))["html"]


async def test_what_had_arrived_before_the_worker_was_lost_is_kept(tab, fake):
    fake.behave = fake_replica.die_after_one_word
    await tab.ask()
    await tab.until("state", "failed")
    assert (await the_answer()).text == "Once"


async def test_a_model_without_a_replica_fails_with_advice_not_silence(tab):
    await tab.ask(model="nonesuch")
    assert "no longer deployed" in (await tab.until("state", "failed"))["html"]


async def test_a_web_process_that_ends_keeps_the_text_and_says_so(tab, fake):
    fake.behave = fake_replica.one_word_then_wait
    await tab.ask()
    await tab.until("delta")
    await live.shut_down()
    answer = await the_answer()
    assert (answer.phase, answer.text, answer.error_code) == (MessagePhase.FAILED, "Once", "server_stopped")


@pytest.mark.parametrize("who", ["client", "server"])
async def test_the_record_says_who_ended_the_answer(tab, fake, who):
    fake.behave = fake_replica.one_word_then_wait
    await tab.ask()
    await tab.until("delta")
    if who == "client":
        await tab.send(type="stop")
        await tab.until("state", "stopped")
    else:
        await live.shut_down()
    await sync_to_async(runtime.current().journal.write_up)()
    assert (await UsageRecord.objects.aget()).state == f"cut_by_{who}"


async def test_the_text_is_saved_while_it_is_written(tab, fake):
    fake.behave = fake_replica.one_word_then_wait
    await tab.ask()
    await tab.until("delta")

    async def is_saved() -> bool:
        return (await the_answer()).text == "Once"

    await eventually(is_saved)
    assert not await is_settled()


async def test_generation_ends_when_its_conversation_is_deleted(tab, fake, conversation):
    fake.behave = fake_replica.one_word_then_wait
    await tab.ask()
    await tab.until("delta")
    await conversation.adelete()

    async def is_stopped() -> bool:
        return bool(fake.cancelled)

    await eventually(is_stopped)
    assert await tab.close_code() == 4404


async def test_a_dead_process_leaves_an_answer_that_is_shown_as_failed_to_whoever_comes_back(tab, conversation):
    asked = await conversation.messages.acreate(role="user", text="Hello")
    dead = await conversation.messages.acreate(parent=asked, role="assistant", text="So f", phase="streaming")
    await Message.objects.filter(pk=dead.pk).aupdate(updated_at=now() - timedelta(minutes=2))
    await Conversation.objects.filter(pk=conversation.pk).aupdate(leaf=dead)
    await tab.send(type="join", after=None)
    assert "The server was restarted" in (await tab.until("state"))["html"]


async def test_nobody_listens_to_the_conversation_of_somebody_else(gateway, conversation, eve):
    tab = Tab(conversation, eve)
    await tab.open()
    assert await tab.close_code() == 4404


async def test_a_stranger_who_speaks_before_hearing_the_refusal_stops_nobodys_answer(tab, fake, conversation, eve):
    fake.behave = fake_replica.one_word_then_wait
    await tab.ask()
    await tab.until("delta")
    stranger = Tab(conversation, eve)
    await stranger.open()
    await stranger.send(type="stop")
    await stranger.close_code()
    await stranger.leave()
    # An answer hears one word after another: what it reports now, it does after what the stranger may have said.
    await tab.send(type="join", after=None)
    await tab.until("live")
    assert not await is_settled()


async def test_whoever_is_not_signed_in_hears_nothing(gateway, conversation):
    tab = Tab(conversation, AnonymousUser())
    await tab.open()
    assert await tab.close_code() == 4401


async def test_a_malformed_frame_is_answered_with_the_field_that_is_wrong(tab):
    await tab.send(type="send", message_id="nope")
    refused = await tab.until("refused")
    assert "$.message_id" in refused["advice"]


async def test_a_frame_beyond_all_bounds_closes_the_socket(tab):
    await tab.send(type="send", text="x" * (MAX_FRAME_BYTES + 1))
    assert await tab.close_code() == 4413


async def test_a_tab_that_hammers_is_slowed_down(tab, monkeypatch):
    monkeypatch.setattr(Allowance, "PER_SECOND", 0.0)
    for _ in range(40):
        await tab.send(type="stop")
    assert (await tab.until("refused"))["code"] == "too_fast"


async def test_two_tabs_are_each_told_in_their_own_language(tab, conversation, ada):
    async with tab_on(conversation, ada, language="zh-hans") as chinese:
        await chinese.send(type="join", after=None)
        await chinese.until("state")
        await tab.ask()
        english_state = await tab.until("state", "complete")
        assert "Once upon a time" in (await chinese.until("state", "complete"))["html"]
    assert "Copy the answer" in english_state["html"]
