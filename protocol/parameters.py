"""Which parameters of a request not every engine honours.

Known to the gateway, which picks a replica by them or refuses them by name, and to an engine's own door, which does the
same for whoever asks it directly.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

SAMPLING, LOGPROBS, CHOICES = "sampling", "logprobs", "choices"
STRUCTURED, GRAMMAR = "structured_output", "grammar"
"""Answers that keep to a JSON schema; and to a regular expression or a grammar as well."""
ECHO, FUNCTIONS = "echo", "functions"
DIMENSIONS = "dimensions"
TOOL_CHOICE = "tool_choice"
"""Tools that must be called, one at a time, or with arguments that keep to their schema."""
VISION = "vision"
"""Images in messages."""


@dataclass(frozen=True, slots=True)
class Need:
    """A parameter's own: what an engine must be able to do, and the values that ask for nothing."""

    capability: str
    neutral: tuple[Any, ...]


NEEDS: Mapping[str, Need] = {
    "n": Need(CHOICES, (1,)),
    "presence_penalty": Need(SAMPLING, (0,)),
    "frequency_penalty": Need(SAMPLING, (0,)),
    "logit_bias": Need(SAMPLING, ({},)),
    "logprobs": Need(LOGPROBS, (False,)),
    "top_logprobs": Need(LOGPROBS, (0,)),
    "response_format": Need(STRUCTURED, ({"type": "text"},)),
    "tool_choice": Need(TOOL_CHOICE, ("auto", "none")),
    "parallel_tool_calls": Need(TOOL_CHOICE, (True,)),
    "functions": Need(FUNCTIONS, ([],)),
    "function_call": Need(FUNCTIONS, ("auto", "none")),
    "echo": Need(ECHO, (False,)),
    "dimensions": Need(DIMENSIONS, ()),
    # From here on the names are vLLM's.
    "top_k": Need(SAMPLING, (0, -1)),
    "min_p": Need(SAMPLING, (0,)),
    "repetition_penalty": Need(SAMPLING, (1,)),
    "min_tokens": Need(SAMPLING, (0,)),
    "ignore_eos": Need(SAMPLING, (False,)),
    "stop_token_ids": Need(SAMPLING, ([],)),
    "structured_outputs": Need(GRAMMAR, ({},)),
}


def needed(asked: Mapping[str, Any]) -> dict[str, str]:
    """What an engine must be able to do beyond the common, each with the first parameter that asks for it.

    A value that is a structure of its own counts with the fields that were given: it is to leave out defaults.
    """
    needs: dict[str, str] = {}
    for name, need in NEEDS.items():
        value = _plain(asked.get(name))
        # 0 is no neutral value of completions' `logprobs`, although Python takes it for False.
        if value is not None and not any(value == item and type(value) in _kin(item) for item in need.neutral):
            needs.setdefault(need.capability, name)
    return needs


def _plain(value: Any) -> Any:
    return msgspec.to_builtins(value) if isinstance(value, msgspec.Struct) else value


def _kin(value: Any) -> tuple[type, ...]:
    return (type(value),) if isinstance(value, bool) or not isinstance(value, (int, float)) else (int, float)
