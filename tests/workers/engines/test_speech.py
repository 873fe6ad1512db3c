"""What is said in a recording, by a model of Whisper's kind."""

import asyncio
import base64
import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import numpy
import openai
import pytest
import soundfile
import torch
from openai.types.audio import TranscriptionVerbose
from transformers import WhisperFeatureExtractor, WhisperForConditionalGeneration

from tests.workers.engines.conftest import post, serve
from tests.workers.engines.tiny_whisper import SAID, recording, save_whisper
from workers.engines.base import EngineSpec, Transcribe
from workers.engines.registry import make_engine
from workers.engines.transformers.loading import load_speech_model
from workers.engines.transformers.recording import SAMPLE_RATE, Recording
from workers.engines.transformers.segments import segments_in
from workers.engines.transformers.speech import SpeechEngine
from workers.engines.transformers.whisper import Whisper, Wish
from workers.errors import BadRequest, Overloaded

TEXT = "Hello today Paris"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_whisper(tmp_path_factory.mktemp("whisper"), SAID)


@pytest.fixture
async def engine(folder: Path) -> AsyncIterator[SpeechEngine]:
    async for engine in started(folder):
        yield engine


async def started(folder: Path, **options: object) -> AsyncIterator[SpeechEngine]:
    spec = EngineSpec(engine="transformers", source=str(folder), device="cpu", max_concurrency=1, options=options)
    engine = make_engine(spec)
    assert isinstance(engine, SpeechEngine)
    try:
        await engine.load(lambda progress: None)
        yield engine
    finally:
        await engine.close()


@pytest.fixture
async def client(engine: SpeechEngine) -> AsyncIterator[openai.AsyncOpenAI]:
    async with serve(engine, EngineSpec(engine="transformers", source="")) as client:
        yield client


def asked(data: bytes, **fields: Any) -> dict[str, Any]:
    """As the gateway asks."""
    file = {"name": "a.wav", "type": "audio/wav", "data": base64.b64encode(data).decode()}
    return {"model": "m", "file": file, **fields}


async def test_what_was_said_is_told_with_its_times_and_language(engine: SpeechEngine) -> None:
    said = await engine.transcribe(Transcribe(data=recording(5)))

    assert (said.text, said.language, said.duration_s) == (TEXT, "english", pytest.approx(5))
    assert [(segment.text, segment.start_s, segment.end_s) for segment in said.segments] == [
        (" Hello today", 0, 2), (" Paris", 2, 4),
    ]  # fmt: skip
    assert said.usage.completion_tokens == sum(len(segment.tokens) for segment in said.segments) > 0
    assert engine.info.capabilities == ["transcription"]


async def test_a_long_recording_is_heard_to_its_end(engine: SpeechEngine) -> None:
    said = await engine.transcribe(Transcribe(data=recording(65)))

    assert said.text == " ".join([TEXT] * 3)
    assert [segment.start_s for segment in said.segments] == [0, 2, 30, 32, 60, 62]
    assert said.duration_s == pytest.approx(65)


async def test_each_window_is_heard_as_transformers_itself_hears_it(tmp_path: Path) -> None:
    folder = save_whisper(tmp_path)
    data = recording(8)
    samples = Recording(data, max_seconds=60).window(0, 30 * SAMPLE_RATE)
    features = WhisperFeatureExtractor()(samples, sampling_rate=SAMPLE_RATE, return_tensors="pt")["input_features"]
    model = WhisperForConditionalGeneration.from_pretrained(folder)
    with torch.inference_mode():
        expected = model.generate(features, language="de", task="transcribe", return_timestamps=True)[0]

    async for engine in started(folder):
        said = await engine.transcribe(Transcribe(data=data, language="de"))

    first_time = model.generation_config.no_timestamps_token_id + 1
    words = [
        token for token in expected.tolist() if token < first_time and token != model.generation_config.eos_token_id
    ]
    heard = [token for segment in said.segments if segment.window_start_s == 0 for token in segment.tokens]
    assert len(heard) > 2
    assert heard == words[: len(heard)]


@pytest.mark.parametrize(
    ("kind", "sample_rate", "channels"),
    [("WAV", 44_100, 2), ("FLAC", 8_000, 1), ("OGG", 48_000, 2), ("MP3", 22_050, 1)],
)
def test_recordings_of_every_usual_format_are_read(kind: str, sample_rate: int, channels: int) -> None:
    data = recording(12, kind=kind, sample_rate=sample_rate, channels=channels)
    read = Recording(data, max_seconds=60).window(0, 30 * SAMPLE_RATE)

    # Encoders add some silence at the ends.
    assert len(read) / SAMPLE_RATE == pytest.approx(12, abs=0.2)
    assert 0.15 < float(abs(read).mean()) < 0.25


def test_windows_of_a_recording_are_what_was_recorded_at_that_time() -> None:
    data = recording(35)
    whole = Recording(data, max_seconds=60).window(0, 35 * SAMPLE_RATE)
    parts = Recording(data, max_seconds=60)

    assert (parts.window(0, 16_000) == whole[:16_000]).all()
    assert (parts.window(400_000, 16_000) == whole[400_000:416_000]).all()
    assert len(parts.window(20 * 35 * SAMPLE_RATE, 16_000)) == 0
    assert parts.num_samples == 35 * SAMPLE_RATE


async def test_openais_form_is_whole(client: openai.AsyncOpenAI) -> None:
    answer = await post(client, "audio/transcriptions", asked(recording(5), response_format="verbose_json"))

    told = TranscriptionVerbose.model_validate(answer.json())
    assert (told.text, told.language, told.duration) == (TEXT, "english", pytest.approx(5))
    assert [segment.id for segment in told.segments or []] == [0, 1]
    assert told.usage is not None
    assert told.usage.seconds == pytest.approx(5)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("text", f"{TEXT}\n"),
        ("srt", "1\n00:00:00,000 --> 00:00:02,000\nHello today\n\n2\n00:00:02,000 --> 00:00:04,000\nParis\n\n"),
        ("vtt", "WEBVTT\n\n00:00:00.000 --> 00:00:02.000\nHello today\n\n00:00:02.000 --> 00:00:04.000\nParis\n\n"),
    ],
)
async def test_openais_client_may_send_its_form_to_the_engine_alone(
    client: openai.AsyncOpenAI, kind: Any, expected: str
) -> None:
    file = ("a.flac", recording(5, kind="FLAC"), "audio/flac")

    assert (
        await client.audio.transcriptions.create(model="m", file=file, temperature=0.4, response_format=kind)
        == expected
    )


async def test_a_wrong_form_is_refused_by_name(client: openai.AsyncOpenAI) -> None:
    async with httpx2.AsyncClient(base_url=client.base_url) as plain:
        wrong = await plain.post("audio/transcriptions", data={"model": "m"}, files={"sound": b"x"})
        broken = await plain.post(
            "audio/transcriptions", content=b"--x", headers={"Content-Type": "multipart/form-data; boundary=y"}
        )

    assert (wrong.status_code, wrong.json()["error"]["param"]) == (400, "sound")
    assert broken.status_code == 400


async def test_a_model_for_one_language_is_asked_for_no_other(tmp_path: Path) -> None:
    async for engine in started(save_whisper(tmp_path, SAID, is_multilingual=False)):
        said = await engine.transcribe(Transcribe(data=recording(1), language="en-GB"))
        with pytest.raises(BadRequest, match="language 'de'"):
            await engine.transcribe(Transcribe(data=recording(1), language="de"))

    assert (said.text, said.language) == (TEXT, "english")


def test_samples_that_are_no_numbers_are_none_that_a_model_hears() -> None:
    file = io.BytesIO()
    soundfile.write(file, numpy.array([numpy.nan, numpy.inf, 1e38] * 9000), 16_000, format="WAV", subtype="FLOAT")
    read = Recording(file.getvalue(), max_seconds=60).window(0, 30 * SAMPLE_RATE)

    assert len(read) > 20_000
    assert abs(read).max() < 2


def test_many_channels_at_a_high_rate_are_read_in_smaller_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    read = soundfile.SoundFile.read

    def counted(file: soundfile.SoundFile, *args: Any, **kwargs: Any) -> numpy.ndarray:
        block: numpy.ndarray = read(file, *args, **kwargs)
        sizes.append(block.size)
        return block

    monkeypatch.setattr(soundfile.SoundFile, "read", counted)
    samples = Recording(recording(3, sample_rate=192_000, channels=8), max_seconds=60).window(0, 30 * SAMPLE_RATE)

    assert len(samples) == pytest.approx(3 * SAMPLE_RATE, abs=10)
    assert max(sizes) <= 4_000_000 < sum(sizes)


BROKEN = recording(20, kind="FLAC")


@pytest.mark.parametrize(
    ("data", "fields", "param"),
    [
        (b"no recording at all", {}, "file"),
        (b"", {}, "file"),
        (BROKEN[:3000], {}, "file"),
        (recording(1, kind="AIFF"), {}, "file"),
        (recording(61), {}, "file"),
        (recording(1, channels=9), {}, "file"),
        (recording(1, sample_rate=384_000), {}, "file"),
        (recording(1), {"language": "tlh"}, "language"),
        (recording(1), {"temperature": 2}, "temperature"),
        (recording(1), {"timestamp_granularities": ["word"]}, "timestamp_granularities"),
        (recording(1), {"stream": True}, "stream"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
async def test_what_cannot_be_heard_is_refused_by_name_and_the_next_is_heard(
    folder: Path, data: bytes, fields: dict[str, Any], param: str
) -> None:
    async for engine in started(folder, max_audio_s=60):
        async with serve(engine, EngineSpec(engine="transformers", source="")) as client:
            refused = await post(client, "audio/transcriptions", asked(data, **fields))
            heard = await post(client, "audio/transcriptions", asked(recording(1)))

    assert (refused.status_code, refused.json()["error"]["param"]) == (400, param)
    assert heard.json()["text"] == TEXT


async def test_a_prompt_is_read_as_plain_text_and_counted(engine: SpeechEngine) -> None:
    plain = await engine.transcribe(Transcribe(data=recording(1), prompt="Hello"))
    tricky = await engine.transcribe(Transcribe(data=recording(1), prompt="<|endoftext|>" * 1000))

    assert plain.usage.prompt_tokens < 8 < tricky.usage.prompt_tokens <= 32


async def test_others_do_not_ask_it_for_text(client: openai.AsyncOpenAI) -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "Hello"}]}
    for path, asked_for in (("chat/completions", body), ("tokenize", {"model": "m", "prompt": "a"})):
        answer = await post(client, path, asked_for)
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, "model")


async def test_whoever_hangs_up_is_not_heard_further(engine: SpeechEngine) -> None:
    hearing = asyncio.create_task(engine.transcribe(Transcribe(data=recording(3000))))
    while engine.stats().num_running == 0:  # noqa: ASYNC110
        await asyncio.sleep(0)
    hearing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await hearing

    assert engine.stats().num_running == 0
    assert (await engine.transcribe(Transcribe(data=recording(1)))).text == TEXT


def test_what_nobody_waits_for_any_more_ends_at_the_next_token(folder: Path) -> None:
    spec = EngineSpec(engine="transformers", source=str(folder), device="cpu")
    model, tokenizer, extractor = load_speech_model(spec, lambda progress: None)
    samples = Recording(recording(1), max_seconds=60).window(0, SAMPLE_RATE)
    features = extractor(samples, sampling_rate=SAMPLE_RATE, return_tensors="pt")["input_features"]
    answers = iter([True, True, False])
    with torch.inference_mode():
        heard = Whisper(model, tokenizer).hear(features, Wish(), lambda: next(answers))

    assert len(heard.tokens) == 3


async def test_a_line_that_is_too_long_is_refused(engine: SpeechEngine) -> None:
    many = [asyncio.create_task(engine.transcribe(Transcribe(data=recording(1)))) for _ in range(30)]
    found = await asyncio.gather(*many, return_exceptions=True)

    assert {type(one) for one in found} == {type(found[0]), Overloaded}
    assert found[0].text == TEXT  # type: ignore[union-attr]


FIRST_TIME = 1000


def spoken(*tokens: float) -> list[int]:
    """Floats are times."""
    return [FIRST_TIME + round(token / 0.02) if isinstance(token, float) else int(token) for token in tokens]


@pytest.mark.parametrize(
    ("tokens", "window_s", "expected", "understood_s"),
    [
        (spoken(0.0, 1, 2, 2.0, 2.0, 3, 4.0), 30.0, [(0, 2, (1, 2)), (2, 4, (3,))], 30),
        (spoken(0.0, 1, 20.0, 20.0, 2, 3), 30.0, [(0, 20, (1,))], 20),
        (spoken(0.0, 1, 20.0, 20.0), 30.0, [(0, 20, (1,))], 20),
        (spoken(0.0, 1, 5.0), 30.0, [(0, 5, (1,))], 30),
        (spoken(0.0, 1, 2), 10.0, [(0, 10, (1, 2))], 10),
        (spoken(0.0, 1, 0.02, 0.02, 2), 30.0, [(0, 0.02, (1,))], 30),
        (spoken(0.0, 1, 29.0), 5.0, [(0, 5, (1,))], 5),
    ],
)
def test_times_among_the_tokens_make_segments(
    tokens: list[int], window_s: float, expected: list[Any], understood_s: float
) -> None:
    segments, understood = segments_in(tokens, FIRST_TIME, window_s)

    assert [(segment.start_s, segment.end_s, segment.tokens) for segment in segments] == [
        (pytest.approx(start), pytest.approx(end), words) for start, end, words in expected
    ]
    assert understood == pytest.approx(understood_s)


def test_a_broken_header_costs_no_more_than_a_refusal() -> None:
    data = recording(3)
    lengths = [length_of(data[:at] + b"\xff" + data[at + 1 :]) for at in range(4, 44)]

    assert {0, 3} <= set(lengths)
    assert max(lengths) <= 60


def length_of(data: bytes) -> float:
    """In seconds; 0 of what is refused."""
    try:
        return len(Recording(data, max_seconds=60).window(0, 60 * SAMPLE_RATE)) / SAMPLE_RATE
    except BadRequest:
        return 0
