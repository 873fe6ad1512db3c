"""What the gateway costs: its CPU time a request, as a ratio to a bare aiohttp proxy measured in the same run.

    python -m bench.gateway [--requests 4000] [--connections 64] [--rounds 3]

Both stand in front of one instant stand-in for a worker and are asked in turn. Ratios travel from machine to machine;
milliseconds do not. The gateway checks a key, validates the request, balances, relays and writes a usage record.
"""

import argparse
import asyncio
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import aiohttp
import psutil
from aiohttp import web

ROOT = Path(__file__).resolve().parent.parent
MODEL, NUM_TOKENS = "stand-in", 64
BODY = {"model": MODEL, "messages": [{"role": "user", "content": "Tell me something about ships, please."}]}


def chunk(**fields: object) -> str:
    envelope = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": MODEL}
    return f"data: {json.dumps({**envelope, **fields})}\n\n"


USAGE = {"prompt_tokens": 12, "completion_tokens": NUM_TOKENS, "total_tokens": 12 + NUM_TOKENS}
STREAM = "".join(
    [
        chunk(choices=[{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}]),
        *[chunk(choices=[{"index": 0, "delta": {"content": " ship"}, "finish_reason": None}])] * NUM_TOKENS,
        chunk(choices=[{"index": 0, "delta": {}, "finish_reason": "stop"}]),
        chunk(choices=[], usage=USAGE),
        "data: [DONE]\n\n",
    ]
).encode()
PLAIN = json.dumps(
    {
        "id": "c",
        "object": "chat.completion",
        "created": 1,
        "model": MODEL,
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "ship " * 50}, "finish_reason": "stop"}],
        "usage": USAGE,
    }
).encode()


async def stand_in(request: web.Request) -> web.StreamResponse:
    """Answers at once; a stream comes one event at a time."""
    if b'"stream":true' not in await request.read():
        return web.Response(body=PLAIN, content_type="application/json")
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    for event in STREAM.split(b"\n\n")[:-1]:
        await response.write(event + b"\n\n")
    return response


def bare_proxy(upstream: str) -> web.Application:
    """The least that a proxy can do: pass a body on, and the answer back as it comes."""

    async def pass_on(request: web.Request) -> web.StreamResponse:
        async with request.app["session"].post(upstream + request.path, data=await request.read()) as answer:
            response = web.StreamResponse(status=answer.status, headers={"Content-Type": answer.content_type})
            await response.prepare(request)
            async for piece in answer.content.iter_any():
                await response.write(piece)
            return response

    async def session(app: web.Application):
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector, auto_decompress=False) as app["session"]:
            yield

    app = web.Application()
    app.router.add_post("/{path:.*}", pass_on)
    app.cleanup_ctx.append(session)
    return app


def serve(role: str, port: int, upstream: str) -> None:
    """What the processes that this program starts do."""
    app = web.Application()
    app.router.add_post("/{path:.*}", stand_in)
    web.run_app(bare_proxy(upstream) if role == "proxy" else app, host="127.0.0.1", port=port, print=None)


@contextmanager
def process(command: list[str], port: int, **environment: str) -> Iterator[psutil.Process]:
    running = subprocess.Popen([sys.executable, *command], cwd=ROOT, env=os.environ | environment)
    try:
        while not is_open(port):
            if running.poll() is not None:
                raise SystemExit(f"{' '.join(command)} ended with {running.returncode}; its output is above")
            time.sleep(0.1)
        yield psutil.Process(running.pid)
    finally:
        running.terminate()
        running.wait()


def is_open(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


def prepare_database(upstream: str) -> str:
    """An installation with one ready replica. Gives an API key. Django's settings come from the environment."""
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=0)
    from django.contrib.auth import get_user_model
    from django.utils.timezone import now

    from fleet.models import Deployment, LanguageModel, Replica, Worker
    from gateway.issuing import issue_key

    worker = Worker.objects.create(
        name="stand-in", address=upstream, pinned_ip="127.0.0.1", gateway_secret="bench", last_heartbeat_at=now()
    )
    deployment = Deployment.objects.create(model=LanguageModel.objects.create(name=MODEL), engine="echo")
    Replica.objects.create(
        deployment=deployment,
        worker=worker,
        phase="ready",
        capabilities=["chat"],
        observed_at=now(),
        slot=0,
        spec=deployment.spec,
    )
    return issue_key(get_user_model().objects.create_user("bench"), "bench")[1]


async def load(url: str, key: str, *, stream: bool, num_requests: int, num_connections: int) -> None:
    """Closed loop: each connection asks again as soon as its answer is whole. Raises if one is not."""
    body = json.dumps(BODY | ({"stream": True} if stream else {}), separators=(",", ":")).encode()
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    turns = iter(range(num_requests))

    async def ask(session: aiohttp.ClientSession) -> None:
        for _ in turns:
            async with session.post(f"{url}/v1/chat/completions", data=body) as answer:
                text = await answer.read()
                if answer.status != 200 or (stream and not text.endswith(b"[DONE]\n\n")):
                    raise SystemExit(f"An answer was not whole: {answer.status} {text[:500]!r}")

    async with aiohttp.ClientSession(headers=headers, connector=aiohttp.TCPConnector(limit=0)) as session:
        await asyncio.gather(*(ask(session) for _ in range(num_connections)))


def cpu_ms(target: psutil.Process, url: str, key: str, options: argparse.Namespace, *, stream: bool) -> float:
    """CPU of that process for one request, user and system."""
    num = options.requests // (8 if stream else 1)
    before = sum(target.cpu_times()[:2])
    asyncio.run(load(url, key, stream=stream, num_requests=num, num_connections=options.connections))
    return (sum(target.cpu_times()[:2]) - before) * 1000 / num


def report(kind: str, gateway: list[float], proxy: list[float]) -> None:
    ratio = statistics.median(ours / theirs for ours, theirs in zip(gateway, proxy, strict=True))
    ours, theirs = statistics.median(gateway), statistics.median(proxy)
    print(f"{kind:8} gateway {ours:6.3f} ms   bare aiohttp proxy {theirs:6.3f} ms   ratio {ratio:5.2f}")


def measure(options: argparse.Namespace, stack: ExitStack) -> None:
    folder = stack.enter_context(tempfile.TemporaryDirectory())
    os.environ |= {
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "VAR_DIR": folder,
        "DATABASE_URL": f"sqlite:///{folder}/bench.sqlite3",
        "HEARTBEAT_INTERVAL_S": "3600",
        "LOG_LEVEL": "WARNING",
    }
    worker_port, proxy_port, gateway_port = free_port(), free_port(), free_port()
    upstream = f"http://127.0.0.1:{worker_port}"
    key = prepare_database(upstream)
    this = ["-m", "bench.gateway", "--serve"]
    stack.enter_context(process([*this, "worker", str(worker_port), upstream], worker_port))
    proxy = stack.enter_context(process([*this, "proxy", str(proxy_port), upstream], proxy_port))
    server = ["-m", "uvicorn", "config.asgi:application", "--port", str(gateway_port), "--no-access-log"]
    gateway = stack.enter_context(process([*server, "--log-level", "warning"], gateway_port))
    targets = [(gateway, f"http://127.0.0.1:{gateway_port}"), (proxy, f"http://127.0.0.1:{proxy_port}")]
    for kind, stream in (("plain", False), (f"{NUM_TOKENS} tokens", True)):
        rounds = [
            [cpu_ms(target, url, key, options, stream=stream) for target, url in targets]
            # The first round warms up and does not count.
            for _ in range(options.rounds + 1)
        ][1:]
        report(kind, *map(list, zip(*rounds, strict=True)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=4000, help="for each round of plain requests; streams: 1/8")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--serve", nargs=3, metavar=("ROLE", "PORT", "UPSTREAM"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        role, port, upstream = options.serve
        serve(role, int(port), upstream)
        return
    with ExitStack() as stack:
        measure(options, stack)


if __name__ == "__main__":
    main()
