"""A client that goes, or asks for a stop, ends the work; and what was used is told exactly."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import openai
import pytest

from tests.workers.engines.conftest import serve
from workers.engines.base import EngineSpec
from workers.engines.echo import EchoEngine

HELLO = [{"role": "user", "content": "Hello there"}]
_DEADLINE_S = 30


@pytest.fixture
async def engine() -> EchoEngine:
    return EchoEngine(EngineSpec(engine="echo", source="delay=0.01,repeat=4000", max_concurrency=1))


@pytest.fixture
async def client(engine: EchoEngine) -> AsyncIterator[openai.AsyncOpenAI]:
    async with serve(engine, EngineSpec(engine="echo", source="")) as client:
        yield client


async def stats(client: openai.AsyncOpenAI) -> dict[str, int]:
    async with httpx2.AsyncClient() as plain:
        return (await plain.get(str(client.base_url).replace("/v1/", "/stats"))).json()  # type: ignore[no-any-return]


async def cancel(client: openai.AsyncOpenAI, request_id: str) -> httpx2.Response:
    async with httpx2.AsyncClient(base_url=client.base_url) as plain:
        return await plain.post(f"requests/{request_id}/cancel")


async def until(client: openai.AsyncOpenAI, *, num_running: int, num_waiting: int = 0) -> None:
    """Wait for this load; the engine is in the same process, but its HTTP API is all that is looked at."""
    async with asyncio.timeout(_DEADLINE_S):
        while not {"num_running": num_running, "num_waiting": num_waiting}.items() <= (await stats(client)).items():  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def collect_into(texts: list[str], chunks: AsyncIterator[Any]) -> None:
    async for chunk in chunks:
        texts.append(chunk.choices[0].delta.content or "")


def ask(client: openai.AsyncOpenAI, **options: Any) -> "asyncio.Task[Any]":
    return asyncio.create_task(client.chat.completions.create(model="m", messages=HELLO, **options))  # type: ignore[arg-type]


async def test_closing_a_stream_ends_the_generation(client: openai.AsyncOpenAI) -> None:
    stream = await ask(client, stream=True)
    await anext(aiter(stream))

    await stream.close()

    await until(client, num_running=0)


async def test_leaving_while_waiting_for_a_plain_answer_ends_the_generation(client: openai.AsyncOpenAI) -> None:
    asking = ask(client)
    await until(client, num_running=1)

    asking.cancel()

    await until(client, num_running=0)


async def test_leaving_the_line_frees_the_place(client: openai.AsyncOpenAI) -> None:
    running = await ask(client, stream=True)
    waiting = ask(client, stream=True)
    await until(client, num_running=1, num_waiting=1)

    waiting.cancel()

    await until(client, num_running=1, num_waiting=0)
    await running.close()


async def test_a_cancel_tells_what_was_used_and_ends_the_stream_with_an_error(client: openai.AsyncOpenAI) -> None:
    stream = await ask(client, stream=True, extra_headers={"X-Request-ID": "req-1"})
    chunks = aiter(stream)
    texts = []
    for _ in range(4):
        texts.append((await anext(chunks)).choices[0].delta.content)

    usage = (await cancel(client, "req-1")).json()["usage"]

    with pytest.raises(openai.APIError, match="cancelled"):
        await collect_into(texts, chunks)
    # The echo gives one token a delta.
    shown = len([text for text in texts if text])
    assert (usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"]) == (2, shown, 2 + shown)


async def test_a_plain_request_can_be_cancelled_too(client: openai.AsyncOpenAI) -> None:
    asking = ask(client, extra_headers={"X-Request-ID": "req-2"})
    await until(client, num_running=1)

    assert (await cancel(client, "req-2")).status_code == 200

    with pytest.raises(openai.APIStatusError, match="cancelled"):
        await asking


async def test_who_hung_up_can_still_ask_what_was_used(client: openai.AsyncOpenAI) -> None:
    stream = await ask(client, stream=True, extra_headers={"X-Request-ID": "req-3"})
    await anext(aiter(stream))
    await stream.close()
    await until(client, num_running=0)

    first = (await cancel(client, "req-3")).json()["usage"]
    second = (await cancel(client, "req-3")).json()["usage"]

    assert first == second
    assert first["prompt_tokens"] == 2


async def test_a_reader_that_does_not_read_is_waited_for_and_loses_nothing() -> None:
    spec = EngineSpec(engine="echo", source="repeat=4000,context=100000")
    async with serve(EchoEngine(spec), spec) as client:
        stream = await client.chat.completions.create(
            model="m", messages=[{"role": "user", "content": "x" * 200}], stream=True
        )
        await asyncio.sleep(0.3)

        length = sum([len(chunk.choices[0].delta.content or "") async for chunk in stream])

    assert length == 4000 * 200
