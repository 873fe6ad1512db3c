"""Starts the embedded installation, tells how far it is, and says why it ended."""

import fcntl
import json
import os
import socket
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import IO
from urllib.parse import quote

from django.conf import settings
from django.db import connection
from django.utils.timezone import now

from config.bootstrap import LOCAL_WORKER, Credentials
from config.parts import PartLogs, Parts
from fleet.models import Deployment, Replica
from protocol.control import ReplicaPhase

_READY_WITHIN_S = 600
_POLL_S = 0.3
_ANSWER_TIMEOUT_S = 5

Say = Callable[[str], None]


class CannotStart(Exception):
    """What stands in the way, and what to do."""


def check_port(host: str, port: int) -> None:
    """Raises CannotStart when somebody else listens there."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise CannotStart(
                f"Port {port} is taken or not allowed ({error.strerror}). Try: make up PORT={port + 1}"
            ) from error


def hold_lock() -> IO[str]:
    """The lock of this installation; raises CannotStart when another `up` holds it. Keep the file open."""
    settings.VAR_DIR.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = open(settings.VAR_DIR / "up.lock", "a")  # noqa: SIM115 - the lock lives as long as the process
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise CannotStart(
            "Flotilla is already running from this folder. Stop it first (Ctrl-C where it runs)."
        ) from error
    return file


def run_parts(credentials: Credentials, join_token: str | None, *, say: Say, verbose: bool) -> int:
    """Runs web, worker and tasks until one ends or a signal comes. Returns the exit status for the shell."""
    logs = PartLogs(settings.VAR_DIR / "logs", echo=verbose)
    parts = Parts(logs)
    for name, command in _commands(credentials.url).items():
        parts.add(name, command, _environment(join_token if name == "worker" else None))
    ended = threading.Event()
    threading.Thread(target=_announce, args=(credentials, say, ended), daemon=True).start()
    parts.loop()
    ended.set()
    return _explain_end(parts, logs, say)


def _commands(url: str) -> dict[str, list[str]]:
    host, port = url.removeprefix("http://").rsplit(":", 1)
    python = sys.executable
    web = [python, "-m", "uvicorn", "config.asgi:application", "--host", host.strip("[]"), "--port", port]
    tasks = [python, "-m", "celery", "-A", "config", "worker", "--beat", "--pool", "solo", "--loglevel", "WARNING"]
    worker = [python, "-m", "workers", "--server", url, "--name", LOCAL_WORKER, "--listen", "127.0.0.1:0"]
    return {
        "web": [*web, "--no-access-log", "--timeout-graceful-shutdown", "3"],
        "worker": [*worker, "--state-dir", str(worker_state_dir()), "--drain-timeout", "3"],
        "tasks": tasks,
    }


def worker_state_dir() -> Path:
    return settings.VAR_DIR / "worker"


def _environment(join_token: str | None) -> dict[str, str]:
    """The parts' environment. The token goes here, not on a command line that everybody on the machine can read."""
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "VAR_DIR": str(settings.VAR_DIR)}
    return environment | {"FLOTILLA_JOIN_TOKEN": join_token} if join_token else environment


def _announce(credentials: Credentials, say: Say, ended: threading.Event) -> None:
    """Progress until the model is ready, then how to begin. Runs beside the parts, in a thread."""
    said, started_at, deadline = "", now(), time.monotonic() + _READY_WITHIN_S
    while not ended.wait(_POLL_S):
        state, is_ready = _progress(credentials, started_at)
        if state != said:
            said = state
            say(f"  {state}")
        if is_ready or time.monotonic() > deadline:
            say(_welcome(credentials))
            break
    connection.close()


def _progress(credentials: Credentials, started_at: datetime) -> tuple[str, bool]:
    """Where the start stands, in words, and whether a model answers. What was observed before it does not count."""
    if not _answers(f"{credentials.url}/login/"):
        return "starting the web server ...", False
    observed = Replica.objects.desired().filter(observed_at__gte=started_at)
    if replica := observed.order_by("-progress", "created_at").first():
        return _describe(replica, credentials)
    if Deployment.objects.exists():
        return "waiting for the worker to join ...", False
    return "no model is deployed: deploy one in the admin", True


def _describe(replica: Replica, credentials: Credentials) -> tuple[str, bool]:
    match replica.phase:
        case ReplicaPhase.READY | ReplicaPhase.ASLEEP | ReplicaPhase.WAKING:
            return f"{replica.deployment.model} is ready", _is_routed(replica.deployment.model.name, credentials)
        case ReplicaPhase.LOADING:
            verb = "downloading" if replica.download_bytes else "loading"
            return f"{verb} {replica.deployment.model}: {replica.progress:.0%}", False
        case ReplicaPhase.FAILED:
            return f"{replica.deployment.model} failed to load: {replica.error} (trying again)", False
    return f"{replica.worker} prepares {replica.deployment.model} ...", False


def _is_routed(model: str, credentials: Credentials) -> bool:
    """Whether the gateway sends requests there already: it learns of a ready replica some moments later."""
    url = f"{credentials.url}/v1/models/{quote(model)}"
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {credentials.api_key}"})
    try:
        with urllib.request.urlopen(request, timeout=_ANSWER_TIMEOUT_S) as answer:
            return bool(json.load(answer)["capabilities"])
    except OSError:
        return False


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=_ANSWER_TIMEOUT_S):
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False


def _welcome(credentials: Credentials) -> str:
    password = credentials.admin_password or "(the one you chose)"
    return f"""
Flotilla is running.

  Chat and admin   {credentials.url}/   {credentials.url}/admin/
  Administrator    {credentials.admin_username}
  Password         {password}
  API key          {credentials.api_key}

  Try the API:
  curl {credentials.url}/v1/chat/completions -H "Authorization: Bearer {credentials.api_key}" \
-H "Content-Type: application/json" -d '{{"model": "{credentials.model}", "messages": [{{"role": "user", \
"content": "Who are you?"}}]}}'

  The same facts are in {settings.VAR_DIR / "credentials.json"}; logs are in {settings.VAR_DIR / "logs"}.
  Ctrl-C stops everything.
"""


def _explain_end(parts: Parts, logs: PartLogs, say: Say) -> int:
    if parts.returncode in (130, 143):
        say("Stopped.")
        return 0
    part, status = logs.first_ended or ("a part", parts.returncode or 1)
    say(f"\n{part} ended (status {status}), so everything was stopped. Its last lines:\n")
    say("\n".join(f"  {line}" for line in logs.tail(part)) or "  (it said nothing)")
    say(f"\nMore in {logs.folder / part}.log. `python manage.py doctor` checks the installation.")
    return status if status > 0 else 1
