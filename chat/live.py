"""Answers while they are being written. Each is a task of this process, whoever watches: tabs come and go.

    begin ──▶ generate ──▶ settle: the row gets the whole text and its last phase, then the tabs are told
                │  ▲
      tabs ◀────┘  └── stop, report (control events; they reach the answer from any process)

The row is the truth: it is saved every second and at the end. What the tabs get in between is a courtesy: text
gathered for about 50 ms, rendered once, sent to all tabs of the conversation through the channel layer. One way for
tabs of this process and of others; at 20 frames a second and answer its cost does not matter.
"""

import asyncio
import logging
from collections.abc import Coroutine
from contextvars import Context
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any
from uuid import UUID

from channels.db import database_sync_to_async
from channels.layers import get_channel_layer
from django.db import DatabaseError
from django.utils.timezone import now

from chat import frames
from chat.models import Message, MessagePhase
from chat.rendering import LiveDocument
from chat.replies import Reply
from gateway import runtime
from gateway.admission import Standing
from gateway.errors import GatewayError
from gateway.generation import Call, new_request_id, open_generation
from gateway.presence import Presence
from gateway.sse import Finished, TextDelta, text_deltas
from gateway.uninterrupted import uninterrupted

logger = logging.getLogger(__name__)

GATHER_S = 0.05
SAVE_EVERY_S = 1.0
MAX_RENDERING_SHARE = 0.05
"""Of a core, for one answer: a long open table is redrawn less often, so that it cannot hold up everybody else."""

_tasks: set["asyncio.Task[None]"] = set()
"""The loop itself keeps only weak references to tasks."""


def thread_group(conversation_id: UUID) -> str:
    """The tabs that show this conversation."""
    return f"thread.{conversation_id.hex}"


def _answer_group(conversation_id: UUID) -> str:
    """The running answer of this conversation, in whichever process it is."""
    return f"answer.{conversation_id.hex}"


async def begin(reply: Reply) -> None:
    """Start writing this answer. When this returns, it can be stopped."""
    layer = get_channel_layer()
    channel = await layer.new_channel("answer")
    await layer.group_add(_answer_group(reply.conversation_id), channel)
    # In a context of its own: the answer outlives the request, and must not use up the request's thread and language.
    task = asyncio.create_task(LiveAnswer(reply, channel).run(), context=Context())
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)
    await _courteously(announce_change(reply.conversation_id, after=reply.after))


async def stop_reply(conversation_id: UUID) -> None:
    """Stop the running answer, wherever it is being written. What there is of it is kept."""
    await get_channel_layer().group_send(_answer_group(conversation_id), {"type": "answer.stop"})


async def ask_for_report(conversation_id: UUID, channel: str) -> None:
    """The running answer, if there is one, will send all it has to this channel."""
    await get_channel_layer().group_send(
        _answer_group(conversation_id), {"type": "answer.report", "reply_channel": channel}
    )


async def announce_change(conversation_id: UUID, *, after: UUID | None) -> None:
    """Tell the tabs that the thread has changed after this message."""
    event = {"type": "thread.changed", "after": str(after) if after else None}
    await get_channel_layer().group_send(thread_group(conversation_id), event)


async def shut_down() -> None:
    """End what is still being written, keeping its text: this process is going away."""
    tasks = list(_tasks)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How an answer ended. `error_code` also tells of a complete one that met its length limit."""

    phase: MessagePhase
    error_code: str = ""
    error: str = ""


@dataclass(slots=True)
class LiveAnswer:
    """One answer being written."""

    reply: Reply
    channel: str
    text: str = ""
    _unsent: str = ""
    _document: LiveDocument = field(default_factory=LiveDocument)
    _drawing: asyncio.Lock = field(default_factory=asyncio.Lock)
    _has_news: asyncio.Event = field(default_factory=asyncio.Event)
    _generation: "asyncio.Task[Ending] | None" = None
    _presence: Presence = field(default_factory=Presence)

    async def run(self) -> None:
        self._generation = asyncio.create_task(self._generate())
        companions = [asyncio.create_task(work) for work in (self._broadcast(), self._save(), self._obey())]
        ending = Ending(phase=MessagePhase.FAILED, error_code="server_stopped")
        try:
            await asyncio.wait({self._generation})
            ending = self._generation.result()
        finally:
            await uninterrupted(self._wind_down([self._generation, *companions]))
            await uninterrupted(self._settle(ending))

    async def _generate(self) -> Ending:
        try:
            return await self._relay()
        except asyncio.CancelledError:
            return Ending(phase=MessagePhase.STOPPED)
        except GatewayError as error:
            return Ending(phase=MessagePhase.FAILED, error_code=error.code or error.type, error=str(error))
        except Exception:
            logger.exception("Answer %s failed", self.reply.message_id)
            return Ending(phase=MessagePhase.FAILED, error_code="internal_error")

    async def _relay(self) -> Ending:
        await runtime.ready()
        finish_reason = "stop"
        async with await open_generation(self._call()) as generation:
            async for event in text_deltas(generation):
                match event:
                    case Finished():
                        finish_reason = event.finish_reason
                    case TextDelta():
                        self._add(event.text)
                    case Standing():
                        await _courteously(self._tell_place(event))
        error_code = "max_length" if finish_reason == "length" else ""
        return Ending(phase=MessagePhase.COMPLETE, error_code=error_code)

    def _call(self) -> Call:
        return Call(
            caller=self.reply.caller,
            endpoint="chat/completions",
            model=self.reply.model,
            body={"model": self.reply.model, "messages": self.reply.history, "stream": True},
            stream=True,
            request_id=new_request_id(),
            session=str(self.reply.conversation_id),
            presence=self._presence,
        )

    async def _tell_place(self, standing: Standing) -> None:
        frame = frames.Queued(message_id=self.reply.message_id, position=standing.position)
        await self._tell_tabs({"type": "thread.frame", "text": frames.write(frame)})

    def _add(self, text: str) -> None:
        self.text += text
        self._unsent += text
        self._has_news.set()

    async def _broadcast(self) -> None:
        while True:
            await self._has_news.wait()
            self._has_news.clear()
            started = perf_counter()
            async with self._drawing:
                await self._send_delta()
            await asyncio.sleep(max(GATHER_S, (perf_counter() - started) / MAX_RENDERING_SHARE))

    async def _send_delta(self) -> None:
        new, self._unsent = self._unsent, ""
        piece = await asyncio.to_thread(self._document.append, new)
        frame = frames.Delta(
            message_id=self.reply.message_id,
            offset=piece.offset,
            end=piece.end,
            closed=piece.closed,
            tail=piece.tail,
        )
        await _courteously(self._tell_tabs({"type": "thread.frame", "text": frames.write(frame)}))

    async def _tell_tabs(self, event: dict[str, Any]) -> None:
        await get_channel_layer().group_send(thread_group(self.reply.conversation_id), event)

    async def _obey(self) -> None:
        """Control events, one at a time."""
        layer = get_channel_layer()
        while True:
            event = await layer.receive(self.channel)
            if event["type"] == "answer.stop":
                self._end()
            if event["type"] == "answer.report":
                await _courteously(self._report_to(event["reply_channel"]))

    async def _report_to(self, channel: str) -> None:
        async with self._drawing:
            live = frames.Live(
                message_id=self.reply.message_id,
                end=self._document.end,
                closed="".join(self._document.closed),
                tail=self._document.tail,
            )
        await get_channel_layer().send(channel, {"type": "thread.frame", "text": frames.write(live)})

    async def _save(self) -> None:
        """Every second, changed or not: the row's age tells the living from the abandoned."""
        while True:
            await asyncio.sleep(SAVE_EVERY_S)
            try:
                is_ours = await _update_streaming(self.reply.message_id, text=self.text)
            except DatabaseError:
                logger.warning("Answer %s could not be saved; next try in a second", self.reply.message_id)
                continue
            if not is_ours:
                self._end()  # deleted, or settled by somebody else: nobody wants the rest

    def _end(self) -> None:
        """Nobody waits for more."""
        self._presence.leave()
        if self._generation:
            self._generation.cancel()

    async def _wind_down(self, tasks: list["asyncio.Task[Any]"]) -> None:
        """Leaving the generation stops the engine and writes the usage record; that must have happened, too."""
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)

    async def _settle(self, ending: Ending) -> None:
        layer = get_channel_layer()
        await _courteously(layer.group_discard(_answer_group(self.reply.conversation_id), self.channel))
        await _update_streaming(
            self.reply.message_id,
            text=self.text,
            phase=ending.phase,
            error_code=ending.error_code,
            error=ending.error,
        )
        await _courteously(announce_change(self.reply.conversation_id, after=self.reply.parent_id))


@database_sync_to_async
def _update_streaming(message_id: UUID, **values: Any) -> bool:
    """Whether the answer was still streaming: whoever comes second changes nothing."""
    return Message.objects.streaming().filter(pk=message_id).update(**values, updated_at=now()) == 1


async def _courteously(telling: Coroutine[Any, Any, None]) -> None:
    """Telling the tabs may fail (a channel layer that is down); the answer goes on, and tabs catch up by joining."""
    try:
        await telling
    except Exception:
        logger.warning("Tabs could not be told of an answer's progress", exc_info=True)
