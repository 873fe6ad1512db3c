"""torch.compile for the layers of a model that is batched, where a deployment asks for it.

Layer by layer, since all of them are one piece of code: that takes as long for eighty as for two. What a step's
attention must know of its rows does not pass through the compiled code, which would be compiled anew for each step.
"""

import threading
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import torch
from torch import nn
from transformers import AttentionInterface

from workers.engines.transformers.attention import StepPlan, attend_step

NAME = "flotilla_compiled_step"
"""As an `attn_implementation`; see attention.NAME."""
BACKEND = "inductor"


class _Step(threading.local):
    """The one that the model of this thread computes now."""

    plan: StepPlan
    num_attended: int


_step = _Step()


@torch.library.custom_op("flotilla::attend", mutates_args=())
def _attend(  # noqa: PLR0913 - torch reads the operation's schema from them
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    scaling: float | None,
    window: int | None,
    softcap: float | None,
    sinks: torch.Tensor | None,
) -> torch.Tensor:
    # Counted: a number that is the layer's own would make each layer code of its own.
    layer = SimpleNamespace(layer_idx=_step.num_attended)
    _step.num_attended += 1
    options = {"scaling": scaling, "sliding_window": window, "softcap": softcap, "s_aux": sinks}
    return attend_step(layer, query, key, value, None, step=_step.plan, **options)[0]


@_attend.register_fake
def _(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, *options: Any) -> torch.Tensor:
    return query.new_empty(1, query.shape[2], query.shape[1], value.shape[3])


def _attend_compiled(
    module: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: None, **options: Any
) -> tuple[torch.Tensor, None]:
    """See attend_step, which has been tried with this model's options before."""
    names = ("scaling", "sliding_window", "softcap", "s_aux")
    return _attend(query, key, value, *(options.get(name) for name in names)), None


class CompiledModel:
    """Stands for a model, with its layers compiled. Takes the plan of each step as `step`.

    Code is compiled for the steps that it is called for until `warmed_up` is, and for none after that.
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        self.device = model.device
        self._stance = "default"
        # Embeddings, which have the model compute otherwise, must not wait for a compiler either.
        torch.compiler.set_stance("force_eager")
        for layer in _layers(model):
            layer.compile(dynamic=True, backend=BACKEND)
        model.set_attn_implementation(NAME)

    def __call__(self, *, step: StepPlan, **inputs: Any) -> Any:
        _step.plan, _step.num_attended = step, 0
        with torch.compiler.set_stance(self._stance):
            return self._model(**inputs)

    def warmed_up(self) -> None:
        """A step for which there is no code is computed without, from now on: no request waits for a compiler."""
        self._stance = "eager_on_recompile"


def _layers(model: nn.Module) -> Iterable[nn.Module]:
    """The outermost list of modules: experts, say, are lists within it."""
    return next(module for module in model.modules() if isinstance(module, nn.ModuleList))


AttentionInterface.register(NAME, _attend_compiled)
