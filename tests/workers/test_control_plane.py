"""What a worker makes of the server's answers."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from protocol import codec
from protocol.control import HEARTBEAT_PATH, DesiredState, Hardware, Heartbeat
from tests.certificates import make_certificate
from workers import tls
from workers.control_plane import ControlPlane, jittered, pause_after
from workers.errors import CredentialRefused, RequestRefused, ServerUnreachable, WorkerRevoked

BEAT = Heartbeat(
    boot_id="b",
    sequence=1,
    hardware=Hardware(hostname="h", num_cpus=1, devices=[], disk_free_bytes=0),
    software_version="0",
    address="http://127.0.0.1:1",
)


@asynccontextmanager
async def server(answer: Callable[[web.Request], web.Response]) -> AsyncIterator[tuple[ControlPlane, list[str]]]:
    """A server that always answers so, and the paths that it was asked for."""
    asked: list[str] = []

    async def handle(request: web.Request) -> web.Response:
        asked.append(request.path)
        return answer(request)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        async with aiohttp.ClientSession() as session:
            yield ControlPlane(f"http://127.0.0.1:{runner.addresses[0][1]}", session), asked
    finally:
        await runner.cleanup()


def refusal(status: int, code: str) -> Callable[[web.Request], web.Response]:
    return lambda _: web.json_response({"error": {"message": "No, and this is why.", "code": code}}, status=status)


def plain(status: int, body: bytes = b"<html>", **headers: str) -> Callable[[web.Request], web.Response]:
    return lambda _: web.Response(status=status, body=body, headers=headers)


async def test_a_heartbeat_brings_the_desired_state():
    wanted = DesiredState(replicas=[], heartbeat_interval_s=2.0)
    async with server(plain(200, codec.encode(wanted))) as (control_plane, asked):
        assert await control_plane.beat("credential", BEAT) == wanted
    assert asked == [HEARTBEAT_PATH]


async def test_a_redirect_is_not_followed_with_the_credential():
    async with server(plain(302, Location="/elsewhere")) as (control_plane, asked):
        with pytest.raises(RequestRefused, match="/elsewhere"):
            await control_plane.beat("credential", BEAT)
    assert asked == [HEARTBEAT_PATH]


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (refusal(401, "invalid_credential"), CredentialRefused),
        (refusal(401, "worker_revoked"), WorkerRevoked),
        (refusal(400, "address_refused"), RequestRefused),
        (plain(404), RequestRefused),
        (plain(200), RequestRefused),
        (plain(500), ServerUnreachable),
        (plain(503), ServerUnreachable),
        (plain(429), ServerUnreachable),
    ],
)
async def test_each_answer_means_what_its_status_says(answer: Any, error: type[Exception]):
    async with server(answer) as (control_plane, _):
        with pytest.raises(error) as raised:
            await control_plane.beat("credential", BEAT)
    assert type(raised.value) is error


@asynccontextmanager
async def tls_server(folder: Path, ca_file: str) -> AsyncIterator[ControlPlane]:
    """A server with a certificate of its own, for a worker that trusts `ca_file`."""
    certificate, key = make_certificate(folder, "localhost")

    async def handle(_: web.Request) -> web.Response:
        return web.Response(body=codec.encode(DesiredState(replicas=[], heartbeat_interval_s=2.0)))

    app = web.Application()
    app.router.add_post(HEARTBEAT_PATH, handle)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls.showing(str(certificate), str(key))).start()
    connector = aiohttp.TCPConnector(ssl=tls.trusting(ca_file.format(folder=folder)))
    try:
        async with aiohttp.ClientSession(connector=connector) as session:
            yield ControlPlane(f"https://localhost:{runner.addresses[0][1]}", session)
    finally:
        await runner.cleanup()


async def test_a_server_whose_ca_was_named_is_trusted(tmp_path):
    async with tls_server(tmp_path, "{folder}/localhost.pem") as control_plane:
        assert (await control_plane.beat("credential", BEAT)).replicas == []


async def test_a_server_that_nobody_vouches_for_hears_no_credential(tmp_path):
    async with tls_server(tmp_path, "") as control_plane:
        with pytest.raises(ServerUnreachable, match="--ca-file"):
            await control_plane.beat("credential", BEAT)


async def test_a_server_that_is_away_is_to_be_tried_again():
    async with aiohttp.ClientSession() as session:
        with pytest.raises(ServerUnreachable):
            await ControlPlane("http://127.0.0.1:9", session).beat("credential", BEAT)


def test_tries_get_rarer_up_to_half_a_minute():
    pauses = [pause_after(n) for n in (1, 2, 3, 20, 1000)]
    assert pauses == sorted(pauses[:3]) + pauses[3:]
    assert max(pauses) <= 33


def test_heartbeats_of_a_fleet_do_not_fall_into_step():
    assert all(4.5 <= jittered(5) <= 5.5 for _ in range(100))
    assert len({jittered(5) for _ in range(10)}) > 1
