"""Models that are compiled when they are loaded, if a deployment asks for it. A compiler that changes nothing stands in
for torch's own, which needs a C++ compiler on the machine."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.workers.engines.conftest import collect, loaded
from tests.workers.engines.test_batching import PROMPTS, ask, reference, tokens_of
from workers.engines.transformers import compiling
from workers.errors import LoadError

ModelFolder = Callable[[str], Path]


class Compiler:
    """Keeps the code that it is given, and counts."""

    def __init__(self) -> None:
        self.num_compiled = 0
        self.num_calls = 0

    def __call__(self, graph: torch.fx.GraphModule, inputs: list[Any]) -> Callable[..., Any]:
        self.num_compiled += 1

        def run(*inputs: Any) -> Any:
            self.num_calls += 1
            return graph.forward(*inputs)

        return run


@pytest.fixture
def compiler(monkeypatch: pytest.MonkeyPatch) -> Iterator[Compiler]:
    # What is compiled is kept with the classes' code, for all models of the process.
    torch.compiler.reset()
    compiler = Compiler()
    monkeypatch.setattr(compiling, "BACKEND", compiler)
    yield compiler
    torch.compiler.reset()
    torch.compiler.set_stance("default")


@pytest.mark.usefixtures("compiler")
@pytest.mark.parametrize("family", ["llama", "mistral", "gemma2", "gpt_oss"])
async def test_rows_of_a_compiled_model_say_what_generate_says(family: str, model_folder: ModelFolder) -> None:
    async with loaded(model_folder(family), compile=True) as engine:
        generations = [await engine.generate(ask(prompt)) for prompt in PROMPTS]
        answers = await asyncio.gather(*map(collect, generations))

    assert [tokens_of(events) for events in answers] == [reference(model_folder(family), prompt) for prompt in PROMPTS]


async def test_requests_run_what_was_compiled_before_them_and_wait_for_no_more(
    model_folder: ModelFolder, compiler: Compiler
) -> None:
    async with loaded(model_folder("qwen2"), compile=True) as engine:
        num_compiled, num_calls = compiler.num_compiled, compiler.num_calls
        answers = await asyncio.gather(*[collect(await engine.generate(ask(prompt))) for prompt in PROMPTS[:2]])
        num_layers, num_steps = 2, max(len(tokens_of(events)) for events in answers)

        assert compiler.num_calls - num_calls >= num_layers * num_steps
        assert compiler.num_compiled == num_compiled > 0


async def test_a_compiled_model_makes_the_embeddings_that_it_makes_without(
    model_folder: ModelFolder, compiler: Compiler
) -> None:
    async with loaded(model_folder("llama")) as plain:
        expected = (await plain.embed(["a text", "another one"])).vectors
    async with loaded(model_folder("llama"), compile=True) as engine:
        num_compiled = compiler.num_compiled
        found = (await engine.embed(["a text", "another one"])).vectors

    assert [pytest.approx(vector, abs=1e-5) for vector in expected] == found
    assert compiler.num_compiled == num_compiled


async def test_without_a_compiler_the_load_fails_and_says_what_to_do(
    model_folder: ModelFolder, compiler: Compiler, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(graph: object, inputs: object) -> None:
        raise RuntimeError("No working C++ compiler found")

    monkeypatch.setattr(compiling, "BACKEND", fail)
    with pytest.raises(LoadError, match=r"needs a C\+\+ compiler .* Set the option compile to false"):
        async with loaded(model_folder("llama"), compile=True):
            pass


@pytest.mark.usefixtures("compiler")
@pytest.mark.parametrize("family", ["bert", "bert_ranker", "llava", "bloom"])
async def test_models_that_cannot_be_compiled_are_refused(family: str, model_folder: ModelFolder) -> None:
    with pytest.raises(LoadError, match="Set the option compile to false"):
        async with loaded(model_folder(family), compile=True):
            pass


@pytest.mark.usefixtures("compiler")
async def test_a_compiled_model_takes_no_adapters(model_folder: ModelFolder, tmp_path: Path) -> None:
    async with loaded(model_folder("llama"), compile=True) as engine:
        refused = await engine.use_adapters({"a": str(tmp_path)})
    assert refused == {"a": "A compiled model cannot have adapters: set the option compile to false."}
