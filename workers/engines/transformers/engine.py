"""The transformers engine, asyncio's side: requests are checked and encoded here, then run in the model's thread."""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from protocol.control import ModelInfo
from workers.engines.base import (
    Embeddings,
    EngineSpec,
    EngineStats,
    Generate,
    GenerationEvent,
    Sampling,
    Usage,
)
from workers.engines.limits import check_input_length, check_room, completion_budget
from workers.engines.transformers.detokenizer import Detokenizer
from workers.engines.transformers.devices import tune_num_threads
from workers.engines.transformers.embedding import Embedder, batches
from workers.engines.transformers.forward import ForwardPass
from workers.engines.transformers.loading import LoadedModel, load_model
from workers.engines.transformers.outbox import Outbox
from workers.engines.transformers.prompts import FALLBACK_STOP, PromptEncoder
from workers.engines.transformers.row import Prepared, Row
from workers.engines.transformers.sampling import Sampler
from workers.engines.transformers.step_loop import StepLoop
from workers.engines.transformers.text import AnswerText
from workers.errors import BadRequest

Result = TypeVar("Result")

_NUM_CONTEXT_IDS = 6
"""Of a text that is continued, for the space between it and what follows."""


class TransformersEngine:
    """See the package's docstring."""

    _loaded: LoadedModel
    _encoder: PromptEncoder
    _embedder: Embedder

    def __init__(self, spec: EngineSpec) -> None:
        self._spec = spec
        self._steps = StepLoop(spec.max_concurrency)
        # One thread: a tokenizer keeps state while it encodes. Not asyncio's own, which long prompts would stall.
        self._encoding = ThreadPoolExecutor(1, thread_name_prefix="encode")
        self._num_open = 0
        self._mean_duration_s = 1.0

    async def load(self, report: Callable[[float], None]) -> ModelInfo:
        self._loaded = await asyncio.wrap_future(self._steps.run(lambda: load_model(self._spec, report)))
        self._encoder = PromptEncoder(self._loaded.tokenizer, self._loaded.context_length)
        self._embedder = Embedder(self._loaded.model, is_causal=self._loaded.is_causal)
        if self._loaded.is_causal:
            forward = ForwardPass(self._loaded.model)
            await asyncio.wrap_future(self._steps.run(lambda: _warm_up(forward, self._loaded)))
            self._steps.use(forward)
        report(1.0)
        return self.info

    @property
    def info(self) -> ModelInfo:
        return ModelInfo(context_length=self._loaded.context_length, capabilities=self._capabilities())

    async def generate(self, request: Generate) -> "TransformersGeneration":
        check_room(self._num_open, self._spec.max_concurrency, math.ceil(self._mean_duration_s))
        self._num_open += 1
        try:
            prompt = await self._in_encoding_thread(lambda: self._encode(request))
            prepared = self._prepare(request, prompt)
        except BaseException:
            self._num_open -= 1
            raise
        outbox = Outbox(asyncio.get_running_loop())
        row = Row(prepared, outbox)
        self._steps.submit(row)
        return TransformersGeneration(row, outbox, self._closed)

    async def embed(self, inputs: list[str] | list[list[int]]) -> Embeddings:
        ids = await self._in_encoding_thread(lambda: [self._encode_input(item) for item in inputs])
        for position, item in enumerate(ids):
            check_input_length(len(item), position, self._loaded.context_length)
        vectors: list[list[float]] = [[]] * len(ids)
        for positions in batches([len(item) for item in ids]):
            batch = [ids[position] for position in positions]
            for position, vector in zip(positions, await self._embed_batch(batch), strict=True):
                vectors[position] = vector
        return Embeddings(vectors=vectors, usage=Usage(prompt_tokens=sum(map(len, ids))))

    def stats(self) -> EngineStats:
        return EngineStats(num_running=self._steps.num_running, num_waiting=self._steps.num_waiting)

    async def close(self) -> None:
        await asyncio.to_thread(self._steps.close)
        self._encoding.shutdown()

    def _capabilities(self) -> list[str]:
        if not self._loaded.is_causal:
            return ["embeddings"]
        tools = ["tools"] if self._encoder.can_use_tools else []
        return ["chat", "completions", "embeddings", *tools, "continuation", "resume"]

    def _encode(self, request: Generate) -> list[int]:
        if request.messages is not None:
            return self._encoder.encode_chat(request.messages, request.tools, continues=request.continues_last_message)
        if request.prompt_tokens is not None:
            return self._check_ids(request.prompt_tokens, param="prompt")
        return self._encoder.encode_prompt(request.prompt or "")

    def _encode_input(self, item: str | list[int]) -> list[int]:
        ids = self._encoder.encode_input(item) if isinstance(item, str) else self._check_ids(item, param="input")
        if not ids:
            raise BadRequest("'input' holds a text without a single token.", param="input")
        return ids

    def _check_ids(self, ids: list[int], *, param: str) -> list[int]:
        size = self._loaded.model.get_input_embeddings().num_embeddings
        for token in ids:
            if not 0 <= token < size:
                raise BadRequest(
                    f"Token id {token} is outside this model's vocabulary of {size}. Send text, or ids of this model's "
                    "own tokenizer.",
                    param=param,
                )
        return ids

    def _prepare(self, request: Generate, prompt: list[int]) -> Prepared:
        is_chat = request.messages is not None
        needs_stop = is_chat and not self._encoder.has_template
        begins_anew = is_chat and not request.continues_last_message
        context = [] if begins_anew else prompt[-_NUM_CONTEXT_IDS:]
        if request.resume:
            self._check_ids(list(request.resume.tokens), param="resume.token_ids")
        return Prepared(
            prompt=prompt,
            resume=request.resume,
            max_tokens=completion_budget(request, len(prompt), self._loaded.context_length),
            end_tokens=self._loaded.end_tokens,
            sampler=Sampler(self._sampling(request.sampling), self._loaded.model.device),
            text=AnswerText(
                Detokenizer(self._loaded.tokenizer, context),
                (*request.stop, *([FALLBACK_STOP] if needs_stop else [])),
                has_tools=bool(request.tools),
            ),
        )

    def _sampling(self, asked: Sampling) -> Sampling:
        default = self._loaded.default_sampling
        return Sampling(
            temperature=default.temperature if asked.temperature is None else asked.temperature,
            top_p=default.top_p if asked.top_p is None else asked.top_p,
            seed=asked.seed,
        )

    async def _in_encoding_thread(self, act: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._encoding, act)

    async def _embed_batch(self, batch: list[list[int]]) -> list[list[float]]:
        return await asyncio.wrap_future(self._steps.run(lambda: self._embedder.embed(batch)))

    def _closed(self, duration_s: float) -> None:
        self._num_open -= 1
        self._mean_duration_s += 0.1 * (duration_s - self._mean_duration_s)


class TransformersGeneration:
    """One accepted request, as asyncio sees it."""

    def __init__(self, row: Row, outbox: Outbox, on_close: Callable[[float], None]) -> None:
        self._row, self._on_close = row, on_close
        self._events = outbox.read()
        self._began = time.monotonic()
        self._is_closed = False

    @property
    def usage(self) -> Usage:
        return self._row.usage

    def __aiter__(self) -> AsyncIterator[GenerationEvent]:
        return self._events

    def cancel(self) -> None:
        self._row.cancel()

    async def aclose(self) -> None:
        self._row.cancel()
        await self._events.aclose()
        if not self._is_closed:
            self._is_closed = True
            self._on_close(time.monotonic() - self._began)


def _warm_up(forward: ForwardPass, loaded: LoadedModel) -> None:
    """The first forward is slow; and only the model itself can tell how many threads it likes."""
    forward.probe()
    if loaded.model.device.type == "cpu":
        tune_num_threads(forward.probe)
