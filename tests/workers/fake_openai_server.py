"""Somebody else's server, as strict as vLLM: `python fake_openai_server.py --port N --model NAME [--delay S]`.

It wants its key, its model's name and no request's id; it streams a word every `--delay` seconds, tells its load as
vLLM does, and has a process of its own. What is asked of it, and whether the asker left, it writes to `--journal`.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

from aiohttp import web

arguments = argparse.ArgumentParser()
arguments.add_argument("--port", type=int, required=True)
arguments.add_argument("--model", required=True)
arguments.add_argument("--delay", type=float, default=0.0)
arguments.add_argument("--journal", type=Path, default=Path(os.devnull))
arguments.add_argument("--dies", action="store_true")
given = arguments.parse_args()
num_running = 0


def note(**what: object) -> None:
    with given.journal.open("a") as journal:
        journal.write(json.dumps(what) + "\n")


@web.middleware
async def guard(request: web.Request, handler):
    if (
        request.path.startswith("/v1")
        and request.headers.get("Authorization") != f"Bearer {os.environ['FLOTILLA_API_KEY']}"
    ):
        return web.json_response({"error": {"message": "wrong key"}}, status=401)
    if "X-Request-ID" in request.headers:
        # As llama-cpp-python answers to an id that is no UUID.
        return web.Response(status=400)
    return await handler(request)


async def health(request: web.Request) -> web.Response:
    return web.Response()


async def models(request: web.Request) -> web.Response:
    return web.json_response({"object": "list", "data": [{"id": given.model, "max_model_len": 4096}]})


async def metrics(request: web.Request) -> web.Response:
    labels = f'{{engine="0",model_name="{given.model}"}}'
    lines = [
        "# HELP vllm:num_requests_running Number of requests in model execution batches.",
        "# TYPE vllm:num_requests_running gauge",
        f"vllm:num_requests_running{labels} {float(num_running)}",
        f"vllm:num_requests_waiting{labels} 3.0",
    ]
    return web.Response(text="\n".join(lines) + "\n")


async def chat(request: web.Request) -> web.StreamResponse:
    global num_running
    body = await request.json()
    note(model=body["model"])
    if body["model"] != given.model:
        return web.json_response({"error": {"message": "no such model", "type": "NotFoundError"}}, status=404)
    words = body["messages"][-1]["content"].split()
    num_running += 1
    try:
        return await (stream(request, words) if body.get("stream") else whole(words))
    except asyncio.CancelledError:
        note(left=True)
        raise
    finally:
        num_running -= 1


async def transcribe(request: web.Request) -> web.Response:
    form = await request.post()
    if form["model"] != given.model:
        return web.json_response({"error": {"message": "no such model", "type": "NotFoundError"}}, status=404)
    return web.json_response({"text": form["file"].file.read().decode()})


async def whole(words: list[str]) -> web.Response:
    await asyncio.sleep(given.delay * len(words))
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": " ".join(words)}}
    return web.json_response({"id": "1", "model": given.model, "choices": [choice], "usage": usage(words)})


async def stream(request: web.Request, words: list[str]) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    for word in words:
        choice = {"index": 0, "finish_reason": None, "delta": {"content": f"{word} "}}
        await event(response, {"id": "1", "object": "chat.completion.chunk", "choices": [choice]})
        await asyncio.sleep(given.delay)
    end = {"index": 0, "finish_reason": "stop", "delta": {}}
    await event(response, {"id": "1", "object": "chat.completion.chunk", "choices": [end]})
    await event(response, {"id": "1", "object": "chat.completion.chunk", "choices": [], "usage": usage(words)})
    await response.write(b"data: [DONE]\n\n")
    return response


async def event(response: web.StreamResponse, body: dict) -> None:
    await response.write(b"data: " + json.dumps(body).encode() + b"\n\n")


def usage(words: list[str]) -> dict[str, int]:
    return {"prompt_tokens": len(words), "completion_tokens": len(words), "total_tokens": 2 * len(words)}


if given.dies:
    sys.exit("The weights are of another shape.")
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print("Loading safetensors checkpoint shards:  50% Completed | 1/2", end="\r", flush=True)
app = web.Application(middlewares=[guard])
app.add_routes([
    web.get("/health", health), web.get("/v1/models", models), web.get("/metrics", metrics),
    web.post("/v1/chat/completions", chat), web.post("/v1/audio/transcriptions", transcribe),
])  # fmt: skip
web.run_app(app, host="127.0.0.1", port=given.port, handler_cancellation=True, print=None)
