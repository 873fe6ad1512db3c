"""Ours and the peers as child processes on loopback, each with what it needs to serve one model."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench.engine.client import Target
from bench.engine.models import gguf_file, model_folder

_ROOT = Path(__file__).parents[2]
_LLAMA_SERVER = _ROOT / "tests" / "journeys" / "llama_server.py"
_KEY = "bench"
_MAX_CLIENTS = 64
LLAMA_DTYPES = {"float32": "f32", "bfloat16": "bf16"}
_READY_TIMEOUT_S = 300
_END_TIMEOUT_S = 20
# Threads that spin while they wait take the cores from whoever has work, here the other processes of the bench.
_ENVIRONMENT = {"OMP_WAIT_POLICY": "PASSIVE", "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Where things are, and the model to serve. `positions`: of a prompt and its answer."""

    pythons: Mapping[str, Path]
    models: Path
    logs: Path
    model: str
    dtype: str
    positions: int

    @property
    def folder(self) -> Path:
        return model_folder(self.models, self.model)


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """How a server is started: its processes in their order, and who is asked then."""

    commands: Sequence[Sequence[str]]
    target: Target
    health_path: str
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """One of those that are compared. `needs`: the environment that must be there."""

    launch: Callable[[str, Site], Launch]
    needs: str = ""


def _ours(name: str, site: Site) -> Launch:
    port = _free_port()
    command = [sys.executable, "-m", "workers", "--standalone", "--model", str(site.folder)]
    command += ["--served-model-name", site.model, "--port", str(port), "--dtype", site.dtype, "--device", "cpu"]
    return Launch(
        commands=[[*command, "--max-concurrency", str(_MAX_CLIENTS)]],
        target=Target(name=name, url=_url(port), model=site.model, key=_KEY, extras={"ignore_eos": True}),
        health_path="/health",
        environment={"FLOTILLA_API_KEY": _KEY},
    )


def _transformers_serve(name: str, site: Site, *options: str) -> Launch:
    port = _free_port()
    program = site.pythons["serve"].with_name("transformers")
    command = [str(program), "serve", str(site.folder), "--host", "127.0.0.1", "--port", str(port)]
    return Launch(
        commands=[[*command, "--device", "cpu", "--dtype", site.dtype, *options]],
        target=Target(name=name, url=_url(port), model=str(site.folder)),
        health_path="/health",
    )


def _continuous_batching(name: str, site: Site) -> Launch:
    # By default it would take three fifths of the machine's memory.
    return _transformers_serve(name, site, "--continuous-batching", "--cb-max-memory-percent", "0.15")


def _llama_server(name: str, site: Site) -> Launch:
    port = _free_port()
    python = site.pythons["llama"]
    model = gguf_file(site.models, site.model, LLAMA_DTYPES[site.dtype], python)
    command = [str(python), str(_LLAMA_SERVER), "--model", str(model), "--alias", site.model]
    command += ["--host", "127.0.0.1", "--port", str(port), "--parallel", str(_MAX_CLIENTS), "--jinja"]
    return Launch(
        commands=[[*command, "--ctx-size", str(_MAX_CLIENTS * site.positions)]],
        target=Target(name=name, url=_url(port), model=site.model, key=_KEY, extras={"ignore_eos": True}),
        health_path="/health",
        environment={"LLAMA_API_KEY": _KEY},
    )


def _fastchat(name: str, site: Site) -> Launch:
    """Its controller, its worker and its API, as its own documentation starts them. It runs in float32 always."""
    controller, worker, api = _free_port(), _free_port(), _free_port()
    at_controller = ["--controller-address", f"http://127.0.0.1:{controller}"]
    python = [str(site.pythons["fastchat"]), "-m"]
    model = ["--model-path", str(site.folder), "--model-names", site.model, "--device", "cpu"]
    # Its own template for a model that it does not know has 900 tokens.
    template = ["--conv-template", "qwen-7b-chat", "--worker-address", f"http://127.0.0.1:{worker}"]
    return Launch(
        commands=[
            [*python, "fastchat.serve.controller", *_at(controller)],
            [*python, "fastchat.serve.model_worker", *_at(worker), *at_controller, *model, *template],
            [*python, "fastchat.serve.openai_api_server", *_at(api), *at_controller],
        ],
        target=Target(name=name, url=_url(api), model=site.model),
        health_path="/v1/models",
        # It writes its logs where it stands.
        environment={"LOGDIR": str(site.logs)},
    )


OURS = "ours"
SERVERS = {
    OURS: Server(launch=_ours),
    "FastChat": Server(launch=_fastchat, needs="fastchat"),
    "transformers serve": Server(launch=_transformers_serve, needs="serve"),
    "transformers serve, continuous batching": Server(launch=_continuous_batching, needs="serve"),
    "llama.cpp's server": Server(launch=_llama_server, needs="llama"),
}


@contextmanager
def running(names: Sequence[str], site: Site) -> Iterator[list[Target]]:
    """Those of these servers that can be started, ready to answer."""
    with ExitStack() as stack:
        launches = [SERVERS[name].launch(name, site) for name in names]
        started = [(launch, stack.enter_context(_processes(launch, site.logs))) for launch in launches]
        yield [launch.target for launch, processes in started if _is_ready(launch, processes, site)]


@contextmanager
def _processes(launch: Launch, logs: Path) -> Iterator[list[subprocess.Popen[bytes]]]:
    processes = []
    try:
        with (logs / f"{launch.target.name}.log").open("ab") as log:
            for command in launch.commands:
                processes.append(_start(command, launch.environment, log.fileno()))
        yield processes
    finally:
        for process in reversed(processes):
            _end(process)


def _start(command: Sequence[str], environment: Mapping[str, str], log: int) -> subprocess.Popen[bytes]:
    # A group of its own: what it starts in its turn ends with it.
    return subprocess.Popen(
        command, cwd=_ROOT, env=os.environ | _ENVIRONMENT | environment, stdout=log, stderr=log, start_new_session=True
    )


def _end(process: subprocess.Popen[bytes]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            process.wait(_END_TIMEOUT_S)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue


def _is_ready(launch: Launch, processes: Sequence[subprocess.Popen[bytes]], site: Site) -> bool:
    deadline = time.monotonic() + _READY_TIMEOUT_S
    while time.monotonic() < deadline and all(process.poll() is None for process in processes):
        if _answers(launch, site.model):
            return True
        time.sleep(0.2)
    print(f"Left out, since it did not start: {launch.target.name}; see {site.logs}", file=sys.stderr)
    return False


def _answers(launch: Launch, model: str) -> bool:
    request = urllib.request.Request(
        launch.target.url.removesuffix("/v1") + launch.health_path,
        headers={"Authorization": f"Bearer {launch.target.key}"},
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            # A list of models is empty until the worker has told of its own.
            return launch.health_path != "/v1/models" or model in answer.read().decode()
    except OSError:
        return False


def _at(port: int) -> list[str]:
    return ["--host", "127.0.0.1", "--port", str(port)]


def _url(port: int) -> str:
    return f"http://127.0.0.1:{port}/v1"


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]
