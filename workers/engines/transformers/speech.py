"""The engine for models that write down what is said, such as Whisper: window by window, requests in turns.

recording.py   a file → samples, a window at a time
whisper.py     a window → tokens, in the model's thread
segments.py    tokens → segments with times, and where the next window begins
"""

import asyncio
import threading
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from transformers.models.whisper.tokenization_whisper import LANGUAGES

from protocol.control import ModelInfo
from workers.engines.base import Engine, EngineSpec, EngineStats, SpokenSegment, Transcribe, Transcript, Usage
from workers.engines.limits import check_room
from workers.engines.transformers.loading import Report, load_speech_model
from workers.engines.transformers.recording import SAMPLE_RATE, Recording, Samples
from workers.engines.transformers.segments import segments_in
from workers.engines.transformers.step_loop import StepLoop
from workers.engines.transformers.whisper import Heard, Whisper, Wish
from workers.errors import EngineFailed

Result = TypeVar("Result")

CAPABILITY = "transcription"
WINDOW_S = 30
DEFAULT_MAX_AUDIO_S = 4 * 3600
_LONGEST_TOKEN_S = 60.0
_RETRY_AFTER_S = 10


class SpeechEngine(Engine):
    """One model. Each turn of its thread hears one window, of the request whose turn it is."""

    _whisper: Whisper
    _tokenizer: Any
    _extractor: Any

    def __init__(self, spec: EngineSpec) -> None:
        self._spec = spec
        self._steps = StepLoop(spec.max_concurrency)
        # One thread: neither decoders nor tokenizers may be asked by several.
        self._reading = ThreadPoolExecutor(1, thread_name_prefix="read")
        self._max_seconds = float(spec.options.get("max_audio_s", DEFAULT_MAX_AUDIO_S))
        self._num_open = 0
        self._is_closing = threading.Event()

    async def load(self, report: Callable[[float], None]) -> ModelInfo:
        loaded = await asyncio.wrap_future(self._steps.run(partial(_load, self._spec, report)))
        self._whisper, self._tokenizer, self._extractor = loaded
        report(1.0)
        return self.info

    @property
    def info(self) -> ModelInfo:
        return ModelInfo(context_length=self._whisper.context_length, capabilities=[CAPABILITY])

    async def transcribe(self, request: Transcribe) -> Transcript:
        check_room(self._num_open, self._spec.max_concurrency, _RETRY_AFTER_S)
        self._num_open += 1
        is_gone = threading.Event()
        try:
            return await self._transcribe(request, is_gone)
        finally:
            is_gone.set()
            self._num_open -= 1

    def stats(self) -> EngineStats:
        if self._steps.turn_s > _LONGEST_TOKEN_S:
            # Whoever watches this engine hears no figures any more, and starts it again.
            raise EngineFailed(f"A step has not ended for {self._steps.turn_s:.0f} s.")
        num_running = min(self._num_open, self._spec.max_concurrency)
        return EngineStats(num_running=num_running, num_waiting=self._num_open - num_running)

    async def close(self) -> None:
        self._is_closing.set()
        await asyncio.to_thread(self._steps.close)
        self._reading.shutdown()

    async def _transcribe(self, request: Transcribe, is_gone: threading.Event) -> Transcript:
        language = self._whisper.language(request.language)
        prompt = await self._in_reading_thread(lambda: self._whisper.prompt(request.prompt))
        wish = Wish(language=language, prompt=prompt, temperature=request.temperature)
        open_recording = partial(Recording, request.data, max_seconds=self._max_seconds)
        recording = await self._in_reading_thread(open_recording)
        transcript = Transcript(language=wish.language)
        at = 0
        while len(samples := await self._in_reading_thread(partial(recording.window, at, WINDOW_S * SAMPLE_RATE))):
            features = await self._in_reading_thread(partial(self._features, samples))
            hear = partial(self._whisper.hear, features, wish, partial(self._is_wanted, is_gone))
            heard = await asyncio.wrap_future(self._steps.run(hear))
            transcript, understood_s = self._with(transcript, heard, at, len(samples) / SAMPLE_RATE)
            # One language for all, and the prompt before the beginning alone.
            wish = replace(wish, language=heard.language, prompt=())
            at += max(1, round(understood_s * SAMPLE_RATE))
        return self._finished(transcript, prompt, recording.num_samples / SAMPLE_RATE)

    def _with(self, transcript: Transcript, heard: Heard, at: int, window_s: float) -> tuple[Transcript, float]:
        """With the segments of one more window, and how much of that was understood, in seconds."""
        if not heard.tokens:
            return replace(transcript, language=heard.language), window_s
        segments, understood_s = segments_in(heard.tokens, self._whisper.first_time, window_s)
        told = [self._segment(segment, heard, at / SAMPLE_RATE) for segment in segments if segment.tokens]
        return replace(transcript, language=heard.language, segments=(*transcript.segments, *told)), understood_s

    def _segment(self, segment: Any, heard: Heard, offset_s: float) -> SpokenSegment:
        text = self._tokenizer.decode(list(segment.tokens), skip_special_tokens=True)
        return SpokenSegment(
            start_s=round(offset_s + segment.start_s, 3),
            end_s=round(offset_s + segment.end_s, 3),
            window_start_s=offset_s,
            text=text,
            tokens=segment.tokens,
            avg_logprob=heard.avg_logprob,
            compression_ratio=_compression_ratio(text),
            no_speech_prob=heard.no_speech_prob,
        )

    def _finished(self, transcript: Transcript, prompt: tuple[int, ...], duration_s: float) -> Transcript:
        usage = Usage(
            prompt_tokens=len(prompt), completion_tokens=sum(len(segment.tokens) for segment in transcript.segments)
        )
        language = LANGUAGES.get(transcript.language or "en", transcript.language)
        return replace(transcript, language=language, duration_s=duration_s, usage=usage)

    def _features(self, samples: Samples) -> Any:
        return self._extractor(samples, sampling_rate=SAMPLE_RATE, return_tensors="pt")["input_features"]

    def _is_wanted(self, is_gone: threading.Event) -> bool:
        """Asked once for each token: the thread lives."""
        self._steps.progressed()
        return not (is_gone.is_set() or self._is_closing.is_set())

    async def _in_reading_thread(self, act: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._reading, act)


def _load(spec: EngineSpec, report: Report) -> tuple[Whisper, Any, Any]:
    model, tokenizer, extractor = load_speech_model(spec, report)
    return Whisper(model, tokenizer), tokenizer, extractor


def _compression_ratio(text: str) -> float:
    """How much a text repeats itself; from about 2.4 on a model goes round in circles."""
    data = text.encode()
    return len(data) / len(zlib.compress(data)) if data else 0.0
