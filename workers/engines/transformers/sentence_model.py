"""What a folder in sentence-transformers' form says of its model: how tokens become vectors, how long a text may be.

modules.json                  which modules follow one another: Transformer, Pooling, perhaps Dense, Normalize
sentence_bert_config.json     max_seq_length, do_lower_case
1_Pooling/config.json         the poolings
2_Dense/config.json           a layer, its weights beside it
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from safetensors.torch import load_file

from workers.engines.transformers.model_files import ModelFiles
from workers.engines.transformers.pooling import POOLINGS
from workers.errors import LoadError

_OLD_POOLING_NAMES = {
    "cls": "cls_token",
    "max": "max_tokens",
    "mean": "mean_tokens",
    "weightedmean": "weightedmean_tokens",
}
_ACTIVATIONS = {
    "Identity": torch.nn.Identity,
    "Tanh": torch.nn.Tanh,
    "ReLU": torch.nn.ReLU,
    "GELU": torch.nn.GELU,
    "Sigmoid": torch.nn.Sigmoid,
}
_WITHOUT_EFFECT = frozenset({"Transformer", "Dropout", "Normalize"})


@dataclass(frozen=True, slots=True, kw_only=True)
class SentenceModel:
    """What is declared; by default, what is assumed of a model that declares nothing."""

    is_declared: bool = False
    poolings: tuple[str, ...] = ("mean",)
    layers: tuple[torch.nn.Module, ...] = ()
    """Between pooling and normalising."""
    is_normalised: bool = True
    max_length: int | None = None
    """Tokens of one text."""
    lowers_case: bool = False


@dataclass(slots=True)
class _Found:
    poolings: list[str] = field(default_factory=list)
    layers: list[torch.nn.Module] = field(default_factory=list)
    last: str = ""


def read_sentence_model(source: str) -> SentenceModel:
    """Of a folder or a hub id. Raises LoadError for modules that would change the vectors and cannot be run here."""
    files = ModelFiles(source)
    modules = files.read("modules.json")
    if not modules:
        return SentenceModel()
    found = _Found()
    for module in modules:
        _add(found, module["type"].rpartition(".")[2], module.get("path", ""), files)
    sizes = files.read("sentence_bert_config.json") or {}
    return SentenceModel(
        is_declared=True,
        poolings=tuple(found.poolings or ["mean"]),
        layers=tuple(found.layers),
        is_normalised=found.last == "Normalize",
        max_length=sizes.get("max_seq_length"),
        lowers_case=bool(sizes.get("do_lower_case")),
    )


def _add(found: _Found, kind: str, folder: str, files: ModelFiles) -> None:
    found.last = kind
    match kind:
        case "Pooling":
            found.poolings = _poolings(files.read(f"{folder}/config.json") or {})
        case "Dense":
            found.layers += _dense(files, folder)
        case _ if kind not in _WITHOUT_EFFECT:
            raise LoadError(
                f"This model's vectors pass through a {kind}, which this engine does not have: see its modules.json. "
                "Choose another engine, such as vllm, or another model."
            )


def _poolings(config: Mapping[str, Any]) -> list[str]:
    """Raises LoadError."""
    named = config.get("pooling_mode")
    if named is None:
        flags = {name: f"pooling_mode_{_OLD_POOLING_NAMES.get(name, name)}" for name in POOLINGS}
        names = [name for name, flag in flags.items() if config.get(flag)]
    else:
        names = [named] if isinstance(named, str) else list(named)
    if not names or not set(names) <= POOLINGS.keys():
        raise LoadError(f"This model's pooling is {dict(config)}, and this engine knows: {', '.join(POOLINGS)}.")
    return names


def _dense(files: ModelFiles, folder: str) -> list[torch.nn.Module]:
    """Raises LoadError."""
    config, weights = files.read(f"{folder}/config.json"), files.path(f"{folder}/model.safetensors")
    if weights is None:
        raise LoadError(f"The layer in {folder} needs its weights as safetensors.")
    linear = torch.nn.Linear(config["in_features"], config["out_features"], bias=config.get("bias", True))
    linear.load_state_dict({name.removeprefix("linear."): value.float() for name, value in load_file(weights).items()})
    return [linear.eval(), activation_of(config["activation_function"])]


def activation_of(name: str) -> torch.nn.Module:
    """By torch's name, such as `torch.nn.modules.activation.Tanh`. Raises LoadError."""
    short = name.rpartition(".")[2]
    if short not in _ACTIVATIONS:
        raise LoadError(f"The model names the activation {name!r}; this engine has {', '.join(_ACTIVATIONS)}.")
    return _ACTIVATIONS[short]()
