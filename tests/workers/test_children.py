"""Somebody else's server runs as an engine: started from a command line, watched, asked, and never left behind."""

import asyncio
import base64
import json
import sys
from pathlib import Path

import psutil
import pytest

from protocol.control import ReplicaPhase
from tests.processes import command_of
from tests.workers.conftest import PATIENCE_S, wait_for
from workers.programs import Programs

SERVER = Path(__file__).parent / "fake_openai_server.py"
ALLOWED = Programs(may_run_code=True)
LONG = "one two three four five six seven eight nine ten " * 10


def command(*flags: str, **options: object) -> dict[str, object]:
    line = f"{sys.executable} {SERVER} --port {{port}} --model {{model}}-as-served {' '.join(flags)}"
    return {
        "model": "parrot",
        "engine": "command",
        "engine_options": {"command": line, "capabilities": ["chat"]} | options,
        "programs": ALLOWED,
    }


def journal_of(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def processes_below() -> list[psutil.Process]:
    return psutil.Process().children(recursive=True)


def server_process() -> psutil.Process:
    return next(found for found in processes_below() if str(SERVER) in command_of(found))


async def until(engine, phase: ReplicaPhase) -> None:
    await wait_for(lambda: engine.phase is phase)


async def test_a_child_s_answer_is_passed_on_whatever_name_the_caller_used_for_the_model(start_daemon):
    async with start_daemon(**command()) as daemon, daemon.chat("hello there") as answer:
        body = await answer.json()
    assert body["choices"][0]["message"]["content"] == "hello there"


async def test_a_child_gets_a_recording_in_the_form_that_it_wants(start_daemon):
    file = {"name": "a.wav", "type": "audio/wav", "data": base64.b64encode(b"hello there").decode()}
    asked = {"model": "echo", "file": file, "language": "en"}
    async with start_daemon(**command()) as daemon, daemon.ask("/v1/audio/transcriptions", json=asked) as answer:
        assert (answer.status, await answer.json()) == (200, {"text": "hello there"})


async def test_a_child_tells_what_it_can_and_how_long_a_prompt_may_be(start_daemon):
    async with start_daemon(**command()) as daemon:
        info = daemon.engine.status().info
    assert (info.context_length, info.capabilities) == (4096, ["chat"])


async def test_a_child_s_stream_comes_as_it_is_made(start_daemon):
    async with start_daemon(**command("--delay 0.05")) as daemon, daemon.chat(LONG, stream=True) as answer:
        chunks = [chunk async for chunk in answer.content.iter_any()]
    assert len(chunks) > 3
    assert chunks[-1].endswith(b"data: [DONE]\n\n")


async def test_nobody_else_on_the_machine_can_ask_a_child(start_daemon):
    async with start_daemon(**command()) as daemon:
        url = daemon.engine.connection.child.url
        async with daemon.http.post(f"{url}/v1/chat/completions", json={}) as answer:
            assert answer.status == 401


async def test_a_child_s_own_count_of_its_load_is_told(start_daemon):
    async with start_daemon(**command("--delay 0.2")) as daemon, daemon.chat(LONG, stream=True) as answer:
        await answer.content.readany()
        # A child that is slow to tell keeps its last figures.
        async with asyncio.timeout(PATIENCE_S):
            while not daemon.engine.status().num_running:
                await daemon.engine.refresh_stats()
        status = daemon.engine.status()
    assert (status.num_running, status.num_waiting) == (1, 3)


@pytest.mark.parametrize("is_stream", [True, False])
async def test_a_hang_up_reaches_a_child(start_daemon, tmp_path, is_stream):
    journal = tmp_path / "journal"
    async with start_daemon(**command("--delay 0.2", f"--journal {journal}")) as daemon:
        asking = asyncio.create_task(_read(daemon.chat(LONG, stream=is_stream)))
        await wait_for(lambda: len(journal_of(journal)) == 2)  # the canary came first
        asking.cancel()
        await wait_for(lambda: {"left": True} in journal_of(journal))


@pytest.mark.parametrize("is_stream", [True, False])
async def test_cancelling_stops_a_child_at_once_and_says_that_nobody_knows_the_usage(start_daemon, tmp_path, is_stream):
    journal = tmp_path / "journal"
    async with start_daemon(**command("--delay 0.2", f"--journal {journal}")) as daemon:
        asking = asyncio.create_task(_read(daemon.chat(LONG, stream=is_stream, request_id="req-1")))
        await wait_for(lambda: len(journal_of(journal)) == 2)
        async with daemon.ask("/v1/requests/req-1/cancel") as cancelled:
            assert cancelled.status == 404
        await wait_for(lambda: {"left": True} in journal_of(journal))
        await asyncio.wait({asking})
        assert daemon.engine.status().num_errors == 0
        assert daemon.engine.occupancy.num_in_flight == 0


async def test_a_child_that_is_killed_is_started_again(start_engine):
    async with start_engine(**command()) as engine:
        await until(engine, ReplicaPhase.READY)
        server_process().kill()
        await wait_for(lambda: "was killed by SIGKILL" in engine.status().error)
        await until(engine, ReplicaPhase.READY)
        assert engine.status().num_restarts == 1


async def test_a_child_whose_keeper_is_killed_does_not_outlive_it(start_engine):
    async with start_engine(**command()) as engine:
        await until(engine, ReplicaPhase.READY)
        orphans = [server_process(), *server_process().children()]
        server_process().parent().kill()
        await until(engine, ReplicaPhase.FAILED)
        await wait_for(lambda: not any(map(is_alive, orphans)))


async def test_a_child_that_hangs_gets_no_requests_until_it_answers(quick_probes, start_engine):
    async with start_engine(**command()) as engine:
        await until(engine, ReplicaPhase.READY)
        server_process().suspend()
        await until(engine, ReplicaPhase.FAILED)
        assert "does not answer" in engine.status().error
        server_process().resume()
        await until(engine, ReplicaPhase.READY)


async def test_nothing_of_a_child_is_left_behind(start_engine):
    async with start_engine(**command()) as engine:
        await until(engine, ReplicaPhase.READY)
        processes = processes_below()
    assert len(processes) == 3
    assert not any(map(is_alive, processes))


async def test_a_child_that_cannot_load_says_why_in_its_own_words(start_engine):
    async with start_engine(**command("--dies")) as engine:
        await until(engine, ReplicaPhase.FAILED)
        assert "ended with code 1" in engine.status().error
        assert "The weights are of another shape." in engine.status().error


async def test_how_far_it_has_loaded_is_read_from_its_log(start_engine):
    told = []
    async with start_engine(**command()) as engine:
        engine._on_change = lambda: told.append(engine.status().progress)
        await until(engine, ReplicaPhase.READY)
    assert 0.5 in told


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        (command() | {"programs": Programs()}, "--allow-code yes"),
        (command(comand="x"), "comand"),
        (command(command="serve 'x --port {port}"), "Check its quotes"),
        (command(command="/nowhere/serve --port {port}"), "/nowhere/serve cannot be started"),
        ({"engine": "vllm", "source": "/models/m"}, "vllm is not installed on this worker"),
        ({"engine": "vllm", "source": "--trust-remote-code"}, "cannot load"),
        (
            {"engine": "vllm", "source": "/m", "engine_options": {"trust_remote_code": True}},
            "runs no code that a deployment brings along (trust_remote_code)",
        ),
    ],
)
async def test_what_a_worker_will_not_run_is_refused_with_the_remedy(start_engine, spec, said):
    async with start_engine(**spec) as engine:
        await until(engine, ReplicaPhase.FAILED)
        assert said in engine.status().error


def is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


async def _read(asking) -> tuple[int, bytes]:
    async with asking as answer:
        return answer.status, await answer.read()
