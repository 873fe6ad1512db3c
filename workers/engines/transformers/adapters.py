"""LoRA adapters beside one base model: each row of a step may have another one, or none.

The base model stays as it is. A hook on each module that some adapter changes adds `up(down(x)) * scale` to what the
module gives, for the tokens of those rows that have the adapter. So rows of several adapters share one forward.
"""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from transformers.utils import cached_file

from workers.engines.transformers.attention import using_attention
from workers.errors import LoadError

_PREFIX = "base_model.model."
_DOWN, _UP = ".lora_A.weight", ".lora_B.weight"
_WEIGHTS = "adapter_model.safetensors"
_PROBE = (0, 1, 2, 3)
_LONGEST_REASON = 300
_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Delta:
    """What an adapter adds to one module."""

    down: torch.Tensor  # (rank, inputs)
    up: torch.Tensor  # (outputs, rank)
    scale: float

    def __call__(self, inputs: torch.Tensor) -> torch.Tensor:
        """(tokens, outputs) of (tokens, inputs)."""
        return (inputs.to(self.down.dtype) @ self.down.T) @ self.up.T * self.scale


@dataclass(frozen=True, slots=True, eq=False)
class Adapter:
    """One that was read; what is read anew is another one."""

    source: str
    deltas: Mapping[str, Delta]
    """By the name of the base model's module."""
    variant: int = field(default_factory=lambda: next(_numbers))
    """Keys and values differ by adapter: a row may share only those of its own variant. 0: without an adapter."""


Chosen = Sequence[tuple[Adapter, torch.Tensor]]
"""Which of a step's tokens (a tensor of their places) have which adapter."""


def read_adapter(source: str, model: Any) -> Adapter:
    """From a folder or a hub, in PEFT's format, safetensors only. Raises LoadError, whatever is wrong with it."""
    try:
        # Imported only here: an engine without adapters need not wait for it.
        from peft import LoraConfig

        folder = Path(source).expanduser()
        place = str(folder) if folder.is_dir() else source
        config = LoraConfig.from_pretrained(place)
        weights = load_file(str(cached_file(place, _WEIGHTS)))
        return Adapter(source, dict(_deltas(_checked(config), weights, model)))
    except LoadError:
        raise
    except Exception as error:
        # The libraries raise whatever comes to hand: OSError, ValueError, KeyError, TypeError, SafetensorError.
        raise LoadError(f"{source!r} could not be read: {str(error)[:_LONGEST_REASON]}") from error


def _checked(config: Any) -> Any:
    if config.peft_type != "LORA":
        raise LoadError(f"It is a {config.peft_type} adapter; only LoRA can be served.")
    if getattr(config, "alora_invocation_tokens", None):
        raise LoadError("It takes effect from certain tokens on (aLoRA), which cannot be served.")
    return config


def _deltas(config: Any, weights: Mapping[str, torch.Tensor], model: Any) -> Iterator[tuple[str, Delta]]:
    strange = [key for key in weights if not key.startswith(_PREFIX) or not key.endswith((_DOWN, _UP))]
    if strange or not weights:
        what = f"{len(strange)} weights such as {strange[0]!r}" if strange else "nothing"
        raise LoadError(f"It holds {what}; only LoRA's own matrices can be served. Merge it into its base instead.")
    modules = dict(model.named_modules())
    for key in weights:
        if key.endswith(_DOWN):
            name = key.removeprefix(_PREFIX).removesuffix(_DOWN)
            module, up = modules.get(name), weights.get(f"{_PREFIX}{name}{_UP}")
            if module is None or up is None:
                raise LoadError(f"It does not belong to this base model: {name} is not there, or not whole.")
            if module is model.get_output_embeddings():
                # Which sees the last tokens of each row only.
                raise LoadError(f"It changes {name}, which cannot be served. Merge it into its base instead.")
            # The module's own weights may be quantized: their number format is none to compute in. Or they may be
            # prepacked, and no parameters.
            device = next(itertools.chain(module.parameters(), module.buffers())).device
            down, up = (matrix.to(device, model.dtype) for matrix in (weights[key], up))
            yield name, Delta(down, up, _scale(config, name, len(down)))


def _scale(config: Any, name: str, rank: int) -> float:
    from peft.utils.other import get_pattern_key

    alpha = config.alpha_pattern.get(get_pattern_key(config.alpha_pattern, name), config.lora_alpha)
    return float(alpha / (rank**0.5 if config.use_rslora else rank))


class Adapters:
    """Puts adapters to use. In the model's thread only."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self._own_attention = model.config._attn_implementation
        self._chosen: Chosen = ()
        self._hooked: set[str] = set()
        self._reached: set[str] = set()

    def fit(self, adapter: Adapter) -> None:
        """Make it fit for use. Raises LoadError if the model cannot run with it."""
        modules = dict(self.model.named_modules())
        for name in adapter.deltas.keys() - self._hooked:
            modules[name].register_forward_hook(self._hook(name))
            self._hooked.add(name)
        self._reached.clear()
        try:
            output = self._probe(adapter)
        except Exception as error:
            # Whatever torch raises for matrices of other sizes, or a module that does not see every token.
            raise LoadError(f"It does not fit this base model: {str(error)[:_LONGEST_REASON]}") from error
        if missed := adapter.deltas.keys() - self._reached:
            raise LoadError(f"It changes {min(missed)}, which text does not pass. Merge it into its base instead.")
        if not torch.isfinite(output).all():
            raise LoadError("With it the model gives no numbers.")

    def _probe(self, adapter: Adapter) -> torch.Tensor:
        ids = torch.tensor([_PROBE], device=self.model.device)
        with self.choosing([(adapter, torch.arange(len(_PROBE)))]), using_attention(self.model, self._own_attention):
            return self.model(input_ids=ids)[0]

    @contextmanager
    def choosing(self, chosen: Chosen) -> Iterator[None]:
        """Within: the model's tokens have these."""
        self._chosen = chosen
        try:
            yield
        finally:
            self._chosen = ()

    def _hook(self, name: str) -> Callable[[Any, tuple[torch.Tensor, ...], torch.Tensor], torch.Tensor]:
        def add(module: Any, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> torch.Tensor:
            if not self._chosen:
                return output
            self._reached.add(name)
            given, added = inputs[0].flatten(0, -2), output.flatten(0, -2)
            for adapter, places in self._chosen:
                if delta := adapter.deltas.get(name):
                    here = places.to(given.device)
                    added.index_add_(0, here, delta(given[here]).to(added.dtype))
            return added.view_as(output)

        return add
