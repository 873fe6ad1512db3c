"""The daemon's settings: from the command line, each also from the environment, once."""

import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from workers.errors import SettingsInvalid
from workers.flags import Flags, gigabytes, seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSettings:
    """All that one daemon is told."""

    server: str
    """Base URL of the server, without a trailing slash."""
    join_token: str = field(default="", repr=False)
    listen_host: str = "127.0.0.1"
    listen_port: int = 8100
    """0: any free port."""
    advertise: str = ""
    """Base URL at which the server's gateway reaches this worker; empty: made from where it listens."""
    name: str
    state_dir: Path
    drain_timeout_s: float = 30.0
    """How long requests that run may go on when the daemon is told to stop."""
    unload_timeout_s: float = 120.0
    """The same when a model is unloaded."""
    memory_limit_bytes: int | None = None
    """Of the machine's own memory, what models may hold together; None: all that is free."""
    ca_file: str = ""
    """Certificates, in PEM, of who may vouch for the server; empty: the system's."""
    tls_cert: str = ""
    tls_key: str = ""
    """What it shows to the gateway, in PEM; empty: it speaks without TLS."""
    metrics_token: str = field(default="", repr=False)
    engine_envs: tuple[Path, ...] = ()
    """Virtual environments in which engines are installed, apart from the daemon's own."""
    allow_code: bool = False
    """Whether deployments may bring commands and code of their own, to be run as this daemon's user."""


def read_settings(arguments: Sequence[str], environment: Mapping[str, str]) -> WorkerSettings:
    """The settings. Raises SettingsInvalid; argparse itself ends the program for --help."""
    given = _flags(environment).read(arguments)
    host, port = _host_and_port(given.listen)
    return WorkerSettings(
        server=_checked_url("--server", given.server),
        join_token=given.join_token.strip(),
        listen_host=host,
        listen_port=port,
        advertise=_checked_url("--advertise", given.advertise) if given.advertise else "",
        name=given.name,
        state_dir=Path(given.state_dir).expanduser().absolute(),
        drain_timeout_s=seconds("--drain-timeout", given.drain_timeout),
        unload_timeout_s=seconds("--unload-timeout", given.unload_timeout),
        memory_limit_bytes=gigabytes("--memory-gb", given.memory_gb) if given.memory_gb else None,
        ca_file=given.ca_file,
        tls_cert=given.tls_cert,
        tls_key=given.tls_key,
        metrics_token=given.metrics_token.strip(),
        engine_envs=tuple(_env(path) for path in given.engine_envs.split(os.pathsep) if path),
        allow_code=_yes_or_no("--allow-code", given.allow_code),
    )


def _flags(environment: Mapping[str, str]) -> Flags:
    flags = Flags("Runs models on this machine for a Flotilla server.", environment)
    flags.add_switch("standalone", "serve one model by OpenAI's API, without a server; --standalone --help says more")
    flags.add("server", "", "where the server is, for example https://flotilla.example")
    flags.add("join-token", "", "from the admin; needed the first time only")
    flags.add("listen", "127.0.0.1:8100", "HOST:PORT to listen on for the gateway; port 0 takes any free one")
    flags.add("advertise", "", "URL at which the gateway reaches this worker; by default made from --listen")
    flags.add("name", socket.gethostname(), "how the admin shows this worker")
    flags.add("state-dir", "~/.local/state/flotilla-worker", "folder for the worker's credential")
    flags.add("drain-timeout", "30", "seconds that running requests get when the worker stops")
    flags.add("metrics-token", "", "what Prometheus sends as its bearer token to read /metrics; without it nobody may")
    flags.add("ca-file", "", "PEM file of the CA that vouches for the server, where the system does not know it")
    flags.add("tls-cert", "", "PEM file of the certificate to show to the gateway; self-signed is fine, it is pinned")
    flags.add("tls-key", "", "PEM file of its private key")
    flags.add("unload-timeout", "120", "seconds that running requests get when a model is unloaded")
    flags.add("memory-gb", "", "how much of this machine's memory models may hold together; without it, what is free")
    flags.add("engine-envs", "", f"virtual environments with vllm, sglang and so on, {os.pathsep!r} between them")
    flags.add("allow-code", "no", "“yes” lets deployments run commands and code of their own on this machine")
    return flags


def _env(path: str) -> Path:
    root = Path(path).expanduser().absolute()
    if not (root / "bin" / "python").exists():
        raise SettingsInvalid(f"--engine-envs names {path!r}, which is no virtual environment: it has no bin/python.")
    return root


def _yes_or_no(flag: str, text: str) -> bool:
    if text not in ("yes", "no"):
        raise SettingsInvalid(f"{flag} must be yes or no, not {text!r}.")
    return text == "yes"


def _checked_url(flag: str, url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise SettingsInvalid(f"{flag} must be an address like http://10.0.0.1:8000, not {url!r}.")
    return url.rstrip("/")


def _host_and_port(listen: str) -> tuple[str, int]:
    host, _, port = listen.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65535:
        raise SettingsInvalid(f"--listen must be HOST:PORT, for example 0.0.0.0:8100, not {listen!r}.")
    return host.strip("[]"), int(port)
