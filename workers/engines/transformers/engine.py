"""The transformers engine, asyncio's side: requests are checked and encoded here, then run in the model's thread."""

import asyncio
import logging
import secrets
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sized
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import TypeVar

from protocol.control import ModelInfo
from protocol.engines import LongInputs
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
from workers.engines.base import (
    Classifications,
    Embeddings,
    Engine,
    EngineSpec,
    EngineStats,
    Generate,
    GenerationEvent,
    Ranking,
    Sampling,
    Usage,
)
from workers.engines.limits import completion_budget
from workers.engines.transformers.adapter_roster import Roster
from workers.engines.transformers.adapters import Adapters
from workers.engines.transformers.answer_grammar import Wanted
from workers.engines.transformers.classifying import Classifier
from workers.engines.transformers.detokenizer import Detokenizer
from workers.engines.transformers.embedding import Embedder
from workers.engines.transformers.grammars import Constraint, Grammars
from workers.engines.transformers.images import Seen, Viewer, images_in
from workers.engines.transformers.inputs import InputEncoder, check_ids
from workers.engines.transformers.line import Line, Place
from workers.engines.transformers.loading import LoadedModel, load_model
from workers.engines.transformers.markup import Markup, markup_of
from workers.engines.transformers.outbox import Outbox
from workers.engines.transformers.padding import batches
from workers.engines.transformers.preparing import prepare
from workers.engines.transformers.prompts import FALLBACK_STOP, PromptEncoder
from workers.engines.transformers.readers import MarkReader, Reader, TemplateReader
from workers.engines.transformers.reranking import Reranker
from workers.engines.transformers.row import Prepared, Row
from workers.engines.transformers.sampling import Sampler
from workers.engines.transformers.speller import Speller
from workers.engines.transformers.step_loop import StepLoop
from workers.engines.transformers.text import AnswerText
from workers.engines.transformers.thoughts import ThoughtParser, expected_of
from workers.engines.transformers.tool_calls import ToolCallParser
from workers.errors import BadRequest, EngineFailed, LoadError

logger = logging.getLogger(__name__)

Result = TypeVar("Result")
Item = TypeVar("Item", bound=Sized)

BY_GRAMMARS = (STRUCTURED, GRAMMAR, TOOL_CHOICE, FUNCTIONS)
HONOURED = (SAMPLING, LOGPROBS, CHOICES, ECHO, DIMENSIONS, *BY_GRAMMARS)
"""Beyond what every engine can do; see protocol.parameters. The former need a tokenizer that grammars can read."""
_LONGEST_TURN_S = 60.0
_SEED_BITS = 63
_NUM_CONTEXT_IDS = 6
"""Of a text that is continued, for the space between it and what follows."""
_NUM_END_IDS = 32
"""Of a prompt, in which a template may have opened a thought, and closed it again."""


class TransformersEngine(Engine):
    """See the package's docstring."""

    _loaded: LoadedModel
    _encoder: PromptEncoder
    _inputs: InputEncoder
    _viewer: Viewer | None
    """Of a model that sees."""
    _roster: Roster
    _embedder: Embedder
    _classifier: Classifier
    _reranker: Reranker
    _speller: Speller
    _markup: Markup

    def __init__(self, spec: EngineSpec) -> None:
        self._spec = spec
        self._steps = StepLoop(spec.max_concurrency)
        # One thread: a tokenizer keeps state while it encodes. Not asyncio's own, which long prompts would stall.
        self._encoding = ThreadPoolExecutor(1, thread_name_prefix="encode")
        self._is_batched = False
        self._grammars: Grammars | None = None
        self._line = Line(spec.max_concurrency)

    async def load(self, report: Callable[[float], None]) -> ModelInfo:
        self._loaded = await self._in_model_thread(lambda: load_model(self._spec, report))
        self._viewer = Viewer(self._loaded.processor) if self._loaded.processor else None
        self._encoder = PromptEncoder(
            self._loaded.tokenizer,
            self._loaded.context_length,
            image_token=self._viewer.image_token if self._viewer else "",
            lowers_case=self._loaded.sentence_model.lowers_case,
        )
        self._inputs = self._input_encoder()
        self._speller = Speller(self._loaded.tokenizer)
        self._markup = markup_of(self._loaded.tokenizer)
        adapters = Adapters(self._loaded.model)
        self._roster = Roster(adapters, self._in_model_thread)
        self._embedder = Embedder(self._loaded.model, adapters, self._loaded.sentence_model)
        if self._loaded.is_reranker:
            self._reranker = Reranker(self._loaded.model)
        elif self._loaded.is_classifier:
            self._classifier = Classifier(self._loaded.model)
        if self._loaded.is_causal:
            progressed = self._steps.progressed
            feed = await self._in_model_thread(lambda: prepare(self._loaded, self._spec, adapters, progressed))
            self._steps.use(feed.forward, feed.max_step_tokens)
            self._is_batched = feed.is_batched
            self._grammars = await self._in_encoding_thread(self._make_grammars)
        report(1.0)
        return self.info

    @property
    def info(self) -> ModelInfo:
        return ModelInfo(context_length=self._loaded.context_length, capabilities=self._capabilities())

    async def use_adapters(self, wanted: Mapping[str, str]) -> dict[str, str]:
        if self._viewer:
            # Trying one out would disturb what such a model knows of the row that it is answering.
            return dict.fromkeys(wanted, "A model that sees images cannot have adapters here.")
        if self._spec.options.get("compile"):
            return dict.fromkeys(wanted, "A compiled model cannot have adapters: set the option compile to false.")
        return await self._roster.use(wanted)

    async def generate(self, request: Generate) -> "TransformersGeneration":
        self._line.join()
        try:
            seen = await self._in_encoding_thread(lambda: self._look_at(request))
            prompt = await self._in_encoding_thread(lambda: self._encode(request, seen))
            thoughts = self._thoughts(request, prompt)
            constraint = await self._constraint(request, thoughts)
            outbox = Outbox(asyncio.get_running_loop())
            row = Row(replace(self._prepare(request, prompt, constraint, thoughts), seen=seen), outbox)
        except BaseException:
            self._line.leave()
            raise
        self._steps.submit(row)
        return TransformersGeneration(row, outbox, self._line.leave)

    async def embed(
        self, inputs: list[str] | list[list[int]], dimensions: int | None = None, *, model: str = ""
    ) -> Embeddings:
        adapter = self._roster.adapter(model)
        with self._line.place() as place:
            inputs_pieces = await self._in_encoding_thread(lambda: self._inputs.pieces(inputs))
            ids = [piece for pieces in inputs_pieces for piece in pieces]
            vectors = await self._in_batches(place, ids, partial(self._embedder.embed, adapter=adapter))
            whole = await self._in_encoding_thread(lambda: self._embedder.whole(inputs_pieces, vectors, dimensions))
        return Embeddings(vectors=whole, usage=Usage(prompt_tokens=sum(map(len, ids))))

    async def classify(self, inputs: list[str]) -> Classifications:
        with self._line.place() as place:
            ids = await self._in_encoding_thread(lambda: [piece for (piece,) in self._inputs.pieces(inputs)])
            scores = await self._in_batches(place, ids, self._classifier.classify)
        return Classifications(scores=scores, usage=Usage(prompt_tokens=sum(map(len, ids))))

    async def rerank(self, query: str, documents: list[str]) -> Ranking:
        with self._line.place() as place:
            pairs = await self._in_encoding_thread(lambda: self._inputs.pairs(query, documents))
            scores = await self._in_batches(place, pairs, self._reranker.scores)
        return Ranking(scores=scores, usage=Usage(prompt_tokens=sum(map(len, pairs))))

    async def tokenize(self, request: Generate) -> list[int]:
        # Images may have been sent with it, and wait for their turn as those of other requests do.
        with self._line.place() as place:
            act = place.begins(lambda: self._encode(request, self._look_at(request)))
            return await self._in_encoding_thread(act)

    def stats(self) -> EngineStats:
        if self._steps.turn_s > _LONGEST_TURN_S:
            # Whoever watches this engine hears no figures any more, and starts it again.
            raise EngineFailed(f"A step has not ended for {self._steps.turn_s:.0f} s.")
        return EngineStats(
            num_running=self._steps.num_running + self._line.num_running,
            num_waiting=self._steps.num_waiting + self._line.num_waiting,
            cache_usage=self._steps.cache_usage,
            num_out_of_memory=self._steps.num_out_of_memory,
            max_step_tokens=self._steps.max_step_tokens,
        )

    async def close(self) -> None:
        await asyncio.to_thread(self._steps.close)
        self._encoding.shutdown()
        if self._grammars:
            await asyncio.to_thread(self._grammars.close)

    def _capabilities(self) -> list[str]:
        if self._loaded.is_reranker:
            return ["rerank", "tokenize"]
        if self._loaded.is_classifier:
            return ["moderation", "tokenize"]
        if not self._loaded.is_causal:
            return ["embeddings", "tokenize", DIMENSIONS]
        tools = ["tools"] if self._encoder.can_use_tools else []
        batching = ["batching"] if self._is_batched else []
        return [
            "chat",
            "completions",
            VISION if self._viewer else "embeddings",
            "tokenize",
            *tools,
            "continuation",
            "resume",
            *batching,
            *(item for item in HONOURED if self._grammars or item not in BY_GRAMMARS),
        ]

    def _make_grammars(self) -> Grammars | None:
        try:
            end_tokens = sorted(self._loaded.end_tokens)
            return Grammars(self._loaded.tokenizer, self._vocabulary_size, end_tokens, self._markup)
        except ValueError as error:
            logger.warning("This model cannot be held to schemas and grammars: %s", error)
            return None

    @property
    def _vocabulary_size(self) -> int:
        return int(self._loaded.model.get_input_embeddings().num_embeddings)

    def _look_at(self, request: Generate) -> Seen | None:
        images = images_in(request.messages or [])
        return self._viewer.look_at(images) if self._viewer and images else None

    def _encode(self, request: Generate, seen: Seen | None) -> list[int]:
        if request.messages is not None:
            return self._encoder.encode_chat(
                request.messages,
                request.tools,
                continues=request.continues_last_message,
                placeholders=seen.placeholders if seen else (),
            )
        if request.prompt_tokens is not None:
            check_ids(request.prompt_tokens, self._vocabulary_size, param="prompt")
            return request.prompt_tokens
        return self._encoder.encode_prompt(request.prompt or "")

    def _input_encoder(self) -> InputEncoder:
        """Raises LoadError."""
        long_inputs = LongInputs.of(self._spec.options)
        if self._loaded.is_classifier and long_inputs is LongInputs.AVERAGE:
            raise LoadError("Only vectors can be averaged: set the option long_inputs to refuse or cut.")
        return InputEncoder(
            self._encoder,
            context_length=self._loaded.context_length,
            vocabulary_size=self._vocabulary_size,
            long_inputs=long_inputs,
        )

    def _thoughts(self, request: Generate, prompt: list[int]) -> ThoughtParser | None:
        """For an answer to a chat, where the model thinks aloud."""
        marks = self._markup.thoughts
        if marks is None or request.messages is None or request.continues_last_message:
            return None
        return ThoughtParser(marks, self._loaded.tokenizer.decode(prompt[-_NUM_END_IDS:], skip_special_tokens=False))

    async def _constraint(self, request: Generate, thoughts: ThoughtParser | None) -> Constraint | None:
        wanted = Wanted(
            form=request.form,
            tools=tuple(request.tools or ()),
            tool_use=request.tool_use,
            thinking=expected_of(thoughts),
        )
        if wanted.is_anything or self._grammars is None:
            return None
        constraint = await self._grammars.constraint(wanted)
        if request.resume and not constraint.fits(request.resume.tokens):
            raise BadRequest("These tokens do not have the form that is asked for.", param="resume.token_ids")
        return constraint

    def _prepare(
        self, request: Generate, prompt: list[int], constraint: Constraint | None, thoughts: ThoughtParser | None
    ) -> Prepared:
        is_chat = request.messages is not None
        needs_stop = is_chat and not self._encoder.has_template
        begins_anew = is_chat and not request.continues_last_message
        context = [] if begins_anew else prompt[-_NUM_CONTEXT_IDS:]
        if request.resume:
            check_ids(request.resume.tokens, self._vocabulary_size, param="resume.token_ids")
        check_ids(list(request.sampling.logit_bias), self._vocabulary_size, param="logit_bias")
        return Prepared(
            prompt=prompt,
            resume=request.resume,
            max_tokens=completion_budget(request, len(prompt), self._loaded.context_length),
            end_tokens=self._end_tokens(request.sampling),
            sampler=self._sampler(request.sampling, prompt, constraint),
            speller=self._speller,
            adapter=self._roster.adapter(request.model),
            beginning=self._echo(request) if request.echoes_prompt else "",
            counts_prompt=not request.is_further_choice,
            text=AnswerText(
                Detokenizer(self._loaded.tokenizer, context, self._markup.hidden if is_chat else None),
                (*request.stop, *([FALLBACK_STOP] if needs_stop else [])),
                self._reader(request, prompt, thoughts),
            ),
        )

    def _echo(self, request: Generate) -> str:
        if request.prompt is not None:
            return request.prompt
        return str(self._loaded.tokenizer.decode(request.prompt_tokens or [], skip_special_tokens=False))

    def _reader(self, request: Generate, prompt: list[int], thoughts: ThoughtParser | None) -> Reader | None:
        max_calls = None if request.tool_use.is_parallel else 1
        if request.messages is not None and self._markup.template:
            shown = self._loaded.tokenizer.decode(prompt, skip_special_tokens=False)
            return TemplateReader(self._markup.template, shown, request.tools, max_calls)
        return MarkReader(thoughts, ToolCallParser(self._markup.calls, max_calls) if request.tools else None)

    def _sampler(self, asked: Sampling, prompt: list[int], constraint: Constraint | None) -> Sampler:
        default = self._loaded.default_sampling
        sampling = replace(
            asked,
            temperature=default.temperature if asked.temperature is None else asked.temperature,
            top_p=default.top_p if asked.top_p is None else asked.top_p,
        )
        return Sampler(
            sampling=sampling,
            seed=secrets.randbits(_SEED_BITS) if asked.seed is None else asked.seed,
            prompt=frozenset(prompt) if asked.repetition_penalty != 1 else frozenset(),
            end_tokens=self._end_tokens(asked),
            constraint=constraint,
        )

    def _end_tokens(self, asked: Sampling) -> frozenset[int]:
        return asked.stop_tokens | (frozenset() if asked.ignores_end else self._loaded.end_tokens)

    async def _in_encoding_thread(self, act: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._encoding, act)

    async def _in_model_thread(self, act: Callable[[], Result]) -> Result:
        return await asyncio.wrap_future(self._steps.run(act))

    async def _in_batches(
        self, place: Place, ids: list[Item], act: Callable[[list[Item]], list[Result]]
    ) -> list[Result]:
        """What the act gives for each, in their order; running streams go on between two batches."""
        found: dict[int, Result] = {}
        for positions in batches([len(item) for item in ids]):
            batch = [ids[position] for position in positions]
            results = await self._in_model_thread(place.begins(partial(act, batch)))
            found |= zip(positions, results, strict=True)
        return [found[position] for position in range(len(ids))]


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
