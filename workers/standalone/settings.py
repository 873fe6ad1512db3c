"""What one standalone server is told: from the command line, each also from the environment, once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from protocol.control import DesiredReplica
from protocol.engines import ENGINE_KINDS, EngineKind, brings_code, mistyped_options, unknown_options
from workers.errors import SettingsInvalid
from workers.flags import Flags, seconds, whole_number

_ENGINES = tuple(name for name in ENGINE_KINDS if name != "command")


@dataclass(frozen=True, slots=True, kw_only=True)
class StandaloneSettings:
    """What is served, and where."""

    replica: DesiredReplica
    """Its `model` is the name that callers use."""
    host: str
    port: int
    """0: any free port."""
    api_key: str = field(repr=False)
    """Empty: one is to be made."""
    drain_timeout_s: float
    """How long requests that run may go on when the program is told to stop."""
    tls_cert: str
    tls_key: str


def read_settings(arguments: Sequence[str], environment: Mapping[str, str]) -> StandaloneSettings:
    """The settings. Raises SettingsInvalid; argparse itself ends the program for --help."""
    given = _flags(environment).read(arguments)
    return StandaloneSettings(
        replica=_replica(given),
        host=given.host.strip("[]"),
        port=whole_number("--port", given.port, range(65536)),
        api_key=_checked_key(given.api_key.strip()),
        drain_timeout_s=seconds("--drain-timeout", given.drain_timeout),
        tls_cert=given.tls_cert,
        tls_key=given.tls_key,
    )


def _flags(environment: Mapping[str, str]) -> Flags:
    flags = Flags("Serves one model by OpenAI's API on this machine.", environment)
    flags.add_switch("standalone", "what this is")
    flags.add("model", "", "a folder, a hub id, or “demo” for the built-in model")
    flags.add("served-model-name", "", "what callers name it; by default the folder's name, or the hub id")
    flags.add("host", "127.0.0.1", "the address to listen on; 0.0.0.0 lets other machines in")
    flags.add("port", "8100", "0 takes any free one")
    flags.add("api-key", "", "what callers must show; without it one is made and printed. Better as FLOTILLA_API_KEY")
    flags.add("engine", "transformers", f"one of {', '.join(_ENGINES)}")
    flags.add("dtype", "auto", "auto, float32, bfloat16 or float16")
    flags.add("device", "auto", "auto, cpu, cuda, cuda:1 ...")
    flags.add("quantization", "", "how the weights are quantized while they are loaded")
    flags.add("max-concurrency", "8", "requests that run at the same time; others wait")
    flags.add("engine-options", "{}", """as a deployment has them, in JSON, for example '{"max_model_len": 2048}'""")
    flags.add("adapters", "{}", """LoRA adapters in JSON, for example '{"name": "/folder"}': models of their own""")
    flags.add("drain-timeout", "30", "seconds that running requests get when this stops")
    flags.add("tls-cert", "", "PEM file of the certificate to show")
    flags.add("tls-key", "", "PEM file of its private key")
    return flags


def _replica(given: Any) -> DesiredReplica:
    if given.engine not in _ENGINES:
        raise SettingsInvalid(f"--engine must be one of {', '.join(_ENGINES)}, not {given.engine!r}.")
    kind = ENGINE_KINDS[given.engine]
    if kind.needs_source and not given.model:
        raise SettingsInvalid("--model must name a folder, a hub id, or “demo”.")
    if given.quantization and given.quantization not in kind.quantizations:
        known = f"can be one of {', '.join(kind.quantizations)}" if kind.quantizations else "must be left out"
        raise SettingsInvalid(f"--quantization {known} with {given.engine}, not {given.quantization!r}.")
    return DesiredReplica(
        replica_id="standalone",
        model=given.served_model_name or _name_of(given.model) or given.engine,
        engine=given.engine,
        source=given.model,
        dtype=given.dtype,
        device=given.device,
        quantization=given.quantization,
        max_concurrency=whole_number("--max-concurrency", given.max_concurrency, range(1, 4097)),
        engine_options=_checked_options(kind, given.engine_options),
        adapters=_checked_adapters(kind, given.adapters),
    )


def _name_of(source: str) -> str:
    folder = Path(source).expanduser()
    return folder.resolve().name if source and folder.exists() else source


def _checked_options(kind: EngineKind, text: str) -> dict[str, Any]:
    try:
        options = msgspec.json.decode(text.encode(errors="replace"), type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise SettingsInvalid(f"--engine-options must be a JSON object: {error}.") from error
    if wrong := unknown_options(kind, options) or brings_code(kind, options):
        known = ", ".join(sorted(kind.options.keys() - kind.running_code)) or "none"
        raise SettingsInvalid(f"--engine-options cannot have {', '.join(wrong)} with this engine; it takes {known}.")
    for name, wanted in mistyped_options(kind, options).items():
        raise SettingsInvalid(f"--engine-options: {name} must be of the type {wanted}.")
    return options


def _checked_adapters(kind: EngineKind, text: str) -> dict[str, str]:
    try:
        adapters = msgspec.json.decode(text.encode(errors="replace"), type=dict[str, str])
    except msgspec.DecodeError as error:
        raise SettingsInvalid(f"--adapters must be a JSON object of texts: {error}.") from error
    if adapters and not kind.has_adapters:
        raise SettingsInvalid("--adapters cannot be used with this engine; leave it out.")
    return adapters


def _checked_key(key: str) -> str:
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise SettingsInvalid("--api-key must be printable ASCII without spaces: it travels in a header.")
    return key
