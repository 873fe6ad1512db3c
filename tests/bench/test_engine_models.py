"""The models that the bench of engines makes."""

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from bench.engine.client import make_prompt
from bench.engine.models import END_TOKEN, SHAPES, model_folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return model_folder(tmp_path_factory.mktemp("models"), "4M")


def test_a_model_of_random_weights_says_readable_things_and_does_not_end(folder):
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    chat = [{"role": "user", "content": make_prompt(24, "seed")}]
    prompt = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    with torch.inference_mode():
        answer = model.generate(**prompt, max_new_tokens=256, do_sample=False)[0, prompt["input_ids"].shape[1] :]
    assert len(answer) == 256
    assert END_TOKEN not in answer
    assert len(set(answer.tolist())) > 16, "it repeats itself"
    text = tokenizer.decode(answer)
    assert text.isascii()
    assert text.isprintable()


def test_a_model_has_the_parameters_that_its_shape_counts(folder):
    num_in_matrices = sum(
        weight.numel() for weight in AutoModelForCausalLM.from_pretrained(folder).parameters() if weight.ndim > 1
    )
    assert num_in_matrices == SHAPES["4M"].num_parameters


def test_a_prompt_has_as_many_tokens_as_words(folder):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    # The first word has no space before it, which may cost a token.
    assert len(tokenizer(make_prompt(1000, "seed"))["input_ids"]) in (1000, 1001)
