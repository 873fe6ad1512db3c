"""Weights made smaller while they are loaded, by bitsandbytes, which does the same on CPUs and on CUDA."""

import logging
from typing import Any

import torch
from transformers import BitsAndBytesConfig
from transformers.utils import is_bitsandbytes_available

from protocol.engines import ENGINE_KINDS
from workers.errors import LoadError

_KINDS = ENGINE_KINDS["transformers"].quantizations


def quantization_config(name: str, dtype: torch.dtype) -> Any | None:
    """What from_pretrained is to be told; None for no name. Raises LoadError. `dtype`: what is computed in.

    int8: LLM.int8, 8 bits with outliers apart (Dettmers et al. 2022). nf4: 4 bits for normally distributed weights
    (QLoRA, Dettmers et al. 2023). Embeddings and the output layer stay as they are.
    """
    if not name:
        return None
    if name not in _KINDS:
        raise LoadError(f"There is no quantization {name!r}; choose {' or '.join(_KINDS)}, or leave it empty.")
    if not is_bitsandbytes_available():
        raise LoadError("Quantization needs the package bitsandbytes, which is not installed on this worker.")
    # It warns at each step that it computes in another number format than the model.
    logging.getLogger("bitsandbytes.autograd._functions").setLevel(logging.ERROR)
    if name == "int8":
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=dtype)
