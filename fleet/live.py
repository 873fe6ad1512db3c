"""The door through which admin's pages hear what changed in the fleet; staff only."""

import asyncio
import json
import logging
from typing import Any
from urllib.parse import parse_qs

from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer
from django.conf import settings
from django.contrib.auth import get_user_model
from django.utils import translation
from django.utils.timezone import now

from fleet.fragments import Fragment, read_fragments

logger = logging.getLogger(__name__)

INTERNAL_ERROR = 1011
FORBIDDEN = 4403
"""Close code: not (or no longer) signed in as staff; the page must not try again."""


class FleetConsumer(AsyncWebsocketConsumer):
    """Sends `{"now": ISO time, "fragments": {key: HTML}}`: all that the page watches at first, then what changed.

    The address says what is watched and in which language: `ws/fleet/?watch=attention,workers&language=en`.
    """

    async def connect(self) -> None:
        query = parse_qs(self.scope["query_string"].decode())
        self.kinds = frozenset(",".join(query.get("watch", [])).split(","))
        self.language = _known_language(query.get("language", [""])[0])
        self.shown: dict[str, Fragment] = {}
        await self.accept()
        if not await database_sync_to_async(self._is_welcome)():
            await self.close(FORBIDDEN)
            return
        self.watching = asyncio.create_task(self._watch())

    async def disconnect(self, code: int) -> None:
        if watching := getattr(self, "watching", None):
            watching.cancel()

    async def _watch(self) -> None:
        try:
            await self._send_changes()
        except Exception:
            # A page that hears nothing more must know: it says so and connects anew.
            logger.exception("An open admin page cannot be kept up to date; it will connect again.")
            await self.close(INTERNAL_ERROR)

    async def _send_changes(self) -> None:
        while True:
            message = await database_sync_to_async(self._next_message)()
            if message is None:
                await self.close(FORBIDDEN)
                return
            if message["fragments"]:
                await self.send(json.dumps(message))
            await asyncio.sleep(settings.LIVE_INTERVAL.total_seconds())

    def _next_message(self) -> dict[str, Any] | None:
        """What changed since the last call, rendered; None when the viewer may see it no longer."""
        if not self._is_welcome():
            return None
        with translation.override(self.language):
            current = read_fragments(self.kinds)
            changed = {key: part.render() for key, part in current.items() if self.shown.get(key) != part}
        self.shown = current
        return {"now": now().isoformat(), "fragments": changed}

    def _is_welcome(self) -> bool:
        """Asked anew at every turn: a sign-out or a lost staff flag must end what an open page still hears."""
        user, session = self.scope["user"], self.scope["session"]
        if not user.is_authenticated or not session.exists(session.session_key):
            return False
        return get_user_model().objects.filter(pk=user.pk, is_active=True, is_staff=True).exists()


def _known_language(code: str) -> str:
    return code if code in dict(settings.LANGUAGES) else settings.LANGUAGE_CODE
