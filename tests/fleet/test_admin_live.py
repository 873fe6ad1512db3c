"""Admin's open pages hear what changes, without a reload."""

import asyncio
import json
import re
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from channels.testing import WebsocketCommunicator
from django.conf import settings
from django.test import Client

from config.asgi import websockets
from fleet.live import FORBIDDEN, INTERNAL_ERROR
from fleet.models import Replica, Worker
from fleet.reconciler import reconcile

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _quick(settings):
    settings.LIVE_INTERVAL /= 20


def cookie_of(user: Any) -> str:
    client = Client()
    client.force_login(user)
    return client.cookies[settings.SESSION_COOKIE_NAME].value


async def open_page(user: Any, watch: str, language: str = "en") -> WebsocketCommunicator:
    headers = [(b"host", b"testserver"), (b"origin", b"http://testserver")]
    if user:
        cookie = await sync_to_async(cookie_of)(user)
        headers.append((b"cookie", f"{settings.SESSION_COOKIE_NAME}={cookie}".encode()))
    page = WebsocketCommunicator(websockets, f"/ws/fleet/?watch={watch}&language={language}", headers)
    await page.connect(timeout=20)
    return page


async def fragments(page: WebsocketCommunicator) -> dict[str, str]:
    return json.loads(await page.receive_from(timeout=20))["fragments"]


async def close_code(page: WebsocketCommunicator) -> int:
    closed = await page.receive_output(timeout=20)
    while closed["type"] != "websocket.close":
        closed = await page.receive_output(timeout=20)
    return closed["code"]


async def test_a_deployment_is_seen_becoming_ready(admin_user, make_worker, make_deployment):
    await sync_to_async(make_worker)()
    deployment = await sync_to_async(make_deployment)()
    await sync_to_async(reconcile)()
    page = await open_page(admin_user, "deployment-card")
    badges = []
    for phase in ("loading", "ready"):
        badges.append((await fragments(page))[f"deployment-card:{deployment.pk}"])
        await Replica.objects.aupdate(phase=phase, progress=0.4)
    badges.append((await fragments(page))[f"deployment-card:{deployment.pk}"])
    await page.disconnect(timeout=20)
    assert [re.search(r">(\w+(?: 40 %)?)<", badge)[1] for badge in badges] == ["pending", "loading 40 %", "ready"]


async def test_only_what_changed_is_sent_again(admin_user, make_worker):
    await sync_to_async(make_worker)("calm")
    moved = await sync_to_async(make_worker)("moved")
    page = await open_page(admin_user, "worker-card")
    await fragments(page)
    await Worker.objects.filter(pk=moved.pk).aupdate(cordoned=True)
    changed = await fragments(page)
    await page.disconnect(timeout=20)
    assert list(changed) == [f"worker-card:{moved.pk}"]


async def test_a_worker_that_joins_appears_where_its_token_was_shown(admin_user, make_worker, issue):
    token, _ = await sync_to_async(issue)()
    page = await open_page(admin_user, "arrivals")
    await fragments(page)
    await sync_to_async(make_worker)("box-9", join_token=token)
    arrived = await fragments(page)
    await page.disconnect(timeout=20)
    assert "box-9" in arrived[f"arrivals:{token.pk}"]


async def test_the_last_hour_of_the_gateway_is_part_of_it(admin_user):
    page = await open_page(admin_user, "traffic")
    sent = await fragments(page)
    await page.disconnect(timeout=20)
    assert "Requests, last hour" in sent["traffic"]


async def test_a_page_that_watches_nothing_hears_nothing(admin_user):
    page = await open_page(admin_user, "nonsense")
    assert await page.receive_nothing(timeout=0.3)
    await page.disconnect(timeout=20)


@pytest.mark.parametrize("is_staff", [None, False], ids=["nobody", "no staff"])
async def test_who_is_not_staff_is_turned_away(django_user_model, is_staff):
    user = None if is_staff is None else await sync_to_async(django_user_model.objects.create_user)("maria")
    page = await open_page(user, "attention")
    assert await close_code(page) == FORBIDDEN


async def test_an_open_page_hears_nothing_more_once_the_staff_flag_is_gone(admin_user):
    page = await open_page(admin_user, "attention")
    await fragments(page)
    admin_user.is_staff = False
    await admin_user.asave()
    assert await close_code(page) == FORBIDDEN


async def test_an_open_page_hears_nothing_more_after_signing_out(admin_user):
    page = await open_page(admin_user, "attention")
    await fragments(page)
    await sync_to_async(page_sign_out)(page)
    assert await close_code(page) == FORBIDDEN


def page_sign_out(page: WebsocketCommunicator) -> None:
    client = Client()
    cookie = dict(page.scope["headers"])[b"cookie"].decode().partition("=")[2]
    client.cookies[settings.SESSION_COOKIE_NAME] = cookie
    client.post("/logout/")


async def test_closing_the_page_ends_its_task(admin_user):
    page = await open_page(admin_user, "attention")
    await fragments(page)
    watching = [task for task in asyncio.all_tasks() if "_watch" in repr(task.get_coro())]
    await page.disconnect(timeout=20)
    _, left = await asyncio.wait(watching, timeout=20)
    assert not left


async def test_a_page_that_cannot_be_kept_true_is_told_to_connect_again(admin_user, settings):
    settings.LIVE_SOURCES = ["fleet.fragments.nowhere"]
    page = await open_page(admin_user, "attention")
    assert await close_code(page) == INTERNAL_ERROR
