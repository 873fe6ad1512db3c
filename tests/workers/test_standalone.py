"""`python -m workers --standalone`: one model behind OpenAI's API, without a Flotilla server."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import openai
import pytest

from workers.errors import LoadError, SettingsInvalid
from workers.standalone.program import serve_alone
from workers.standalone.settings import read_settings

KEY = "a-key-of-our-own"
HELLO = [{"role": "user", "content": "Who are you?"}]


class Served:
    """The process, where it listens, and what it has said so far."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process, self.said = process, ""
        self.url = self.wait_for(r"Listening on (http://\S+)/v1")

    def wait_for(self, pattern: str) -> str:
        while not (found := re.search(pattern, self.said)):
            line = self.process.stdout.readline()
            assert line, f"it has ended: {self.said}"
            self.said += line
        return found[1]

    def client(self, key: str = KEY) -> openai.OpenAI:
        return openai.OpenAI(base_url=f"{self.url}/v1", api_key=key, max_retries=0)

    def ended(self) -> int:
        self.said += self.process.communicate(timeout=60)[0]
        return self.process.returncode


@contextmanager
def served(*arguments: str, key: str = "") -> Iterator[Served]:
    process = subprocess.Popen(
        [sys.executable, "-m", "workers", "--standalone", "--port", "0", *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=os.environ | {"FLOTILLA_API_KEY": key},
    )  # fmt: skip
    try:
        yield Served(process)
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def demo() -> Iterator[Served]:
    with served("--model", "demo", "--served-model-name", "tiny", key=KEY) as server:
        server.wait_for("tiny is (ready)")
        yield server


def test_the_official_client_chats_completes_and_embeds(demo):
    with demo.client() as client:
        chat = client.chat.completions.create(model="tiny", messages=HELLO, max_tokens=8)
        stream = client.chat.completions.create(model="tiny", messages=HELLO, max_tokens=8, stream=True)
        streamed = "".join(chunk.choices[0].delta.content or "" for chunk in stream)
        completion = client.completions.create(model="tiny", prompt="Who", max_tokens=4)
        embedding = client.embeddings.create(model="tiny", input=["one", "two"])
    assert chat.choices[0].message.content == streamed
    assert completion.usage.completion_tokens == 4
    assert len(embedding.data) == 2


def test_it_lists_its_model(demo):
    with demo.client() as client:
        assert [model.id for model in client.models.list()] == ["tiny"]
        assert client.models.retrieve("tiny").owned_by == "flotilla"


def test_another_model_does_not_exist(demo):
    with demo.client() as client, pytest.raises(openai.NotFoundError) as refused:
        client.chat.completions.create(model="gpt-5", messages=HELLO)
    assert refused.value.code == "model_not_found"


@pytest.mark.parametrize("path", ["chat/completions", "models", "../metrics", "nowhere"])
def test_without_the_key_nothing_is_told_but_health(demo, path):
    with demo.client("guessed") as client:
        with pytest.raises(openai.AuthenticationError) as refused:
            client.get(path, cast_to=object)
        assert client.get("../health", cast_to=object) == {"status": "ok"}
    assert refused.value.code == "invalid_api_key"


def test_metrics_count_what_was_answered(demo):
    with demo.client() as client:
        assert 'vllm:num_requests_running{model_name="tiny"' in client.get("../metrics", cast_to=str)


def test_the_key_that_was_given_is_never_told(demo):
    assert KEY not in demo.said


def test_a_key_is_made_and_printed_and_a_running_stream_is_finished_at_sigterm():
    with served("--engine", "echo", "--model", "delay=0.05", "--adapters", '{"polite": "/a"}') as server:
        key = server.wait_for(r"API key, made for this run: (sk-flt-\w+)")
        server.wait_for("is (ready)")
        with server.client(key) as client:
            while "polite" not in [model.id for model in client.models.list()]:
                pass
            assert client.chat.completions.create(model="polite", messages=HELLO).model == "polite"
            stream = client.chat.completions.create(
                model="delay=0.05", messages=[{"role": "user", "content": "one two three four"}], stream=True
            )
            first = next(stream)
            server.process.send_signal(signal.SIGTERM)
            rest = [chunk.choices[0].finish_reason for chunk in stream]
        assert first.choices
        assert rest[-1] == "stop"
        assert server.ended() == 0


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "--model must name"),
        (["--model", "x", "--engine", "gpt"], "--engine must be one of transformers"),
        (["--model", "x", "--port", "many"], "--port must be a whole number from 0 to 65535"),
        (["--model", "x", "--max-concurrency", "0"], "--max-concurrency must be a whole number from 1"),
        (["--model", "x", "--quantization", "int3"], "--quantization"),
        (["--model", "x", "--engine-options", "[]"], "--engine-options must be a JSON object"),
        (["--model", "x", "--engine-options", '{"context": 1}'], "it takes"),
        (["--model", "x", "--engine-options", '{"max_model_len": "9"}'], "max_model_len must be of the type integer"),
        (["--model", "x", "--adapters", '{"a": 1}'], "--adapters must be a JSON object of texts"),
        (["--model", "x", "--engine", "vllm", "--adapters", '{"a": "b"}'], "--adapters cannot be used"),
        (["--model", "x", "--api-key", "clé"], "--api-key must be printable ASCII"),
        (["--modle", "x"], "Unrecognized arguments: --modle x"),
    ],
)
def test_a_wrong_option_is_named_with_its_remedy(arguments, told):
    with pytest.raises(SettingsInvalid, match=told):
        read_settings(["--standalone", *arguments], {})


def test_a_model_goes_by_the_name_of_its_folder_unless_it_is_given_one(tmp_path):
    assert read_settings(["--standalone", "--model", str(tmp_path)], {}).replica.model == tmp_path.name
    assert read_settings(["--standalone", "--model", "org/name"], {}).replica.model == "org/name"


async def test_a_taken_port_is_one_line():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        settings = read_settings(["--model", "x", "--engine", "echo", "--port", str(taken.getsockname()[1])], {})
        with pytest.raises(SettingsInvalid, match=r"Cannot listen on .+ Choose another --port"):
            await serve_alone(settings)


async def test_a_folder_that_is_missing_ends_the_program_with_its_name(tmp_path: Path):
    missing = str(tmp_path / "nowhere")
    with pytest.raises(LoadError, match=f"There is no folder '{missing}'"):
        await serve_alone(read_settings(["--model", missing, "--port", "0"], {}))
