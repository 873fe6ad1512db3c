"""What a fake replica may tell of its tokens in detail, rightly or not; and one that falls silent after a sentence."""

from aiohttp import web

from tests.gateway.fake_replica import begin_stream, chunk, event, whole_answer

DETAILED = {
    "prompt_tokens": 7,
    "completion_tokens": 4,
    "total_tokens": 11,
    "prompt_tokens_details": {"cached_tokens": 4, "audio_tokens": None},
    "completion_tokens_details": {"reasoning_tokens": 3},
}


async def in_detail(replica, request, body):
    return await _with_usage(request, body, DETAILED)


async def with_odd_details(replica, request, body):
    odd = {"prompt_tokens_details": [1], "completion_tokens_details": {"reasoning_tokens": "many"}}
    return await _with_usage(request, body, DETAILED | odd)


async def _with_usage(request, body, usage):
    if not body.get("stream"):
        return web.json_response(whole_answer(body["model"]) | {"usage": usage})
    response = await begin_stream(request, body)
    await response.write(chunk(body["model"], {"content": "Once"}, "stop"))
    await response.write(event({"id": "chatcmpl-1", "choices": [], "usage": usage}))
    await response.write(b"data: [DONE]\n\n")
    return response


async def a_sentence_then_wait(replica, request, body):
    response = await begin_stream(request, body)
    await response.write(chunk(body["model"], {"content": "Once upon a time there was"}))
    await replica.until_cancelled(request)
    return response
