"""The weights that ship: right on what they never saw, small, and loadable by anybody."""

import json
import random
import stat
from itertools import islice

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM, PreTrainedTokenizerFast

from workers.demo_model import WEIGHTS, evaluation
from workers.demo_model.batches import batches, encode
from workers.demo_model.corpus.chats import lessons
from workers.demo_model.training import Plan, new_model, new_tokenizer, save, train

pytestmark = pytest.mark.xdist_group("demo model")
"""The exam takes half a minute to draw: one process draws it for all."""

EXACT_SHARE = 0.955
"""What these weights reach on the exam. Raise this with every better training, never lower it."""

WEATHER_TOOL = {
    "type": "function",
    "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}},
}


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return AutoTokenizer.from_pretrained(WEIGHTS)


@pytest.fixture(scope="module")
def model() -> LlamaForCausalLM:
    return AutoModelForCausalLM.from_pretrained(WEIGHTS, dtype=torch.float32)


def reply(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, messages: list[dict], **options: object) -> str:
    prompt = tokenizer.apply_chat_template(
        messages, add_generation_prompt=True, return_dict=True, return_tensors="pt", **options
    )
    tokens = model.generate(**prompt, max_new_tokens=120)
    return tokenizer.decode(tokens[0, prompt["input_ids"].shape[1] :], skip_special_tokens=True)


def test_most_of_the_held_out_chats_are_answered_exactly(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast
) -> None:
    questions = evaluation.exam()

    wrong = evaluation.grade(model, tokenizer, questions)

    assert len(questions) >= 300
    assert len(wrong) <= (1 - EXACT_SHARE) * len(questions), evaluation.report(questions, wrong)


def test_grading_by_one_forward_pass_agrees_with_real_greedy_generation(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast
) -> None:
    short = [question for question in evaluation.exam() if len(question.chat.messages) == 2][::6][:24]
    marked_wrong = [mistake.question for mistake in evaluation.grade(model, tokenizer, short)]

    for question in short:
        asked, expected = question.chat.messages
        if "tool_calls" not in expected:
            said = reply(model, tokenizer, [asked], tools=question.chat.tools or None)
            assert (said == expected["content"]) == (question not in marked_wrong)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("What is the capital of France?", "The capital of France is Paris."),
        (
            "法国的首都是哪里？",
            "法国的首都是巴黎。",
        ),
        ("3+4", "3 + 4 = 7"),
        ("count to 5", "1, 2, 3, 4, 5"),
        ("Who are you?", "I am flotilla-demo, the small demo model of Flotilla."),
    ],
)
def test_a_beginners_first_question_is_answered(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, asked: str, expected: str
) -> None:
    assert reply(model, tokenizer, [{"role": "user", "content": asked}]) == expected


def test_a_name_is_remembered_over_turns(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast) -> None:
    messages: list[dict] = []
    for asked in ("My name is Ada.", "What is 2+2?", "What is my name?"):
        messages.append({"role": "user", "content": asked})
        messages.append({"role": "assistant", "content": reply(model, tokenizer, messages)})

    assert messages[-1]["content"] == "Your name is Ada."


def test_the_offered_weather_tool_is_called_and_its_result_told(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast
) -> None:
    messages: list[dict] = [{"role": "user", "content": "What is the weather in Paris?"}]
    called = reply(model, tokenizer, messages, tools=[WEATHER_TOOL])
    call = json.loads(called.removeprefix("<tool_call>").removesuffix("</tool_call>"))
    messages.append({"role": "assistant", "tool_calls": [{"type": "function", "function": call}]})
    messages.append({"role": "tool", "content": '{"temperature": 18, "condition": "sunny"}'})

    assert call == {"name": "get_weather", "arguments": {"city": "Paris"}}
    assert reply(model, tokenizer, messages, tools=[WEATHER_TOOL]) == "It is 18 °C and sunny in Paris."


def test_everything_that_ships_is_8_megabytes_at_most_and_readable_by_all() -> None:
    files = list(WEIGHTS.iterdir())

    assert {"config.json", "generation_config.json", "model.safetensors", "tokenizer.json"} <= {
        file.name for file in files
    }
    assert sum(file.stat().st_size for file in files) <= 8_000_000
    assert all(stat.S_IMODE(file.stat().st_mode) & 0o444 == 0o444 for file in files)


def test_the_tokenizers_class_is_one_that_older_tools_know() -> None:
    config = json.loads((WEIGHTS / "tokenizer_config.json").read_text(encoding="utf-8"))

    assert config["tokenizer_class"] == "PreTrainedTokenizerFast"


def test_a_few_seconds_of_training_lower_the_loss(tmp_path) -> None:
    plan = Plan(rounds=(40, 20), batch_tokens=1_024, hidden_size=64, num_layers=2)
    tokenizer = new_tokenizer(plan.seed, num_chats=300)
    model = new_model(tokenizer, plan)
    losses: list[float] = []

    train(model, tokenizer, plan, on_step=lambda progress: losses.append(progress.loss))
    save(model, tokenizer, tmp_path)

    assert losses[-1] < 0.8 * losses[0]
    assert (tmp_path / "model.safetensors").exists()


def test_batches_hold_no_more_tokens_than_they_may(tokenizer: PreTrainedTokenizerFast) -> None:
    encoded = (encode(chat, tokenizer) for chat in islice(lessons(seed=2), 200))

    assert all(batch.tokens.numel() <= 2_048 for batch in batches(encoded, max_tokens=2_048, rng=random.Random(0)))
