"""Linear layers on a CPU with their weights laid out once as oneDNN's kernels read them, instead of at each call.

The operations are torch's own, but private: each shape of layer is tried before it is used, and stays as it is where
that fails or gains nothing.
"""

import logging
from typing import Any

import torch
from torch import nn

from workers.engines.transformers.devices import time_in_turns

logger = logging.getLogger(__name__)

_TYPICAL_TOKENS = 8
"""The layout is chosen for so many. One for a single token is slower for more; this one is hardly slower for one."""
_NUM_ROUNDS = 10
_MIN_GAIN = 1.05
"""What a clock on a busy machine may find between equals."""
_MAX_ERROR = 0.02
"""Of the outputs' own size. Rounding of bf16 makes less than one hundredth."""
_DTYPES = (torch.float32, torch.bfloat16)


class PrepackedLinear(nn.Module):
    """An nn.Linear that cannot be trained, moved or saved."""

    weight: torch.Tensor

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        packed = torch.ops.mkldnn._reorder_linear_weight(linear.weight, _TYPICAL_TOKENS)
        self.register_buffer("weight", packed, persistent=False)
        self.bias = linear.bias

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        output: torch.Tensor = torch.ops.mkldnn._linear_pointwise(inputs, self.weight, self.bias, "none", [], "")
        return output


def prepack(model: nn.Module) -> int:
    """Exchange the linear layers on a CPU that gain by it; how many. To be called under inference_mode.

    The layers' old weights go one by one. Two things stay beside the new ones: embeddings that are the output layer's
    weights as well, since tokens are looked up in them; and where weights came from a file as they are, its pages in
    the machine's cache, which the system takes back when it needs them.
    """
    names = [name for name, module in model.named_modules() if _can_be_prepacked(module)]
    gains: dict[tuple[int, int, torch.dtype], bool] = {}
    num_prepacked = 0
    for name in names:
        linear: Any = model.get_submodule(name)
        shape = (linear.in_features, linear.out_features, linear.weight.dtype)
        if shape not in gains:
            gains[shape] = _gains(linear)
        if gains[shape]:
            model.set_submodule(name, PrepackedLinear(linear))
            num_prepacked += 1
    return num_prepacked


def _can_be_prepacked(module: nn.Module) -> bool:
    # Subclasses are quantized, or compute something else.
    return type(module) is nn.Linear and module.weight.device.type == "cpu" and module.weight.dtype in _DTYPES


def _gains(linear: nn.Linear) -> bool:
    many = torch.randn(1, _TYPICAL_TOKENS, linear.in_features).to(linear.weight.dtype)
    one = many[:, :1]
    try:
        prepacked = PrepackedLinear(linear)
        _check(prepacked(many), linear(many))
    except (AttributeError, RuntimeError, ArithmeticError) as error:
        logger.info("Linear layers of %s stay as they are: %s", tuple(linear.weight.shape), error)
        return False
    plain_s, prepacked_s = time_in_turns(
        lambda: (linear(one), linear(many)), lambda: (prepacked(one), prepacked(many)), num_rounds=_NUM_ROUNDS
    )
    return plain_s > _MIN_GAIN * prepacked_s


def _check(output: torch.Tensor, expected: torch.Tensor) -> None:
    error = float((output - expected).float().norm() / expected.float().norm())
    # Written so that an error that is no number fails as well.
    if not error < _MAX_ERROR:
        raise ArithmeticError(f"prepacked, their outputs are {error:.0%} off")
