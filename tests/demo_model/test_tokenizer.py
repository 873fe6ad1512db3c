"""The demo model's tokenizer and chat template, as clients meet them."""

import json
import random

import pytest
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from workers.demo_model import WEIGHTS

WEATHER_TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Get the weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return AutoTokenizer.from_pretrained(WEIGHTS)


def render(tokenizer: PreTrainedTokenizerFast, messages: list[dict], **options: object) -> str:
    return tokenizer.apply_chat_template(messages, tokenize=False, **options)


@pytest.mark.parametrize("seed", range(20))
def test_any_text_survives_a_round_trip(tokenizer: PreTrainedTokenizerFast, seed: int) -> None:
    rng = random.Random(seed)
    blocks = [
        (32, 126),
        (0xA0, 0x24F),
        (0x400, 0x4FF),
        (0x600, 0x6FF),
        (0x4E00, 0x9FFF),
        (0x1F300, 0x1F9FF),
        (9, 10),
        (0x300, 0x36F),
    ]
    text = "".join(chr(rng.randint(*rng.choice(blocks))) for _ in range(300))

    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_digits_stand_alone(tokenizer: PreTrainedTokenizerFast) -> None:
    assert tokenizer.tokenize("2048") == ["2", "0", "4", "8"]


def test_a_name_has_the_same_tokens_wherever_it_stands(tokenizer: PreTrainedTokenizerFast) -> None:
    name = tokenizer.encode("Zorvelin")

    for text in ("I am Zorvelin", '{"name": "Zorvelin"}', "我叫Zorvelin"):
        tokens = tokenizer.encode(text)
        assert any(tokens[begin : begin + len(name)] == name for begin in range(len(tokens)))


def test_common_chinese_is_one_token_a_character(tokenizer: PreTrainedTokenizerFast) -> None:
    text = "你好你是谁法国的首都是哪里"

    assert len(tokenizer.encode(text)) == len(text)


def test_the_system_block_lists_the_tools(tokenizer: PreTrainedTokenizerFast) -> None:
    prompt = render(
        tokenizer, [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"}], tools=[WEATHER_TOOL]
    )

    system = prompt.split("<|im_end|>")[0]
    assert system.startswith("<|im_start|>system\nBe brief.")
    assert json.dumps(WEATHER_TOOL) in system


@pytest.mark.parametrize("arguments", ['{"city": "Paris"}', {"city": "Paris"}])
def test_a_tool_call_is_written_the_same_from_a_string_or_an_object(
    tokenizer: PreTrainedTokenizerFast, arguments: object
) -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": arguments}}
    prompt = render(
        tokenizer,
        [
            {"role": "user", "content": "Weather in Paris?"},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "call_1", "content": "18 C"},
        ],
        add_generation_prompt=True,
    )

    assert '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Paris"}}\n</tool_call><|im_end|>' in prompt
    assert prompt.endswith(
        "<|im_start|>user\n<tool_response>\n18 C\n</tool_response><|im_end|>\n<|im_start|>assistant\n"
    )


def test_neighbouring_tool_results_share_one_turn(tokenizer: PreTrainedTokenizerFast) -> None:
    prompt = render(
        tokenizer,
        [{"role": "user", "content": "?"}, {"role": "tool", "content": "1"}, {"role": "tool", "content": "2"}],
    )

    assert prompt.count("<|im_start|>") == 2


def test_content_may_be_a_list_of_text_parts(tokenizer: PreTrainedTokenizerFast) -> None:
    parts = [
        {"type": "text", "text": "How are "},
        {"type": "image_url", "image_url": {"url": "data:"}},
        {"type": "text", "text": "you?"},
    ]

    assert render(tokenizer, [{"role": "user", "content": parts}]) == "<|im_start|>user\nHow are you?<|im_end|>\n"


def test_a_developer_is_heard_as_system_and_later_prompts_stay_in_place(tokenizer: PreTrainedTokenizerFast) -> None:
    prompt = render(
        tokenizer,
        [{"role": "developer", "content": "A"}, {"role": "user", "content": "B"}, {"role": "system", "content": "C"}],
    )

    assert prompt == "<|im_start|>system\nA<|im_end|>\n<|im_start|>user\nB<|im_end|>\n<|im_start|>system\nC<|im_end|>\n"


def test_the_assistant_mask_marks_only_what_the_assistant_says(tokenizer: PreTrainedTokenizerFast) -> None:
    encoded = tokenizer.apply_chat_template(
        [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "Hello!"}],
        return_dict=True,
        return_assistant_tokens_mask=True,
    )

    said = [token for token, is_said in zip(encoded["input_ids"], encoded["assistant_masks"], strict=True) if is_said]
    assert tokenizer.decode(said) == "Hello!<|im_end|>"


def test_special_tokens_are_hidden_but_a_tool_call_is_not(tokenizer: PreTrainedTokenizerFast) -> None:
    tokens = tokenizer.encode("<tool_call>x</tool_call><|im_end|>")

    assert tokenizer.decode(tokens, skip_special_tokens=True) == "<tool_call>x</tool_call>"
