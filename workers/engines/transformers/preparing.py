"""How a loaded model is fed: many rows at a time if it can be, with as much memory for them as there is."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from workers.engines.base import EngineSpec
from workers.engines.transformers import attention
from workers.engines.transformers.adapters import Adapters
from workers.engines.transformers.attention import NotBatchable
from workers.engines.transformers.batched_forward import BatchedForward
from workers.engines.transformers.batched_forward import feed_in_pieces as feed_in_batch
from workers.engines.transformers.devices import memory_for_cache, time_forward, tune_num_threads
from workers.engines.transformers.forward import ForwardPass
from workers.engines.transformers.loading import LoadedModel
from workers.engines.transformers.prepacking import prepack
from workers.engines.transformers.single_forward import SingleForward, feed_in_pieces
from workers.engines.transformers.slot_cache import SlotCache
from workers.engines.transformers.slots import Room
from workers.engines.transformers.vision_forward import VisionForward
from workers.errors import LoadError

if TYPE_CHECKING:
    from workers.engines.transformers.compiling import CompiledModel

logger = logging.getLogger(__name__)

_LONGEST_PIECE_S = 0.1
"""That a step's prompts may hold up the rows that answer."""
_PROBE = ((11, 7, 3, 13, 5, 2, 17, 19, 23), (6, 9, 4, 8, 12))
_MAX_PROBE_ERROR = 0.1
"""Of the logits' own spread. Rounding of bf16 makes a few hundredths; rows that see each other make about 1."""
_TIMED_ROWS = 8
_TIMED_TOKENS = 32
_STEP_TOKENS = range(64, 1025)
"""Also where the timing was disturbed by something else on the machine."""
_GIB = 1024**3
_LEAVE_OUT = "Set the option compile to false."
_LONGEST_REASON = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Feed:
    """The way into a model."""

    forward: ForwardPass
    is_batched: bool
    max_step_tokens: int


def prepare(loaded: LoadedModel, spec: EngineSpec, adapters: Adapters, progressed: Callable[[], None]) -> Feed:
    """`progressed` tells that a long step goes on.

    To be called in the model's thread, under inference_mode. Raises LoadError for too little memory.
    """
    _tune(loaded.model, spec)
    max_step_tokens = _max_step_tokens(loaded.model, spec)
    if loaded.processor:
        forward = VisionForward(loaded.model, progressed)
        return Feed(forward=forward, is_batched=False, max_step_tokens=max_step_tokens)
    rows, alone = _reference(loaded.model)
    try:
        room = make_room(_probe_batching(loaded.model, rows, alone), loaded, spec)
    except LoadError:
        raise
    except Exception as error:
        if spec.options.get("compile"):
            raise LoadError(
                f"This model cannot be compiled, since it cannot be batched: {error}. {_LEAVE_OUT}"
            ) from error
        # Whatever a model that is built otherwise may raise when it is fed in this way.
        logger.warning("This model answers its requests in turns, since it cannot be batched: %s", error)
        _probe_single(loaded.model, rows, alone)
        return Feed(forward=SingleForward(loaded.model, adapters), is_batched=False, max_step_tokens=max_step_tokens)
    model = _compiled(loaded.model, rows, alone) if spec.options.get("compile") else loaded.model
    return Feed(forward=BatchedForward(model, adapters, room), is_batched=True, max_step_tokens=max_step_tokens)


def _reference(model: Any) -> tuple[list[list[int]], torch.Tensor]:
    """Some rows, and logits (rows, vocabulary) after each when it is fed alone and at once."""
    size = model.get_input_embeddings().num_embeddings
    rows = [[token % size for token in row] for row in _PROBE]
    logits = [model(torch.tensor([row], device=model.device), use_cache=False).logits[0, -1] for row in rows]
    return rows, torch.stack(logits)


def _probe_batching(model: Any, rows: list[list[int]], alone: torch.Tensor) -> int:
    """See that rows in a batch come out as alone; the bytes that a position of a row takes.

    The model keeps the attention that it needs for that, unless this raises, whatever it is.
    """
    cache = SlotCache(num_slots=len(rows), capacity=max(map(len, rows)))
    own = model.config._attn_implementation
    try:
        model.set_attn_implementation(attention.NAME)
        _check(feed_in_batch(model, cache, rows), alone)
    except BaseException:
        model.set_attn_implementation(own)
        raise
    return cache.bytes_per_position


def _compiled(model: Any, rows: list[list[int]], alone: torch.Tensor) -> "CompiledModel":
    """Raises LoadError."""
    # Imported only here: torch's compiler takes seconds, and memory.
    from workers.engines.transformers.compiling import CompiledModel

    cache = SlotCache(num_slots=len(rows), capacity=max(map(len, rows)))
    try:
        compiled = CompiledModel(model)
        _check(feed_in_batch(compiled, cache, rows), alone)
        # Torch makes code of its own for a step of a single token.
        _check(feed_in_batch(compiled, cache, rows[:1]), alone[:1])
    except Exception as error:
        # The compiler, and those that it calls, raise whatever comes to hand.
        logger.exception("Compiling failed")
        raise LoadError(
            "This model could not be compiled. On a CPU that needs a C++ compiler (g++) and Python's headers on the "
            f"worker, on a GPU Triton and a C compiler. {_LEAVE_OUT} {str(error)[:_LONGEST_REASON]}"
        ) from error
    compiled.warmed_up()
    return compiled


def _probe_single(model: Any, rows: list[list[int]], alone: torch.Tensor) -> None:
    """See that the model can be fed in pieces at all. Raises LoadError."""
    try:
        _check(feed_in_pieces(model, rows), alone)
    except Exception as error:
        raise LoadError(
            f"This engine cannot run models of this kind ({model.config.model_type}), which say something else when "
            f"they are fed in pieces: {error}. Choose another engine, such as vllm."
        ) from error


def _check(fed: torch.Tensor, alone: torch.Tensor) -> None:
    fed, alone = fed.float(), alone.float()
    error = (fed - alone).norm() / (alone - alone.mean(-1, keepdim=True)).norm()
    # Written so that an error that is no number fails as well.
    if not error < _MAX_PROBE_ERROR:
        raise NotBatchable(f"its logits are {float(error):.0%} off")


def make_room(bytes_per_position: int, loaded: LoadedModel, spec: EngineSpec) -> Room:
    """How far the cache may grow. Raises LoadError where not even one request of full length fits."""
    asked_gb = spec.options.get("kv_cache_gb")
    budget = memory_for_cache(loaded.model.device) if asked_gb is None else int(asked_gb * _GIB)
    max_positions = budget // bytes_per_position
    if max_positions < loaded.context_length:
        needed = loaded.context_length * bytes_per_position
        raise LoadError(
            f"One request of {loaded.context_length} tokens needs {needed / _GIB:.2f} GiB for keys and values, and "
            f"there are {budget / _GIB:.2f} GiB. Set the option max_model_len to {max_positions} or less, or choose a "
            "device with more memory."
        )
    return Room(
        max_slots=spec.max_concurrency,
        max_positions=min(max_positions, spec.max_concurrency * loaded.context_length),
        max_length=loaded.context_length,
    )


def _tune(model: Any, spec: EngineSpec) -> None:
    if model.device.type != "cpu":
        return
    tune_num_threads(lambda: _feed(model, min(spec.max_concurrency, _TIMED_ROWS)))
    # A compiler lays weights out as it likes, and takes only what it knows.
    if not spec.options.get("compile") and (num_prepacked := prepack(model)):
        logger.info("%d linear layers are quicker prepacked", num_prepacked)


def _max_step_tokens(model: Any, spec: EngineSpec) -> int:
    if asked := spec.options.get("max_num_batched_tokens"):
        return max(1, int(asked))
    per_token_s = time_forward(lambda: _feed(model, _TIMED_TOKENS)) / _TIMED_TOKENS
    return max(_STEP_TOKENS[0], min(_STEP_TOKENS[-1], int(_LONGEST_PIECE_S / per_token_s)))


def _feed(model: Any, num_tokens: int) -> None:
    model(input_ids=torch.zeros((1, num_tokens), dtype=torch.long, device=model.device), use_cache=False)
