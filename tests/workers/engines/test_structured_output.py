"""Answers that must have a form: whatever a model of random weights would like to say, it says that in the form."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from datetime import date, datetime
from enum import StrEnum
from itertools import count
from typing import Annotated, Any, Literal
from uuid import UUID

import openai
import pytest
from llguidance import LLParserLimits
from pydantic import BaseModel, ConfigDict, Field

from tests.workers.engines.conftest import chat, collect, serve, text_of
from tests.workers.engines.test_resuming import cuts
from tests.workers.engines.tiny_models import make_tokenizer
from workers.engines.base import EngineSpec, Finished, Form, GenerationEvent, Resume, Sampling
from workers.engines.transformers.engine import TransformersEngine
from workers.errors import BadRequest, EngineError

Load = Callable[..., TransformersEngine]

HELLO: Any = [{"role": "user", "content": "Hello"}]
CLOSING = {
    token: 4.0 for text, token in make_tokenizer().get_vocab().items() if text in ('"', "]", "}", '"}', '"]', '"]}')
}
"""So that strings and lists of a model that knows no end come to one."""


class Colour(StrEnum):
    RED = "red"
    DARK_GREEN = "dark green"


class Address(BaseModel):
    street: str
    number: int = Field(ge=1, le=999)


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int


class Dog(BaseModel):
    kind: Literal["dog"]
    is_good: bool


class Person(BaseModel):
    name: str = Field(max_length=12)
    colour: Colour
    address: Address
    earlier: list[Address] = Field(max_length=2)
    nickname: str | None
    born: date
    pet: Annotated[Cat | Dog, Field(discriminator="kind")]


class Tree(BaseModel):
    value: float
    children: list["Tree"] = Field(max_length=1)


class Formats(BaseModel):
    model_config = ConfigDict(extra="forbid")
    seen_at: datetime
    id: UUID
    address: Annotated[str, Field(pattern=r"^[a-z]{2,5}@[a-z]{2,5}\.com$")]
    pair: tuple[int, Literal["x", "y"]]
    notes: dict[str, bool] = Field(max_length=2)
    maybe: int | str | None = None


class Host(BaseModel):
    address: Annotated[str, Field(json_schema_extra={"format": "ipv4"})]
    secret: Annotated[str, Field(json_schema_extra={"format": "password"}, max_length=5)]


MODELS: list[type[BaseModel]] = [Person, Tree, Formats, Host]


def form(source: Any, kind: Any = "json_schema", *, is_strict: bool = True) -> Form:
    return Form(kind=kind, source=source, is_strict=is_strict, param="form")


async def answer(engine: TransformersEngine, wanted: Form, seed: int = 1, **asked: Any) -> list[GenerationEvent]:
    sampling = Sampling(temperature=1.0, seed=seed, logit_bias=CLOSING)
    return await collect(await engine.generate(chat("Hello", form=wanted, sampling=sampling, **asked)))


async def said(engine: TransformersEngine, wanted: Form, **asked: Any) -> str:
    events = await answer(engine, wanted, **asked)
    assert isinstance(events[-1], Finished)
    assert events[-1].finish_reason == "stop"
    return text_of(events)


@pytest.mark.parametrize("family", ["llama", "bloom"])
@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
async def test_random_weights_write_what_pydantic_takes(family: str, model: type[BaseModel], load_engine: Load) -> None:
    wanted = form(model.model_json_schema(), is_strict=model is not Tree)
    texts = [await said(load_engine(family), wanted, seed=seed) for seed in range(3)]
    for text in texts:
        model.model_validate_json(text)
    assert len(set(texts)) > 1


async def test_rows_of_one_batch_each_keep_to_their_own_form(load_engine: Load) -> None:
    engine = load_engine("llama")
    forms = [form("[a-f]{7}", "regex"), form('start: "yes" | "no"', "grammar"), form(Address.model_json_schema())]
    letters, word, address, free = await asyncio.gather(
        *[said(engine, wanted, seed=3) for wanted in forms],
        collect(await engine.generate(chat("Hello", max_tokens=12, sampling=Sampling(temperature=0)))),
    )
    assert re.fullmatch("[a-f]{7}", letters)
    assert word in ("yes", "no")
    Address.model_validate_json(address)
    alone = await collect(await engine.generate(chat("Hello", max_tokens=12, sampling=Sampling(temperature=0))))
    assert text_of(free) == text_of(alone)


async def test_a_grammar_may_be_written_as_gbnf(load_engine: Load) -> None:
    assert await said(load_engine("llama"), form('root ::= "left" | "right"', "grammar")) in ("left", "right")


async def test_wherever_it_was_cut_an_answer_goes_on_in_its_form(load_engine: Load) -> None:
    engine, wanted = load_engine("llama"), form(Address.model_json_schema())
    whole = await answer(engine, wanted, seed=5)
    for cut in cuts(whole):
        rest = await answer(engine, wanted, seed=5, resume=cut)
        assert text_of(whole)[: cut.num_chars] + text_of(rest) == text_of(whole)
        assert rest[-1] == whole[-1] or cut.num_chars


async def test_tokens_that_break_the_form_cannot_be_taken_back(load_engine: Load) -> None:
    tokens = tuple(make_tokenizer()("Hello")["input_ids"])
    with pytest.raises(BadRequest) as refused:
        await answer(load_engine("llama"), form(Address.model_json_schema()), resume=Resume(tokens=tokens, num_chars=5))
    assert refused.value.param == "resume.token_ids"


async def test_an_answer_that_is_cut_says_so(load_engine: Load) -> None:
    events = await answer(load_engine("llama"), form(Address.model_json_schema()), max_tokens=4)
    assert isinstance(events[-1], Finished)
    assert events[-1].finish_reason == "length"


def nested(depth: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "integer"}
    for _ in range(depth):
        schema = {"type": "object", "properties": {"a": schema}}
    return schema


REFUSED: dict[str, tuple[str, Any]] = {
    "no schema": ("json_schema", {"type": "strang"}),
    "goes in circles": ("json_schema", {"$ref": "#"}),
    "from elsewhere": ("json_schema", {"$ref": "http://127.0.0.1:1/schema.json"}),
    "points nowhere": ("json_schema", {"$ref": "#/$defs/nothing"}),
    "contradicts itself": ("json_schema", {"type": "string", "minLength": 5, "maxLength": 1}),
    "not enforceable": ("json_schema", {"not": {"type": "string"}}),
    "looks ahead": ("json_schema", {"type": "string", "pattern": "^(?!a)b$"}),
    "broken expression": ("regex", "[a-z"),
    "no grammar": ("grammar", "%%% nonsense {"),
    "missing rule": ("grammar", "start: foo"),
    "broken gbnf": ("grammar", 'root ::= "a'),
}


@pytest.mark.parametrize(("kind", "source"), REFUSED.values(), ids=REFUSED)
async def test_what_cannot_be_enforced_is_refused_with_the_reason(kind: str, source: Any, load_engine: Load) -> None:
    with pytest.raises(BadRequest) as refused:
        await answer(load_engine("llama"), form(source, kind))
    assert refused.value.param == "form"
    assert len(str(refused.value)) < 500


HOSTILE: dict[str, tuple[str, Any]] = {
    "huge strings": ("json_schema", {"type": "string", "minLength": 10**9}),
    "huge lists": ("json_schema", {"type": "array", "minItems": 10**9, "items": {"type": "integer"}}),
    "thousands of words": ("json_schema", {"enum": [f"word {number * 7919 % 10007}" for number in range(5000)]}),
    "runs of runs": ("json_schema", {"type": "string", "pattern": "^(a+)+b$"}),
    "many states": ("json_schema", {"type": "string", "pattern": "^(.*a.{30}|.*b.{30})*$"}),
    "deep": ("json_schema", nested(60)),
    "explodes": ("regex", "((((a{1,999}){1,999}){1,999}){1,999}){1,999}b"),
    "a thousand optional": ("json_schema", {
        "type": "object", "properties": {f"p{number}": {"type": "string"} for number in range(1000)}
    }),
    "a tree without leaves": ("json_schema", {
        "$defs": {"N": {"type": "object", "properties": {"n": {"$ref": "#/$defs/N"}}, "required": ["n"]}},
        "$ref": "#/$defs/N",
    }),
}  # fmt: skip


@pytest.mark.parametrize(("kind", "source"), HOSTILE.values(), ids=HOSTILE)
async def test_hostile_forms_neither_break_the_engine_nor_stop_others(
    kind: str, source: Any, load_engine: Load
) -> None:
    engine = load_engine("llama")
    hostile = asyncio.gather(answer(engine, form(source, kind), max_tokens=40), return_exceptions=True)
    assert await said(engine, form("[a-f]{7}", "regex"))
    (outcome,) = await hostile
    assert isinstance(outcome, list | BadRequest)


async def test_one_that_takes_too_long_to_compile_is_refused(
    load_engine: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.engines.transformers.grammars.MAX_COMPILE_S", 0.0)
    with pytest.raises(BadRequest, match="too long"):
        await answer(load_engine("llama"), form({"enum": [str(number) for number in range(3000)]}))


async def test_a_form_that_grows_too_complex_fails_the_answer_instead_of_ending_it(
    load_engine: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "workers.engines.transformers.grammars.LIMITS", LLParserLimits(max_items_in_row=100, verbose_errors=False)
    )
    schema = {"type": "object", "properties": {f"p{number}": {"type": "null"} for number in range(90)}}
    with pytest.raises(EngineError):
        await answer(load_engine("llama"), form(schema))


async def test_a_schema_that_is_not_strict_is_kept_as_far_as_it_can_be(load_engine: Load) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer", "not": {"const": 5}}}, "required": ["a"]}
    assert '"a"' in await said(load_engine("llama"), form(schema, is_strict=False))


@pytest.fixture
async def llama(load_engine: Load) -> AsyncIterator[openai.AsyncOpenAI]:
    async with serve(load_engine("llama"), EngineSpec(engine="transformers", source="llama")) as client:
        yield client


@pytest.fixture
def asked() -> Callable[[], dict[str, Any]]:
    """A seed of its own each time."""
    seeds = count()
    bias = {str(token): bias for token, bias in CLOSING.items()}
    return lambda: {"model": "m", "messages": HELLO, "logit_bias": bias, "seed": next(seeds), "temperature": 1}


async def test_the_official_client_parses_what_it_asked_for(llama: openai.AsyncOpenAI, asked: Any) -> None:
    parsed = await llama.chat.completions.parse(**asked(), response_format=Person)
    assert isinstance(parsed.choices[0].message.parsed, Person)
    async with llama.chat.completions.stream(**asked(), response_format=Person) as stream:
        final = await stream.get_final_completion()
    assert isinstance(final.choices[0].message.parsed, Person)


async def test_every_choice_has_the_form(llama: openai.AsyncOpenAI, asked: Any) -> None:
    wanted: Any = {"type": "json_schema", "json_schema": {"name": "address", "schema": Address.model_json_schema()}}
    completion = await llama.chat.completions.create(**asked(), response_format=wanted, n=3)
    texts = [choice.message.content or "" for choice in completion.choices]
    assert len({Address.model_validate_json(text).street for text in texts}) > 1


async def test_vllms_words_do_as_well(llama: openai.AsyncOpenAI, asked: Any) -> None:
    for wanted, pattern in (
        ({"regex": r"\d{3}-[ab]"}, r"\d{3}-[ab]"),
        ({"choice": ["a b", "c|d", "(e)"]}, r"a b|c\|d|\(e\)"),
        ({"json": '{"type": "boolean"}'}, "true|false"),
        ({"grammar": 'start: "x"~3'}, "xxx"),
    ):
        body = {"structured_outputs": wanted}
        completion = await llama.chat.completions.create(**asked(), extra_body=body)
        assert re.fullmatch(pattern, completion.choices[0].message.content or "")
        raw = await llama.completions.create(model="m", prompt="Hello", max_tokens=40, extra_body=body)
        assert re.fullmatch(pattern, raw.choices[0].text)


@pytest.mark.parametrize(
    ("wrong", "param"),
    [
        ({"response_format": {"type": "yaml"}}, "response_format.type"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
        ({"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": nested(70)}}},
         "response_format.json_schema.schema"),
        ({"structured_outputs": {"regex": "a" * 200_000}}, "structured_outputs.regex"),
        ({"structured_outputs": {"json": "[]"}}, "structured_outputs.json"),
        ({"structured_outputs": {"json": {}, "regex": "a"}}, "structured_outputs"),
        ({"structured_outputs": {"xml": "a"}}, "structured_outputs"),
    ],
)  # fmt: skip
async def test_a_malformed_form_is_refused_by_its_name(
    llama: openai.AsyncOpenAI, asked: Any, wrong: dict[str, Any], param: str
) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        await llama.chat.completions.create(**asked(), extra_body=wrong)
    assert refused.value.param == param
