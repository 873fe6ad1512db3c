"""Images in messages: checked, fetched by the gateway where they are only linked, and sent to models that see."""

import asyncio
import base64
import logging
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import anthropic
import pytest
from aiohttp import web

from fleet.errors import AddressRefused
from fleet.models import Replica
from gateway import runtime
from gateway.image_fetching import ImageFetcher, NotFetched, check_place
from gateway.issuing import issue_key
from gateway.models import UsageRecord
from tests.gateway.conftest import CAPABILITIES, post, the_record, wait_until
from tests.gateway.providers.server import ProviderServer
from tests.pictures import bomb, inline, picture, pictures

PNG = picture()
PARAM = "messages[0].content[1].image_url.url"


def asking(*urls: str, **image: Any) -> dict[str, Any]:
    """A chat about these."""
    parts = [{"type": "image_url", "image_url": {"url": url, **image}} for url in urls]
    return {"model": "fake-1", "messages": [{"role": "user", "content": [{"type": "text", "text": "What?"}, *parts]}]}


class PictureServer(ProviderServer):
    """Somebody's web site."""

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/{name}", self._page)]

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.port}/{name}"

    async def _page(self, request: web.Request) -> web.StreamResponse:
        match request.match_info["name"]:
            case "moved":
                raise web.HTTPFound("/picture.png")
            case "away":
                # An address that nothing may be fetched from, and where nobody answers.
                raise web.HTTPFound("http://169.254.169.254/latest/meta-data/")
            case "round":
                raise web.HTTPFound("/round")
            case "page.html":
                return web.Response(text="<html>A picture!</html>", content_type="image/png")
            case "large":
                return web.Response(body=PNG + bytes(100_000))
            case "slow":
                await asyncio.Event().wait()
            case "missing":
                raise web.HTTPNotFound
        return web.Response(body=PNG, content_type="application/octet-stream")


@pytest.fixture
def site() -> Iterator[PictureServer]:
    server = PictureServer()
    yield server
    server.close()


@pytest.fixture
def seeing(gateway, settings):
    """The model sees, and images may be fetched from this machine."""
    settings.IMAGE_NETWORKS = ["127.0.0.0/8"]
    Replica.objects.update(capabilities=[*CAPABILITIES, "vision"])
    gateway.refresh()


def shown(fake) -> str:
    return fake.bodies[0]["messages"][0]["content"][1]["image_url"]["url"]


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "GIF"])
def test_an_inline_image_reaches_the_model_as_it_was_sent(seeing, client, fake, form):
    url = inline(picture(form=form), form.lower())
    client.chat.completions.create(**asking(url, detail="low"))
    assert fake.bodies[0]["messages"] == asking(url, detail="low")["messages"]


def test_a_jpeg_that_holds_several_pictures_is_a_jpeg(seeing, client, fake):
    url = inline(pictures("red", "blue"), "jpeg")
    client.chat.completions.create(**asking(url))
    assert shown(fake) == url


def test_an_image_under_a_wrong_name_gets_its_right_one(seeing, client, fake):
    client.chat.completions.create(**asking(inline(picture(form="JPEG"), "png")))
    assert shown(fake).startswith("data:image/jpeg;base64,")


@pytest.mark.parametrize("name", ["picture.png", "moved"])
def test_a_linked_image_is_fetched_and_the_model_gets_the_image_itself(seeing, client, fake, site, name):
    client.chat.completions.create(**asking(inline(PNG), site.url(name)))
    parts = fake.bodies[0]["messages"][0]["content"]
    assert [part.get("image_url") for part in parts] == [None, {"url": inline(PNG)}, {"url": inline(PNG)}]


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("data:image/png;base64,AAAA", "no image"),
        ("data:image/png;base64,%%%%", "base64"),
        ("data:text/plain,hello", "data URI"),
        (inline(b"<svg xmlns='http://www.w3.org/2000/svg'/>", "svg+xml"), "no image"),
        (inline(bomb(7_100)), "pixels"),
        (inline(bomb(12_000)), "pixels"),
        (inline(bomb(40_000)), "pixels"),
        (inline(PNG[:-20]), "no image"),
        ("file:///etc/passwd", "https"),
        ("", "https"),
        ("https://ada:secret@example.com/a.png", "password"),
        ("http://[::1", "data URI"),
    ],
)
def test_what_is_no_image_is_refused_with_its_place_and_a_remedy(seeing, gateway, key, fake, url, reason):
    refused = post(gateway, key, "/chat/completions", asking(url))
    error = refused.json()["error"]
    assert (refused.status_code, error["param"], error["code"]) == (400, PARAM, "invalid_image")
    assert reason in error["message"]
    assert fake.bodies == []


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("page.html", "no image"), ("missing", "404"), ("round", "one address to the next"), ("slow", "too long"),
        ("large", "bytes together"), ("away", "not public"),
    ],
)  # fmt: skip
def test_a_link_that_leads_to_no_image_is_refused(seeing, settings, gateway, key, site, name, reason):
    settings.MAX_IMAGE_BYTES = 50_000
    if name == "slow":
        settings.IMAGE_TIMEOUT = timedelta(seconds=0.2)
    error = post(gateway, key, "/chat/completions", asking(site.url(name))).json()["error"]
    assert (error["param"], error["code"]) == (PARAM, "invalid_image")
    assert reason in error["message"]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0.0.0.0", "[::ffff:127.0.0.1]", "2130706433"])
def test_nothing_is_fetched_from_this_machine_unless_the_setting_allows_it(seeing, settings, gateway, key, site, host):
    settings.IMAGE_NETWORKS = []
    refused = post(gateway, key, "/chat/completions", asking(site.url("picture.png").replace("127.0.0.1", host)))
    assert refused.json()["error"]["param"] == PARAM
    assert site.headers == []


@pytest.mark.parametrize(
    "ip",
    [
        "10.0.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "fe80::1%eth0",
        "::1",
        "fd12::1",
        "64:ff9b::a00:1",
        "100.100.100.200",
    ],
)
def test_private_and_metadata_addresses_are_no_places_for_images(ip):
    with pytest.raises(AddressRefused):
        check_place(ip)


@pytest.mark.parametrize("ip", ["8.8.8.8", "2606:4700::1111"])
def test_the_public_network_is(ip):
    check_place(ip)


def test_a_model_that_does_not_see_is_not_asked_and_nothing_is_fetched_for_it(gateway, settings, key, fake, site):
    settings.IMAGE_NETWORKS = ["127.0.0.0/8"]
    refused = post(gateway, key, "/chat/completions", asking(site.url("picture.png")))
    error = refused.json()["error"]
    assert (refused.status_code, error["code"]) == (400, "unsupported_parameter")
    assert error["param"] == "messages[0].content[1].image_url"
    assert (fake.bodies, site.headers) == ([], [])


def test_nothing_is_fetched_for_a_model_that_there_is_not(seeing, gateway, key, site):
    refused = post(gateway, key, "/chat/completions", asking(site.url("picture.png")) | {"model": "nobody"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (404, "model_not_found")
    assert site.headers == []


def test_nothing_is_fetched_for_a_key_that_is_over_its_limits(seeing, gateway, user, site):
    limited = issue_key(user, "limited", max_requests_per_minute=2, max_parallel_requests=1)[1]
    gateway.refresh()
    body = asking(site.url("picture.png"))
    answers = [post(gateway, limited, "/chat/completions", body).status_code for _ in range(3)]
    assert (answers, len(site.headers)) == ([200, 200, 429], 2)
    wait_until(lambda: UsageRecord.objects.filter(status_code=429).exists())
    assert UsageRecord.objects.get(status_code=429).requested_model == "fake-1"


async def test_one_caller_leaves_the_others_room_to_fetch(settings, site):
    settings.IMAGE_NETWORKS, settings.IMAGE_TIMEOUT = ["127.0.0.0/8"], timedelta(minutes=5)
    fetcher = ImageFetcher()

    def fetching(name: str, whose: str) -> asyncio.Task[bytes]:
        return asyncio.ensure_future(fetcher.fetch(site.url(name), whose=whose, max_bytes=10_000))

    greedy = [fetching("slow", "greedy") for _ in range(20)]
    waiting = fetching("picture.png", "greedy")
    assert [await fetching("picture.png", "modest") for _ in range(5)] == [PNG] * 5
    assert not waiting.done()
    for task in greedy:
        task.cancel()
    assert await waiting == PNG
    await fetcher.close()


async def test_a_name_that_is_never_found_holds_up_no_other_work(settings, monkeypatch):
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
    is_asked, is_over = threading.Event(), threading.Event()

    def look_up(*asked: Any, **options: Any) -> Any:
        is_asked.set()
        is_over.wait()
        raise socket.gaierror

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    fetcher = ImageFetcher()
    fetching = asyncio.ensure_future(fetcher.fetch("http://never.example/", whose="", max_bytes=1))
    while not is_asked.is_set():  # noqa: ASYNC110
        await asyncio.sleep(0)
    try:
        async with asyncio.timeout(30):
            assert await asyncio.to_thread(lambda: "done") == "done"
    finally:
        is_over.set()
    with pytest.raises(NotFetched):
        await fetching
    await fetcher.close()


def test_more_images_than_allowed_are_refused_by_the_first_too_many(seeing, settings, gateway, key):
    settings.MAX_IMAGES = 1
    error = post(gateway, key, "/chat/completions", asking(inline(PNG), inline(PNG))).json()["error"]
    assert error["param"] == "messages[0].content[2].image_url.url"


def test_all_images_of_a_request_count_towards_their_size(seeing, settings, gateway, key):
    settings.MAX_IMAGE_BYTES = len(PNG) * 3 // 2
    assert post(gateway, key, "/chat/completions", asking(inline(PNG))).status_code == 200
    error = post(gateway, key, "/chat/completions", asking(inline(PNG), inline(PNG))).json()["error"]
    assert error["param"] == "messages[0].content[2].image_url.url"


def test_all_images_of_a_request_count_towards_their_pixels(seeing, gateway, key, fake):
    large = inline(bomb(6_000))
    assert post(gateway, key, "/chat/completions", asking(large, large)).status_code == 200
    refused = post(gateway, key, "/chat/completions", asking(large, inline(PNG), large, large))
    error = refused.json()["error"]
    assert (refused.status_code, error["param"]) == (400, "messages[0].content[4].image_url.url")
    assert "pixels together" in error["message"]
    assert len(fake.bodies) == 1


def test_only_users_show_images_and_details_are_known_ones(seeing, gateway, key):
    image = {"type": "image_url", "image_url": {"url": inline(PNG)}}
    body = {"model": "fake-1", "messages": [{"role": "assistant", "content": [image]}]}
    assert post(gateway, key, "/chat/completions", body).json()["error"]["param"] == "messages[0].content"
    body = asking(inline(PNG), detail="microscopic")
    error = post(gateway, key, "/chat/completions", body).json()["error"]
    assert error["param"] == "messages[0].content[1].image_url.detail"


def test_the_tokens_of_a_chat_with_images_can_be_counted(seeing, gateway, key, fake, site):
    body = asking(site.url("picture.png"))
    assert post(gateway, key, "/tokenize", body).status_code == 200
    assert shown(fake) == inline(PNG)


def test_responses_show_images_and_name_their_own_parameter(seeing, client, gateway, key, fake, site):
    def asked(url: str) -> dict[str, Any]:
        content = [{"type": "input_text", "text": "What?"}, {"type": "input_image", "image_url": url}]
        return {"model": "fake-1", "instructions": "Be brief.", "input": [{"role": "user", "content": content}]}

    client.responses.create(**asked(site.url("picture.png")))
    assert fake.bodies[0]["messages"][1]["content"][1]["image_url"]["url"] == inline(PNG)
    refused = post(gateway, key, "/responses", asked("data:image/png;base64,AAAA"))
    assert refused.json()["error"]["param"] == "input[0].content[1].image_url"


def test_a_linked_image_may_be_larger_than_a_body(seeing, settings, gateway, key, site):
    settings.MAX_BODY_BYTES = 10_000
    content = [{"type": "input_image", "image_url": site.url("large")}]
    body = {"model": "fake-1", "input": [{"role": "user", "content": content}]}
    assert post(gateway, key, "/responses", body).status_code == 200
    assert post(gateway, key, "/chat/completions", asking(site.url("large"))).status_code == 200


def test_anthropics_clients_show_images_and_hear_of_their_own_parameter(seeing, gateway, key, fake, site):
    def asked(source: dict[str, str]) -> dict[str, Any]:
        content = [{"type": "text", "text": "What?"}, {"type": "image", "source": source}]
        messages = [{"role": "user", "content": content}]
        return {"model": "fake-1", "max_tokens": 9, "system": "Be brief.", "messages": messages}

    base_url = gateway.url.removesuffix("/v1")
    with anthropic.Anthropic(base_url=base_url, api_key=key, max_retries=0, timeout=30) as client:
        data = base64.b64encode(PNG).decode()
        client.messages.create(**asked({"type": "base64", "media_type": "image/png", "data": data}))
        client.messages.create(**asked({"type": "url", "url": site.url("picture.png")}))
        with pytest.raises(anthropic.BadRequestError, match=r"messages\[0\].content\[1\].source.data"):
            client.messages.create(**asked({"type": "base64", "media_type": "image/png", "data": "AAAA"}))
    images = [body["messages"][1]["content"][1]["image_url"]["url"] for body in fake.bodies]
    assert images == [inline(PNG), inline(PNG)]


def test_an_image_is_reserved_as_about_a_thousand_tokens_however_long_its_file_is(seeing, gateway, user):
    limited = issue_key(user, "limited", max_tokens_per_minute=2000)[1]
    gateway.refresh()
    large = picture(size=(200, 200)) + bytes(200_000)
    body = asking(inline(large)) | {"max_tokens": 10}
    assert post(gateway, limited, "/chat/completions", body).status_code == 200
    refused = post(gateway, limited, "/chat/completions", asking(inline(PNG), inline(PNG)) | {"max_tokens": 10})
    assert refused.json()["error"]["code"] == "rate_limit_exceeded"


def test_no_byte_of_an_image_gets_into_journals_records_or_logs(seeing, settings, gateway, key, client, caplog):
    caplog.set_level(logging.DEBUG)
    data = inline(picture("#123456"))[-40:]
    client.chat.completions.create(**asking(inline(picture("#123456"))))
    the_record()
    post(gateway, key, "/chat/completions", asking(inline(picture("#123456"), "png")[:-4] + "!!!!"))
    runtime.current().journal.write_up()
    journals = "".join(path.read_text() for path in settings.JOURNAL_DIR.rglob("*") if path.is_file())
    records = str(list(UsageRecord.objects.values()))
    assert UsageRecord.objects.count() == 2
    assert all(data[:20] not in sink for sink in (journals, records, caplog.text))
