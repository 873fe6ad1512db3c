"""Models that see: what they say of images is what `model.generate` says, whatever else is asked meanwhile."""

import asyncio
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import openai
import pytest
import torch
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor

from tests.pictures import bomb, inline, picture, pictures
from tests.workers.engines.conftest import chat, collect, serve, text_of
from tests.workers.engines.tiny_seeing_models import IMAGE_TOKEN, TOKENS_PER_IMAGE
from workers.engines.base import EngineSpec, Generate, Sampling, TextDelta
from workers.engines.limits import max_open_requests
from workers.engines.transformers.engine import TransformersEngine
from workers.errors import BadRequest, Overloaded

GREEDY = Sampling(temperature=0.0)
FILES = [picture("red"), pictures("#0040ff", "red", size=(40, 90)), picture("white", form="GIF")]
HELLO: list[dict[str, Any]] = [{"type": "text", "text": "Hello"}]
FAMILIES = ["llava"]

Load = Callable[..., TransformersEngine]
Content = list[dict[str, Any]]


def image(file: bytes) -> dict[str, Any]:
    return {"type": "image", "image": file}


CHATS: list[Content] = [
    [*HELLO, image(FILES[0])],
    HELLO,
    [image(FILES[1]), *HELLO, image(FILES[2])],
    [{"type": "text", "text": "The capital of Peru is"}],
    [image(FILES[0])],
]


def asking(content: Content, **options: Any) -> Generate:
    """A chat of one user message with these parts."""
    text = content[0]["text"] if len(content) == 1 and content[0]["type"] == "text" else content
    return Generate(request_id="r", messages=[{"role": "user", "content": text}], sampling=GREEDY, **options)


def reference(folder: Path, content: Content, max_tokens: int) -> tuple[str, int]:
    """What `model.generate` says, and how many tokens it was given."""
    processor, model = AutoProcessor.from_pretrained(folder), AutoModelForImageTextToText.from_pretrained(folder)
    parts = [part if part["type"] == "text" else {"type": "image"} for part in content]
    shown = processor.apply_chat_template([{"role": "user", "content": parts}], add_generation_prompt=True)
    images = [Image.open(BytesIO(part["image"])).convert("RGB") for part in content if part["type"] == "image"]
    given = processor(text=[shown], images=images or None, return_tensors="pt")
    given.pop("token_type_ids", None)
    output = model.generate(**given, max_new_tokens=max_tokens, do_sample=False, pad_token_id=0)
    length = given["input_ids"].shape[1]
    return processor.tokenizer.decode(output[0, length:], skip_special_tokens=True), length


@pytest.mark.parametrize("options", [{}, {"max_num_batched_tokens": 4}], ids=["", "small steps"])
@pytest.mark.parametrize("family", FAMILIES)
async def test_greedy_text_is_that_of_generate_whatever_else_is_asked(
    family: str, options: dict[str, int], load_engine: Load, model_folder: Callable[[str], Path]
) -> None:
    engine = load_engine(family, **options)
    generations = [await engine.generate(asking(content, max_tokens=12)) for content in CHATS]

    answers = await asyncio.gather(*map(collect, generations))

    found = [(text_of(events), events[-1].usage.prompt_tokens) for events in answers]  # type: ignore[union-attr]
    assert found == [reference(model_folder(family), content, 12) for content in CHATS]


async def test_an_image_changes_what_is_said(load_engine: Load) -> None:
    engine = load_engine("llava")
    said = [await collect(await engine.generate(asking([image(file)], max_tokens=12))) for file in FILES]
    assert len({text_of(events) for events in said}) == len(FILES)


async def test_what_users_write_is_never_taken_for_an_image(load_engine: Load) -> None:
    engine = load_engine("llava")
    tokens = await engine.tokenize(chat(f"What does {IMAGE_TOKEN} mean?"))
    number = engine._loaded.tokenizer.convert_tokens_to_ids(IMAGE_TOKEN)
    assert number not in tokens
    seen = await engine.tokenize(asking([{"type": "text", "text": IMAGE_TOKEN}, image(FILES[0])]))
    assert seen.count(number) == TOKENS_PER_IMAGE


async def test_another_engine_goes_on_with_an_answer_about_an_image(load_engine: Load) -> None:
    from workers.engines.base import Resume

    engine = load_engine("llava")
    whole = await collect(await engine.generate(asking(CHATS[0], max_tokens=12)))
    deltas = [event for event in whole if isinstance(event, TextDelta)]
    tokens = tuple(token for delta in deltas for token in delta.tokens)[:5]
    rest = await collect(
        await engine.generate(asking(CHATS[0], max_tokens=12, resume=Resume(tokens=tokens, num_chars=0)))
    )
    assert text_of(rest) == text_of(whole)


async def test_it_says_that_it_sees_and_that_it_does_so_in_turns(load_engine: Load) -> None:
    capabilities = load_engine("llava").info.capabilities
    assert "vision" in capabilities
    assert not {"batching", "embeddings"} & set(capabilities)


@pytest.fixture
def shown() -> Callable[[str], list[dict[str, Any]]]:
    def messages(url: str) -> list[dict[str, Any]]:
        parts = [{"type": "text", "text": "Hello"}, {"type": "image_url", "image_url": {"url": url, "detail": "low"}}]
        return [{"role": "user", "content": parts}]

    return messages


async def test_openais_client_shows_an_image_and_hears_what_it_took(load_engine: Load, shown) -> None:
    spec = EngineSpec(engine="transformers", source="llava")
    async with serve(load_engine("llava"), spec) as client:
        messages = shown(inline(FILES[0]))
        answer = await client.chat.completions.create(model="m", messages=messages, max_tokens=3, temperature=0)
        counted = await client.post("/tokenize", body={"model": "m", "messages": messages}, cast_to=dict)
        assert answer.usage.prompt_tokens == counted["count"] > TOKENS_PER_IMAGE  # type: ignore[index]


@pytest.mark.parametrize(
    "url", ["https://example.com/a.png", inline(b"GIF89a"), inline(picture(form="JPEG")[:-100], "jpeg"), inline(b"")]
)
async def test_an_engine_fetches_nothing_and_refuses_what_it_cannot_read(load_engine: Load, shown, url: str) -> None:
    spec = EngineSpec(engine="transformers", source="llava")
    async with serve(load_engine("llava"), spec) as client:
        with pytest.raises(openai.BadRequestError) as refused:
            await client.chat.completions.create(model="m", messages=shown(url), max_tokens=3)
        assert refused.value.param in ("messages[0].content[1].image_url.url", "messages")


async def test_images_that_are_too_large_together_are_refused_before_one_is_unpacked(
    load_engine: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = load_engine("llava")
    unpacked: list[bytes] = []
    monkeypatch.setattr("workers.engines.transformers.images._opened", unpacked.append)
    shown = asking([*HELLO, *[image(bomb(6_000))] * 3])
    for ask in (engine.generate, engine.tokenize):
        with pytest.raises(BadRequest, match="pixels together"):
            await ask(shown)
    assert unpacked == []


async def test_counting_tokens_takes_its_place_in_the_line(load_engine: Load) -> None:
    engine = load_engine("llava")
    asked = [engine.tokenize(asking(CHATS[0])) for _ in range(max_open_requests(engine._spec.max_concurrency) + 1)]
    found = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(one) for one in found[-2:]] == [list, Overloaded]
    assert await engine.tokenize(asking(CHATS[0])) == found[0]


async def test_a_model_that_does_not_see_refuses_images_by_name(load_engine: Load, shown) -> None:
    spec = EngineSpec(engine="transformers", source="llama")
    messages = shown(inline(FILES[0]))
    async with serve(load_engine("llama"), spec) as client:
        with pytest.raises(openai.BadRequestError) as refused:
            await client.chat.completions.create(model="m", messages=messages)
        assert (refused.value.code, refused.value.param) == (
            "unsupported_parameter",
            "messages[0].content[1].image_url",
        )
        with pytest.raises(openai.BadRequestError, match="image_url"):
            await client.post("/tokenize", body={"model": "m", "messages": messages}, cast_to=dict)


@pytest.mark.parametrize(
    "shortage",
    [torch.OutOfMemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory")],
    ids=["GPU", "CPU"],
)
async def test_where_memory_is_short_only_the_request_with_the_images_fails(
    load_engine: Load, monkeypatch, shortage: Exception
) -> None:
    engine = load_engine("llava")
    model = engine._loaded.model

    def short_of_memory(*args: Any, **kwargs: Any) -> Any:
        raise shortage

    expected = text_of(await collect(await engine.generate(asking(CHATS[2], max_tokens=3))))
    with monkeypatch.context() as patched:
        patched.setattr(model, "get_image_features", short_of_memory)
        patched.setattr(model.model, "get_image_features", short_of_memory)
        with pytest.raises(Exception, match="does not fit"):
            await collect(await engine.generate(asking(CHATS[0], max_tokens=3)))
    assert text_of(await collect(await engine.generate(asking(CHATS[2], max_tokens=3)))) == expected
