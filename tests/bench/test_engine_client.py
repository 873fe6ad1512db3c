"""What the bench of engines counts, and what it makes of it."""

import json

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from bench.engine.client import Load, Target, run_round

LOAD = Load(num_clients=2, num_requests=3, max_tokens=5)
ASKED = LOAD.num_clients * LOAD.num_requests


def delta(text: str, finish_reason: str | None = None) -> dict:
    return {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": finish_reason}]}


@pytest.fixture
async def ask():
    """A round against a server that answers each request with these chunks."""
    servers = []

    async def ask(*chunks: dict, status: int = 200):
        async def answer(request: web.Request) -> web.Response:
            lines = [f"data: {json.dumps(chunk)}\n\n" for chunk in chunks]
            return web.Response(text="".join([*lines, "data: [DONE]\n\n"]), status=status)

        app = web.Application()
        app.router.add_post("/v1/chat/completions", answer)
        server = TestServer(app)
        servers.append(server)
        await server.start_server()
        return await run_round(Target(name="it", url=str(server.make_url("/v1")), model="m"), LOAD, "seed")

    yield ask
    for server in servers:
        await server.close()


async def test_tokens_are_those_that_the_server_counts(ask):
    seen = await ask(delta("ab"), delta("c"), {"choices": [], "usage": {"completion_tokens": 4}})
    assert seen.num_tokens == 4 * ASKED


async def test_an_answer_of_full_length_has_all_its_tokens_where_the_server_counts_none(ask):
    seen = await ask(delta("a b"), delta(" c d e", finish_reason="length"))
    assert seen.num_tokens == LOAD.max_tokens * ASKED


async def test_each_answer_has_one_first_token_and_times_between_the_others(ask):
    seen = await ask(delta(""), delta("a"), delta("b"), delta("c"), delta("", finish_reason="stop"))
    assert (len(seen.first_token_s), len(seen.between_tokens_s)) == (ASKED, 2 * ASKED)


@pytest.mark.parametrize(
    ("chunks", "status"),
    [((), 503), ((), 200), (({"error": {"message": "no room"}},), 200)],
    ids=["refused", "empty", "failed while streaming"],
)
async def test_a_request_without_an_answer_is_an_error_and_no_token(ask, chunks, status):
    seen = await ask(*chunks, status=status)
    assert (seen.num_errors, seen.num_tokens) == (ASKED, 0)


async def test_a_server_that_is_gone_is_an_error():
    seen = await run_round(Target(name="it", url="http://127.0.0.1:9/v1", model="m"), LOAD, "seed")
    assert seen.num_errors == ASKED
