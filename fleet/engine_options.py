"""Rule: what is wrong with what a deployment tells its engine, field by field."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from django.utils.translation import gettext as _

from protocol.engines import (
    ENGINE_KINDS,
    MODELSCOPE,
    EngineKind,
    missing_options,
    mistyped_options,
    unfit_options,
    unknown_options,
)
from protocol.parameters import (
    CHOICES,
    DIMENSIONS,
    ECHO,
    FUNCTIONS,
    GRAMMAR,
    LOGPROBS,
    SAMPLING,
    STRUCTURED,
    TOOL_CHOICE,
    VISION,
)

CAPABILITIES = (
    "chat", "completions", "embeddings", "tools", "tokenize", "rerank", "images", "moderation", "transcription",
    SAMPLING, LOGPROBS, CHOICES, STRUCTURED, GRAMMAR, TOOL_CHOICE, ECHO, FUNCTIONS, DIMENSIONS, VISION,
)  # fmt: skip


_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


def faults_of(*, engine: str, source: str, dtype: str, quantization: str, options: Any) -> dict[str, list[str]]:
    """By field; nothing when all is well. Each says what to write instead."""
    kind = ENGINE_KINDS.get(engine)
    if kind is None:
        return {"engine": [_("There is no such engine. Choose one of: %(known)s.") % {"known": _list(ENGINE_KINDS)}]}
    found = {
        "source": list(_source_faults(engine, kind, source)),
        "dtype": list(_dtype_faults(engine, kind, dtype)),
        "quantization": list(_quantization_faults(engine, kind, quantization)),
        "engine_options": list(_option_faults(engine, kind, options)),
    }
    return {field: faults for field, faults in found.items() if faults}


def _source_faults(engine: str, kind: EngineKind, source: str) -> Iterator[str]:
    if kind.needs_source and not source:
        yield _("Say what to load. %(help)s") % {"help": source_help(engine)}
    if kind.is_child and source.startswith("-"):
        # It would be read as a flag.
        yield _("A source cannot begin with “-”. Write ./- for a folder of such a name.")
    if kind.is_child and source == "demo":
        yield _("The built-in model runs on the engine transformers only.")
    if source.startswith(MODELSCOPE):
        yield from _modelscope_faults(kind, source.removeprefix(MODELSCOPE))


def _modelscope_faults(kind: EngineKind, hub_id: str) -> Iterator[str]:
    if kind.is_child:
        yield _("Only the engine transformers downloads from ModelScope. Name a folder on the worker instead.")
    elif not _HUB_ID.fullmatch(hub_id):
        yield _("Write a model of ModelScope’s as modelscope:owner/name.")


def _dtype_faults(engine: str, kind: EngineKind, dtype: str) -> Iterator[str]:
    if not kind.has_dtype and dtype != "auto":
        yield _("%(engine)s takes the number format from the source. Leave “auto”.") % {"engine": engine}


def _quantization_faults(engine: str, kind: EngineKind, quantization: str) -> Iterator[str]:
    if not quantization or quantization in kind.quantizations:
        return
    if kind.quantizations:
        known = _list(kind.quantizations)
        yield _("%(engine)s does not know it. Leave it empty, or write one of: %(known)s.") % {
            "engine": engine, "known": known,
        }  # fmt: skip
    else:
        yield _("%(engine)s does not quantize while it loads. Leave it empty.") % {"engine": engine}


def _option_faults(engine: str, kind: EngineKind, options: Any) -> Iterator[str]:
    if not isinstance(options, dict):
        yield _("Write a JSON object, for example {}.")
        return
    for name in unknown_options(kind, options):
        yield _unknown(engine, kind, name)
    for name, wanted in mistyped_options(kind, options).items():
        yield _("“%(name)s” must be of the type %(type)s.") % {"name": name, "type": wanted.value}
    for name, known in unfit_options(kind, options).items():
        yield _("“%(name)s” may be: %(known)s.") % {"name": name, "known": _list(known)}
    for name in missing_options(kind, options):
        yield _("“%(name)s” is missing.") % {"name": name}
    if engine == "command":
        yield from _command_faults(options)


def _unknown(engine: str, kind: EngineKind, name: str) -> str:
    if not kind.options:
        return _("%(engine)s has no options. Leave {}.") % {"engine": engine}
    return _("%(engine)s has no option “%(name)s”. It has: %(known)s.") % {
        "engine": engine, "name": name, "known": _list(kind.options),
    }  # fmt: skip


def _command_faults(options: Mapping[str, Any]) -> Iterator[str]:
    command, capabilities = options.get("command"), options.get("capabilities")
    if isinstance(command, str) and "{port}" not in command:
        yield _("“command” must contain {port}: the port of 127.0.0.1 on which the server is to listen.")
    if isinstance(capabilities, list) and not set(map(str, capabilities)) <= set(CAPABILITIES):
        yield _("“capabilities” may contain: %(known)s.") % {"known": _list(CAPABILITIES)}


def source_help(engine: str) -> str:
    """What a source is for this engine."""
    match engine:
        case "transformers":
            return _(
                "“demo” for the built-in model, a folder on the worker’s disk, or, if it is online, a hub id: "
                "owner/name on Hugging Face, modelscope:owner/name on ModelScope."
            )
        case "llama.cpp":
            return _("A GGUF file on the worker’s disk, or a hub id if it is online.")
        case "echo" | "command":
            return _("May be left empty.")
    return _("A folder on the worker’s disk, or a hub id if it is online.")


def _list(names: Any) -> str:
    return ", ".join(names)
