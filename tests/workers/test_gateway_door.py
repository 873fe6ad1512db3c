"""The daemon's door: the gateway's requests go to the engine that is named, and answers come back as they are."""

import asyncio
import io
import json

import aiohttp
import pytest

from protocol.control import ReplicaPhase
from tests.workers.conftest import SECRET, wait_for
from workers.relay import MAX_BODY_BYTES

LONG = "one two three four five six seven eight nine ten"


async def test_a_chat_is_answered_by_the_engine(start_daemon):
    async with start_daemon() as daemon, daemon.chat("hello there") as answer:
        body = await answer.json()
    assert body["choices"][0]["message"]["content"] == "hello there"


async def test_a_stream_comes_as_it_is_made(start_daemon):
    # Whoever waited for its end would wait for half an hour.
    async with start_daemon("delay=0.2,repeat=1000") as daemon, daemon.chat(LONG, stream=True) as answer:
        begun = await answer.content.readuntil(b"three")
    assert b"[DONE]" not in begun


async def test_an_answer_carries_the_load_of_its_replica(start_daemon):
    async with start_daemon() as daemon, daemon.chat("hello") as answer:
        assert (answer.headers["X-Flotilla-Running"], answer.headers["X-Flotilla-Waiting"]) == ("1", "0")


async def test_an_error_of_the_engine_is_passed_on_as_it_is(start_daemon):
    async with start_daemon() as daemon, daemon.ask(data=b"{") as answer:
        assert answer.status == 400
        assert (await answer.json())["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize("shown", ["", "Bearer wrong", SECRET, "Bearer ", f"Basic {SECRET}"])
async def test_nobody_but_the_gateway_is_answered(start_daemon, shown):
    async with start_daemon() as daemon:
        for path in ("/v1/chat/completions", "/nowhere", "/v1/requests/x/cancel"):
            async with daemon.ask(path, json={}, headers={"Authorization": shown}) as answer:
                assert answer.status == 401


async def test_health_needs_no_secret(start_daemon):
    async with start_daemon() as daemon, daemon.http.get(daemon.url + "/health") as answer:
        assert await answer.json() == {"status": "ok"}


async def test_health_can_be_asked_of_a_replica(start_daemon):
    async def health(replica_id: str) -> int:
        async with daemon.http.get(daemon.url + "/health", headers={"X-Flotilla-Replica": replica_id}) as answer:
            return answer.status

    async with start_daemon() as daemon:
        assert (await health("r1"), await health("r2")) == (200, 404)
        await daemon.engine.drain(0)
        assert await health("r1") == 503


async def test_an_unknown_replica_is_not_found(start_daemon):
    async with start_daemon() as daemon, daemon.ask(json={}, headers={"X-Flotilla-Replica": "r2"}) as answer:
        assert (answer.status, (await answer.json())["error"]["code"]) == (404, "replica_not_found")


async def test_a_draining_replica_takes_no_new_request(start_daemon):
    async with start_daemon() as daemon:
        await daemon.engine.drain(0)
        async with daemon.chat("hello") as answer:
            assert (answer.status, (await answer.json())["error"]["code"]) == (503, "replica_not_ready")


async def test_draining_waits_for_the_requests_that_run(start_daemon):
    async with start_daemon("delay=0.05") as daemon, daemon.chat(LONG, stream=True) as answer:
        begun = await answer.content.readany()
        draining = asyncio.create_task(daemon.engine.drain(60))
        whole = begun + await answer.content.read()
        await draining
    assert whole.endswith(b"data: [DONE]\n\n")
    assert b"ten" in whole


async def test_a_request_that_comes_just_after_the_drain_began_is_answered(start_daemon):
    async with start_daemon() as daemon:
        draining = asyncio.create_task(daemon.engine.drain(60))
        await wait_for(lambda: daemon.engine.phase is ReplicaPhase.DRAINING)
        async with daemon.chat("hello") as answer:
            assert answer.status == 200
        await draining


async def test_answers_are_counted_and_so_are_those_that_the_engine_spoilt(start_daemon):
    async with start_daemon("fail_from=4") as daemon:
        for is_stream in (False, True, False, True):
            async with daemon.chat("hello", stream=is_stream) as answer:
                await answer.read()
        async with daemon.ask(data=b"{") as answer:
            assert answer.status == 400
        await wait_for(lambda: daemon.engine.status().num_answers == 5)
        assert daemon.engine.status().num_errors == 2


async def test_an_error_in_the_middle_of_a_stream_is_counted(start_daemon):
    async with start_daemon("fail_after=5") as daemon:
        async with daemon.chat(LONG, stream=True) as answer:
            await answer.read()
        await wait_for(lambda: daemon.engine.status().num_answers == 1)
        assert daemon.engine.status().num_errors == 1


async def test_a_long_prompt_reaches_the_engine(start_daemon):
    body = json.dumps({"model": "echo", "messages": [{"role": "user", "content": "x" * 2_000_000}]}).encode()
    async with start_daemon() as daemon, daemon.ask(data=io.BytesIO(body)) as answer:
        assert len(await answer.read()) > 2_000_000


async def test_a_body_that_is_too_long_is_refused(start_daemon):
    async with start_daemon() as daemon, daemon.ask(data=io.BytesIO(b" " * (MAX_BODY_BYTES + 1))) as answer:
        assert answer.status == 413
        assert "error" in await answer.json()


async def test_a_hang_up_stops_a_stream_in_the_engine(start_daemon):
    async with start_daemon("delay=0.5,repeat=1000") as daemon:
        async with daemon.chat(LONG, stream=True) as answer:
            await answer.content.readany()
            answer.close()
        await wait_for(lambda: not daemon.engine.occupancy.num_in_flight)
        assert await _is_idle(daemon)


async def test_a_hang_up_stops_a_request_that_waits_for_a_plain_answer(start_daemon):
    async with start_daemon("delay=0.5,repeat=1000") as daemon:
        asking = asyncio.create_task(_read(daemon.chat(LONG)))
        await wait_for(lambda: daemon.engine.occupancy.num_in_flight)
        asking.cancel()
        await wait_for(lambda: not daemon.engine.occupancy.num_in_flight)
        assert await _is_idle(daemon)


async def test_cancelling_tells_what_was_used(start_daemon):
    async with (
        start_daemon("delay=0.2,repeat=1000") as daemon,
        daemon.chat(LONG, stream=True, request_id="req-1") as answer,
    ):
        await answer.content.readany()
        async with daemon.ask("/v1/requests/req-1/cancel") as cancelled:
            usage = (await cancelled.json())["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]


async def test_an_engine_that_dies_in_a_stream_ends_it_with_an_error_event(start_daemon):
    async with start_daemon("delay=0.2,repeat=1000") as daemon, daemon.chat(LONG, stream=True) as answer:
        await answer.content.readany()
        daemon.engine.kill()
        *_, error, done = (await answer.content.read()).strip().split(b"\n\n")
    assert json.loads(error.removeprefix(b"data: "))["error"]["code"] == "engine_died"
    assert done == b"data: [DONE]"


async def test_an_engine_that_dies_before_it_answers_is_a_bad_gateway(start_daemon):
    async with start_daemon("delay=0.5,repeat=1000") as daemon:
        asking = asyncio.create_task(_read(daemon.chat(LONG)))
        await wait_for(lambda: daemon.engine.occupancy.num_in_flight)
        daemon.engine.kill()
        status, body = await asking
    assert (status, json.loads(body)["error"]["code"]) == (502, "engine_died")


async def test_many_streams_at_once_are_all_whole(start_daemon):
    async with start_daemon() as daemon:
        answers = await asyncio.gather(*(_read(daemon.chat(f"number {n}", stream=True)) for n in range(8)))
    assert all(f"{n}".encode() in body and body.endswith(b"[DONE]\n\n") for n, (_, body) in enumerate(answers))


async def _read(asking) -> tuple[int, bytes]:
    async with asking as answer:
        return answer.status, await answer.read()


async def _is_idle(daemon) -> bool:
    """Whether the engine itself says so, soon."""
    for _ in range(100):
        async with daemon.engine.connection.session.get("/stats", timeout=aiohttp.ClientTimeout(total=10)) as answer:
            if (await answer.json())["num_running"] == 0:
                return True
        await asyncio.sleep(0.05)
    return False
