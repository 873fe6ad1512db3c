"""What the bench of engines makes of its figures."""

import pytest

from bench.engine.client import Round
from bench.engine.models import SHAPES
from bench.engine.plan import BATCHING, Case
from bench.engine.report import comparison, decoding, percentile_ms, ratios
from bench.engine.roofline import Roofline
from bench.engine.rounds import Measured
from bench.engine.servers import OURS

SLOW_MEMORY = Roofline(read_bytes_per_s=1e9, flops={"float32": 1e12, "bfloat16": 1e12})


def at(tokens_per_s: int, first_token_s: list[float] | None = None) -> Round:
    return Round(num_tokens=tokens_per_s, duration_s=1.0, first_token_s=first_token_s or [0.1, 0.1])


def compared(results, wanted=(2.0,)) -> str:
    case = Case(model="4M", dtype="float32", max_tokens=8, peers={BATCHING: 64}, wanted={BATCHING: wanted})
    return "\n".join(comparison(Measured(case=case, results=results)))


def test_a_ratio_is_of_rounds_that_ran_side_by_side():
    assert ratios([at(10), at(40)], [at(5), at(10)]) == [2, 4]


def test_a_peer_that_answered_nothing_gives_no_ratio():
    assert ratios([at(10)], [at(0)]) == []


@pytest.mark.parametrize(("ours", "verdict"), [(30, "3.00 (3.00-3.00), wanted 2: met"), (15, "wanted 2: MISSED")])
def test_a_ratio_stands_beside_the_one_that_is_wanted(ours, verdict):
    assert verdict in compared({(OURS, 1): [at(ours)], (BATCHING, 1): [at(10)]})


def test_a_peer_that_was_left_out_has_no_line():
    assert BATCHING not in compared({(OURS, 1): [at(10)]})


@pytest.mark.parametrize(("last", "verdict"), [(0.3, "met"), (0.9, "MISSED")])
def test_the_last_of_64_clients_may_wait_four_times_as_long_as_most_for_its_first_token(last, verdict):
    times = [0.1] * 50 + [last] * 14
    assert f"at most 4: {verdict}" in compared({(OURS, 64): [at(10, times)]})


def test_a_percentile_lies_among_the_values():
    assert percentile_ms([0.1, 0.2, 0.3], 99) <= 300


def test_one_row_is_bound_by_memory_and_many_by_arithmetic():
    shape = SHAPES["100M"]
    assert SLOW_MEMORY.step_s(shape, "float32", 1) == SLOW_MEMORY.step_s(shape, "float32", 64)
    assert SLOW_MEMORY.step_s(shape, "bfloat16", 1) == SLOW_MEMORY.step_s(shape, "float32", 1) / 2
    assert SLOW_MEMORY.step_s(shape, "float32", 4000) == pytest.approx(2 * shape.num_parameters * 4000 / 1e12)


def test_a_step_of_twice_the_least_time_is_half_of_the_roofline():
    least = {rows: SLOW_MEMORY.step_s(SHAPES["100M"], "float32", rows) for rows in (1, 4, 16, 64)}
    steps = {rows: 2 * seconds for rows, seconds in least.items()}
    table = "\n".join(decoding("100M", SLOW_MEMORY, {(OURS, "float32"): [steps]}))
    assert "0.50 (0.50-0.50), wanted 0.34: met" in table
    assert "0.50 (0.50-0.50), wanted 0.52: MISSED" in table
