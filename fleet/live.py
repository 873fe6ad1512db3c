"""The doors through which admin's pages hear what changed in the fleet; staff only."""

import asyncio
import json
import logging
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer
from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractUser
from django.utils import translation
from django.utils.timezone import now

from fleet.fragments import Fragment, read_fragments
from fleet.inspection_view import REFRESH_S, inspect
from fleet.models import Worker

logger = logging.getLogger(__name__)

INTERNAL_ERROR = 1011
FORBIDDEN = 4403
"""Close code: not (or no longer) signed in as staff; the page must not try again."""


class LiveConsumer(AsyncWebsocketConsumer):
    """Sends `{"now": ISO time, "fragments": {key: HTML}}`: all that the page watches at first, then what changed."""

    permission = ""
    """That the viewer must have beside the staff flag."""
    pause_s: float
    """Between two looks."""

    async def connect(self) -> None:
        self.query = parse_qs(self.scope["query_string"].decode())
        self.language = _known_language(self.query.get("language", [""])[0])
        self.shown: Mapping[str, Fragment] = {}
        await self.accept()
        if not await database_sync_to_async(self._is_welcome)():
            await self.close(FORBIDDEN)
            return
        self.watching = asyncio.create_task(self._watch())

    async def disconnect(self, code: int) -> None:
        if watching := getattr(self, "watching", None):
            watching.cancel()

    async def fragments(self) -> Mapping[str, Fragment]:
        """What is watched, as it is now, in the viewer's language."""
        raise NotImplementedError

    async def _watch(self) -> None:
        try:
            await self._send_changes()
        except Exception:
            # A page that hears nothing more must know: it says so and connects anew.
            logger.exception("An open admin page cannot be kept up to date; it will connect again.")
            await self.close(INTERNAL_ERROR)

    async def _send_changes(self) -> None:
        while await database_sync_to_async(self._is_welcome)():
            with translation.override(self.language):
                message = await database_sync_to_async(self._changes)(await self.fragments())
            if message:
                await self.send(json.dumps(message))
            await asyncio.sleep(self.pause_s)
        await self.close(FORBIDDEN)

    def _changes(self, current: Mapping[str, Fragment]) -> dict[str, Any]:
        """What changed since the last call, rendered; empty when nothing did."""
        changed = {key: part.render() for key, part in current.items() if self.shown.get(key) != part}
        self.shown = current
        return {"now": now().isoformat(), "fragments": changed} if changed else {}

    def _is_welcome(self) -> bool:
        """Asked anew at every turn: a sign-out or a lost staff flag must end what an open page still hears."""
        user, session = self.scope["user"], self.scope["session"]
        if not user.is_authenticated or not session.exists(session.session_key):
            return False
        person = get_user_model().objects.filter(pk=user.pk, is_active=True, is_staff=True).first()
        return isinstance(person, AbstractUser) and (not self.permission or person.has_perm(self.permission))


class FleetConsumer(LiveConsumer):
    """The address says what is watched and in which language: `ws/fleet/?watch=attention,workers&language=en`."""

    @property
    def pause_s(self) -> float:  # type: ignore[override]
        return float(settings.LIVE_INTERVAL.total_seconds())

    async def fragments(self) -> Mapping[str, Fragment]:
        kinds = frozenset(",".join(self.query.get("watch", [])).split(","))
        return await database_sync_to_async(read_fragments)(kinds)


class InspectionConsumer(LiveConsumer):
    """What one worker tells of itself, asked anew while somebody looks: `ws/fleet/worker/<id>/<kind>/?language=en`,
    `kind` being log or store."""

    permission = "fleet.view_worker"

    @property
    def pause_s(self) -> float:  # type: ignore[override]
        return REFRESH_S[self.scope["url_route"]["kwargs"]["kind"]]

    async def fragments(self) -> Mapping[str, Fragment]:
        asked = self.scope["url_route"]["kwargs"]
        worker = await Worker.objects.filter(pk=asked["worker_id"]).afirst()
        return {f"{asked['kind']}:{asked['worker_id']}": await inspect(asked["kind"], worker)} if worker else {}


def _known_language(code: str) -> str:
    return code if code in dict(settings.LANGUAGES) else settings.LANGUAGE_CODE
