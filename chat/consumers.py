"""The socket of one tab on one conversation. Thin: it reads frames, calls acts, and passes on what the group is told.

It handles one frame at a time, so nothing is generated here: answers live in live.py, and "stop" always gets through.
"""

import time
from typing import Any
from urllib.parse import parse_qs
from uuid import UUID

from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer
from django.conf import settings
from django.utils import translation

from chat import frames, live
from chat.errors import ChatError, NoSuchConversation, TooManyFrames
from chat.replies import Question, own_conversation, regenerate, show_branch, start_reply
from chat.thread import read_state
from protocol.codec import MalformedMessage

ANONYMOUS, NOT_THEIRS, TOO_LARGE = 4401, 4404, 4413
MAX_FRAME_BYTES = 4 * frames.MAX_QUESTION + 4096
"""Of a question in the widest characters, and what surrounds it."""


class Allowance:
    """How many frames a tab may send: some at once, then a few a second."""

    BURST, PER_SECOND = 30.0, 3.0

    def __init__(self) -> None:
        self._left, self._counted_at = self.BURST, time.monotonic()

    def spend(self) -> None:
        """Raises TooManyFrames."""
        now = time.monotonic()
        self._left = min(self.BURST, self._left + (now - self._counted_at) * self.PER_SECOND)
        self._counted_at = now
        if self._left < 1:
            raise TooManyFrames
        self._left -= 1


class ChatConsumer(AsyncWebsocketConsumer):
    """Closes with ANONYMOUS or NOT_THEIRS; a browser can only read the code of a socket that was accepted before."""

    async def connect(self) -> None:
        self.conversation_id: UUID = self.scope["url_route"]["kwargs"]["conversation_id"]
        self.user = self.scope["user"]
        self.language = _language(self.scope["query_string"])
        self.allowance = Allowance()
        self.has_entered = False
        await self.accept()
        if not self.user.is_authenticated:
            return await self.close(ANONYMOUS)
        await self._enter()

    async def disconnect(self, code: int) -> None:
        await self.channel_layer.group_discard(live.thread_group(self.conversation_id), self.channel_name)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        if not self.has_entered:
            return None  # sent before the refusal arrived there
        data = text_data or ""
        if bytes_data or len(data) > MAX_FRAME_BYTES:
            return await self.close(TOO_LARGE)
        try:
            self.allowance.spend()
            await self._handle(frames.read(data))
        except NoSuchConversation:
            await self.close(NOT_THEIRS)
        except ChatError as error:
            await self._refuse(error)
        except MalformedMessage as error:
            await self._send(frames.Refused(code="malformed", advice=str(error)))

    async def thread_frame(self, event: dict[str, Any]) -> None:
        """A frame for every tab of this conversation, written by the running answer."""
        await self.send(text_data=event["text"])

    async def thread_changed(self, event: dict[str, Any]) -> None:
        """The thread changed after this message; each tab reads it in its own language."""
        try:
            await self._send_state(UUID(event["after"]) if event["after"] else None)
        except NoSuchConversation:
            await self.close(NOT_THEIRS)

    async def _enter(self) -> None:
        try:
            await database_sync_to_async(own_conversation)(self.user.pk, self.conversation_id)
        except NoSuchConversation:
            return await self.close(NOT_THEIRS)
        await self.channel_layer.group_add(live.thread_group(self.conversation_id), self.channel_name)
        self.has_entered = True

    async def _handle(self, frame: frames.ClientFrame) -> None:
        match frame:
            case frames.Join():
                await self._send_state(frame.after)
                await live.ask_for_report(self.conversation_id, self.channel_name)
            case frames.Send():
                await self._ask(frame)
            case frames.Stop():
                await live.stop_reply(self.conversation_id)
            case frames.Regenerate():
                again = database_sync_to_async(regenerate)
                await live.begin(await again(self.user.pk, frame.message_id, frame.model))
            case frames.Show():
                shown = await database_sync_to_async(show_branch)(self.user.pk, frame.message_id)
                await live.announce_change(self.conversation_id, after=shown.parent_id)

    async def _ask(self, frame: frames.Send) -> None:
        question = Question(
            user_id=self.user.pk,
            conversation_id=self.conversation_id,
            message_id=frame.message_id,
            parent_id=frame.parent,
            text=frame.text,
            model=frame.model,
        )
        if reply := await database_sync_to_async(start_reply)(question):
            await live.begin(reply)
        else:
            await self._send_state(frame.parent)

    async def _send_state(self, after: UUID | None) -> None:
        await self._send(await self._read_state(after))

    @database_sync_to_async
    def _read_state(self, after: UUID | None) -> frames.State:
        with translation.override(self.language):
            return read_state(self.user.pk, self.conversation_id, after)

    async def _refuse(self, error: ChatError) -> None:
        with translation.override(self.language):
            await self._send(frames.Refused(code=error.code, advice=str(error.advice)))

    async def _send(self, frame: frames.State | frames.Refused) -> None:
        await self.send(text_data=frames.write(frame))


def _language(query: bytes) -> str:
    """The page's, which the page puts into the address of its socket."""
    asked = parse_qs(query.decode("latin-1")).get("language", [""])[0]
    return asked if asked in dict(settings.LANGUAGES) else settings.LANGUAGE_CODE
