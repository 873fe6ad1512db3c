"""Servers of other people's behind the gateway, as engines: asked with the real client, hung up on, and killed.

llama.cpp's own server comes as a wheel, in an environment of its own. llama-cpp-python's is tried where
FLOTILLA_LLAMA_ENV names a virtual environment with llama-cpp-python[server]: building that takes some ten minutes.
docs/engines.md says how.
"""

import os
import subprocess
import sys
from pathlib import Path

import openai
import psutil
import pytest
from django.contrib.auth import get_user_model

from gateway.issuing import issue_key
from gateway.models import UsageRecord
from tests.journeys.waiting import wait_until
from tests.processes import command_of
from workers.demo_model import WEIGHTS

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.once]

HERE = Path(__file__).parent
FAKE = HERE.parent / "workers" / "fake_openai_server.py"
# One process makes its environment for all.
LLAMA_SERVER = pytest.param("llama-server", marks=pytest.mark.xdist_group("llama-server"))
LLAMA_ENV = os.environ.get("FLOTILLA_LLAMA_ENV", "")
LLAMA_CPP = ("xllamacpp==2026.10.11549", "gguf==0.19.0")
QUESTION = [{"role": "user", "content": "What is the capital of Japan?"}]
LONG = [{"role": "user", "content": "one two three four five six seven eight nine ten " * 40}]


@pytest.fixture
def client(web):
    _, key = issue_key(get_user_model().objects.create_user("ada"), "notebook", expires_at=None)
    with openai.OpenAI(base_url=f"{web.url}/v1", api_key=key, max_retries=0) as client:
        yield client


@pytest.fixture(scope="session")
def llama_env(tmp_path_factory) -> Path:
    """Of llama.cpp: `bin/llama-server` and what writes its files."""
    env = tmp_path_factory.mktemp("llama") / "env"
    uv = Path(sys.executable).parent / "uv"
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, env], check=True)
    subprocess.run([uv, "pip", "install", "--quiet", "--python", env / "bin" / "python", *LLAMA_CPP], check=True)
    program = env / "bin" / "llama-server"
    program.write_text(f"#!{env}/bin/python\n" + (HERE / "llama_server.py").read_text())
    program.chmod(0o755)
    return env


@pytest.fixture(scope="session")
def gguf_file(tmp_path_factory, llama_env) -> Path:
    """The demo model, as llama.cpp reads it."""
    target = tmp_path_factory.mktemp("gguf") / "demo.gguf"
    subprocess.run([llama_env / "bin" / "python", HERE / "gguf_file.py", WEIGHTS, target], check=True)
    return target


@pytest.fixture(params=["command", LLAMA_SERVER, *(["llama-cpp-python"] if LLAMA_ENV else [])])
def child(request, deploy, start_worker, wait_ready, client, monkeypatch):
    """A child server that is ready: its worker."""
    if request.param == "command":
        command = f"{sys.executable} {FAKE} --port {{port}} --model whatever --delay 0.02"
        options = {"command": command, "capabilities": ["chat"]}
        deployment = deploy("child", engine="command", engine_options=options)
        worker = start_worker("worker-1", "--allow-code", "yes")
    else:
        source = str(request.getfixturevalue("gguf_file"))
        if request.param == "llama-server":
            programs = request.getfixturevalue("llama_env") / "bin"
            monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
        deployment = deploy("child", engine="llama.cpp", source=source, engine_options={"ctx_size": 1024})
        worker = start_worker("worker-1", *(["--engine-envs", LLAMA_ENV] if LLAMA_ENV else []))
    wait_ready(deployment)
    wait_until(lambda: answers(client), what="the gateway knows it", log=worker.log)
    return worker


def answers(client) -> bool:
    try:
        client.chat.completions.create(model="child", messages=QUESTION, max_tokens=20)
    except openai.InternalServerError:
        return False
    return True


def server_of(worker) -> psutil.Process:
    """The child server itself, below the program that keeps it."""
    (keeper,) = (found for found in worker.children() if "workers.children" in command_of(found))
    return keeper.children()[0]


def test_a_child_answers_like_any_model(child, client):
    answer = client.chat.completions.create(model="child", messages=QUESTION, temperature=0)
    assert "Japan" in answer.choices[0].message.content
    assert answer.usage.completion_tokens > 0


def test_a_child_s_stream_is_whole_and_on_record(child, client):
    UsageRecord.objects.all().delete()
    chunks = client.chat.completions.create(model="child", messages=QUESTION, temperature=0, stream=True)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert "Japan" in text
    wait_until(lambda: UsageRecord.objects.filter(is_stream=True).exists(), what="the record is written")
    record = UsageRecord.objects.get(is_stream=True)
    assert (record.state, record.completion_tokens > 0) == ("complete", True)


def test_a_child_that_is_killed_serves_again(child, client):
    killed = server_of(child)
    killed.kill()
    wait_until(lambda: killed not in child.children(), what="the worker has met the dead server", log=child.log)
    wait_until(lambda: answers(client), what="it serves again", log=child.log)
    assert server_of(child) != killed


def test_a_caller_who_leaves_is_on_record_and_the_child_is_free(child, client):
    stream = client.chat.completions.create(model="child", messages=LONG, max_tokens=900, stream=True)
    next(iter(stream))
    stream.close()
    wait_until(lambda: UsageRecord.objects.filter(is_stream=True).exists(), what="the record is written")
    assert UsageRecord.objects.get(is_stream=True).state in ("cut_by_client", "complete")
    assert answers(client)


def test_a_killed_daemon_leaves_no_child_behind(child):
    processes = child.children()
    assert len(processes) >= 2
    child.kill()
    wait_until(lambda: not any(process.is_running() for process in processes), what="all of them have ended")
