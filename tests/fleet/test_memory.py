"""What a replica needs, as far as anybody knows."""

import pytest

from fleet.memory import GIB, Grounds, Need, estimate_bytes, need


@pytest.mark.parametrize(
    ("source", "dtype", "gigabytes"),
    [
        ("Qwen/Qwen2.5-7B-Instruct", "auto", 15.6),
        ("Qwen/Qwen2.5-7B-Instruct", "float32", 31.3),
        ("/models/SmolLM2-135M/", "bfloat16", 0.3),
        ("mistralai/Mixtral-8x7B-v0.1", "auto", 125.2),
        ("TheBloke/Llama-2-13B-AWQ", "auto", 8.7),
        ("meta-llama/Llama-3.2-1B", "auto", 2.2),
    ],
)
def test_a_models_name_tells_how_much_it_needs(source, dtype, gigabytes):
    assert estimate_bytes(source, dtype) / GIB == pytest.approx(gigabytes, abs=0.06)


@pytest.mark.parametrize("source", ["", "demo", "gpt2", "/models/v3.5-turbo", "bert-base-uncased", "7b-models/mine"])
def test_a_name_without_a_size_tells_nothing(source):
    assert estimate_bytes(source, "auto") is None


def test_what_was_said_counts_more_than_what_was_seen_and_that_more_than_the_name():
    spec = {"source": "Qwen2.5-7B", "dtype": "auto"}
    grounds = [known.grounds for known in (need(14, 3, spec), need(None, 3, spec), need(None, 0, spec)) if known]
    assert grounds == [Grounds.GIVEN, Grounds.MEASURED, Grounds.ESTIMATED]


def test_what_nobody_knows_is_not_nothing():
    assert need(None, 0, {"source": "demo"}) is None


def test_a_figure_in_gigabytes_is_what_machines_call_so():
    assert need(2, 0, {}) == Need(2 * 2**30, Grounds.GIVEN)
