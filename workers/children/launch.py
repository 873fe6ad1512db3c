"""What is to be known of a child server before it is started; made by one function for each kind, from plain values."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from protocol.parameters import CHOICES, ECHO, LOGPROBS, SAMPLING, STRUCTURED, TOOL_CHOICE


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What the child gets from us: it listens on this port of 127.0.0.1, and answers to whoever shows the key."""

    port: int
    api_key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """How to start it, and how to talk to it."""

    arguments: list[str]
    """The program first; no shell."""
    capabilities: list[str]
    shows_images: bool = False
    """Whether it does, to a model that sees."""
    environment: dict[str, str] = field(default_factory=dict)
    health_path: str = "/health"
    """Answered with 200 when it is ready, and at any time later with something while it lives."""
    model: str = ""
    """What it wants to see in the field `model`; empty: what it names under /v1/models."""
    context_length: int = 0
    """If it does not tell itself; 0: unknown."""


def flags(options: Mapping[str, Any], *, separator: str = "-", negation: str = "") -> Iterator[str]:
    """`--name=value` for each, so that no value can be taken for a flag.

    true: `--name`; false: nothing, or `--no-name` where `negation` is "no-".
    """
    for name, value in options.items():
        flag = name.replace("_", separator)
        if value is True:
            yield f"--{flag}"
        elif value is not False:
            yield f"--{flag}={value}"
        elif negation:
            yield f"--{negation}{flag}"


def visible_devices(device: str) -> dict[str, str]:
    """The environment in which a program sees this device alone; `auto` and `cuda`: all there are."""
    if device == "cpu":
        return {"CUDA_VISIBLE_DEVICES": ""}
    kind, _, index = device.partition(":")
    return {"CUDA_VISIBLE_DEVICES": index} if kind == "cuda" and index else {}


def generation(options: Mapping[str, Any]) -> list[str]:
    """What an engine can do that generates text; tools, if it was told how the model words its calls."""
    tools = ["tools", TOOL_CHOICE] if options.get("tool_call_parser") else []
    return ["chat", "completions", *tools, SAMPLING, LOGPROBS, CHOICES, ECHO, STRUCTURED]
