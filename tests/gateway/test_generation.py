"""The same road, for callers inside the process."""

from dataclasses import replace

import pytest

from gateway import runtime
from gateway.errors import ModelNotFound
from gateway.generation import Call, Caller, new_request_id, open_generation
from gateway.models import UsageRecord, UsageState
from gateway.sse import Finished, StreamFailed, TextDelta, text_deltas
from tests.gateway.conftest import HELLO
from tests.gateway.fake_replica import USAGE, WORDS, fail_after_one_word, fail_and_linger, one_word_then_wait

CHAT = Caller(user_id=1, user_name="ada", key_id=None, key_name="chat")


def call(model: str = "fake-1", **body) -> Call:
    return Call(
        caller=CHAT,
        endpoint="chat/completions",
        model=model,
        body={"model": model, "messages": HELLO, "stream": True, **body},
        stream=True,
        request_id=new_request_id(),
    )


@pytest.fixture
async def running(replica, patience, settings, tmp_path):
    settings.JOURNAL_DIR = tmp_path
    yield await runtime.ready()
    await runtime.stop()


async def the_record() -> UsageRecord:
    await runtime.stop()
    return await UsageRecord.objects.aget()


async def test_an_answer_comes_as_deltas_and_an_end(running):
    async with await open_generation(call(stream_options={"include_usage": True})) as generation:
        *deltas, end = [piece async for piece in text_deltas(generation)]
    assert deltas == [TextDelta(text=word) for word in WORDS]
    assert (end.finish_reason, end.usage.completion_tokens) == ("stop", USAGE["completion_tokens"])


async def test_the_end_is_told_to_those_who_ask_for_no_usage(running):
    async with await open_generation(call()) as generation:
        *_, end = [piece async for piece in text_deltas(generation)]
    assert end == Finished(finish_reason="stop", usage=None)


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "plain"])
async def test_the_record_is_on_disk_before_the_last_bytes_leave(running, tmp_path, stream):
    asked = replace(call(stream=stream), stream=stream)
    async with await open_generation(asked) as generation:
        async for piece in generation:
            journal = b"".join(path.read_bytes() for path in tmp_path.iterdir())
            is_last = piece.endswith(b"[DONE]\n\n") or not stream
            assert (asked.request_id.encode() in journal) == is_last


async def test_leaving_early_stops_the_engine(running, fake):
    fake.behave = one_word_then_wait
    asked = call()
    async with await open_generation(asked) as generation:
        await anext(text_deltas(generation))
        asked.presence.leave()
    assert len(fake.cancelled) == 1
    record = await the_record()
    assert (record.state, record.key_name, record.completion_tokens) == (UsageState.CUT_BY_CLIENT, "chat", 2)


async def test_never_beginning_to_read_stops_the_engine(running, fake):
    fake.behave = one_word_then_wait
    async with await open_generation(call()):
        pass
    assert (await the_record()).state == UsageState.CUT_BY_SERVER


@pytest.mark.parametrize("fails", [fail_after_one_word, fail_and_linger])
async def test_a_stream_that_fails_raises_with_the_engines_code(running, fake, fails, monkeypatch):
    monkeypatch.setattr("gateway.upstream.QUICK_S", 0.1)  # so long the rest of the stream is waited for
    fake.behave = fails
    with pytest.raises(StreamFailed) as failed:
        async with await open_generation(call()) as generation:
            [piece async for piece in text_deltas(generation)]
    assert failed.value.code == "engine_failed"
    record = await the_record()
    assert (record.state, record.error_code) == (UsageState.CUT_BY_UPSTREAM, "engine_failed")


async def test_a_refusal_raises_and_is_on_record(running):
    with pytest.raises(ModelNotFound):
        await open_generation(call("fake-2"))
    record = await the_record()
    assert (record.state, record.model, record.status_code) == (UsageState.REFUSED, "fake-2", 404)


async def test_a_process_without_a_gateway_is_told_so():
    with pytest.raises(runtime.NotStarted):
        await open_generation(call())
