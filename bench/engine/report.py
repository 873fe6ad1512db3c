"""Markdown tables of what was measured. Ratios travel from machine to machine; figures do not."""

import statistics
from collections.abc import Iterator, Mapping, Sequence

from bench.engine.client import Round
from bench.engine.models import SHAPES
from bench.engine.plan import CLIENTS, MAX_FIRST_TOKEN_RATIO, WANTED_OF_LLAMA, WANTED_OF_ROOFLINE, Case
from bench.engine.roofline import Roofline
from bench.engine.rounds import Measured, Results
from bench.engine.servers import OURS

Steps = Mapping[int, float]
"""Seconds of a decode step, by its number of rows."""


def percentile_ms(values: Sequence[float], percent: int) -> float:
    """Between the values that there are, never beyond them; 0 of none."""
    if len(values) < 2:
        return 1000 * sum(values)
    return 1000 * statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


def ratios(ours: Sequence[Round], theirs: Sequence[Round]) -> list[float]:
    """Tokens per second of ours over theirs, of each round by itself: it saw the same neighbours."""
    pairs = zip(ours, theirs, strict=True)
    return [ours.tokens_per_s / theirs.tokens_per_s for ours, theirs in pairs if theirs.num_tokens]


def figures(results: Results) -> Iterator[str]:
    """A line for each server and number of clients; medians of the rounds, times in ms."""
    yield "| clients | server | tokens/s (spread) | first token p50 / p99 | p99 : p50 | between p50 / p99 | errors |"
    yield "|---" * 7 + "|"
    for (name, num_clients), rounds in results.items():
        speeds = [seen.tokens_per_s for seen in rounds]
        first = [_median_ms(rounds, "first_token_s", percent) for percent in (50, 99)]
        between = [_median_ms(rounds, "between_tokens_s", percent) for percent in (50, 99)]
        yield (
            f"| {num_clients} | {name} | {statistics.median(speeds):.0f} ({min(speeds):.0f}-{max(speeds):.0f}) "
            f"| {first[0]:.0f} / {first[1]:.0f} | {first[1] / (first[0] or 1):.1f} "
            f"| {between[0]:.1f} / {between[1]:.1f} | {sum(seen.num_errors for seen in rounds)} |"
        )


def _median_ms(rounds: Sequence[Round], of: str, percent: int) -> float:
    return statistics.median(percentile_ms(getattr(seen, of), percent) for seen in rounds)


def comparison(measured: Measured) -> Iterator[str]:
    """Tokens per second of ours over each peer's: the median of the rounds, their spread, and what is wanted."""
    yield from _header("ours over, by clients")
    for peer in measured.case.peers:
        cells = [_compared(measured, peer, num_clients) for num_clients in CLIENTS]
        if any(cells):
            yield _line(peer, cells)
    if first_token := _first_token(measured.results):
        yield _line("first token p99 : p50, ours", ["", "", "", first_token])


def _compared(measured: Measured, peer: str, num_clients: int) -> str:
    rounds = [measured.results.get((name, num_clients), []) for name in (OURS, peer)]
    if not all(rounds) or not (found := ratios(*rounds)):
        return ""
    return _judged(found, _wanted(measured.case.wanted.get(peer, ()), num_clients))


def _first_token(results: Results) -> str:
    rounds = results.get((OURS, CLIENTS[-1]))
    if not rounds:
        return ""
    found = [percentile_ms(seen.first_token_s, 99) / (percentile_ms(seen.first_token_s, 50) or 1) for seen in rounds]
    middle = statistics.median(found)
    verdict = "met" if middle <= MAX_FIRST_TOKEN_RATIO else "MISSED"
    return f"{middle:.1f} ({min(found):.1f}-{max(found):.1f}), at most {MAX_FIRST_TOKEN_RATIO:g}: {verdict}"


def _judged(found: Sequence[float], wanted: float | None) -> str:
    middle = statistics.median(found)
    text = f"{middle:.2f} ({min(found):.2f}-{max(found):.2f})"
    if wanted is None:
        return text
    return f"{text}, wanted {wanted:g}: {'met' if middle >= wanted else 'MISSED'}"


def _wanted(ratios_wanted: Sequence[float], num_clients: int) -> float | None:
    at = CLIENTS.index(num_clients)
    return ratios_wanted[at] if at < len(ratios_wanted) else None


def decoding(model: str, roofline: Roofline, rounds: Mapping[tuple[str, str], Sequence[Steps]]) -> Iterator[str]:
    """Decode steps in process, by (engine, number format): the fraction of the roofline, and ours over llama.cpp's."""
    yield from _header("in process, by rows")
    for (engine, dtype), steps in rounds.items():
        limits = {rows: roofline.step_s(SHAPES[model], dtype, rows) for rows in CLIENTS}
        wanted = WANTED_OF_ROOFLINE.get(dtype, ()) if engine == OURS else ()
        yield _line(f"{engine} {dtype}, ms a step", [f"{1000 * _median(steps, rows):.1f}" for rows in CLIENTS])
        cells = [_judged([limits[rows] / step[rows] for step in steps], _wanted(wanted, rows)) for rows in CLIENTS]
        yield _line(f"{engine} {dtype}, of the roofline", cells)
    for (engine, dtype), steps in rounds.items():
        if engine != OURS:
            pairs = list(zip(rounds[OURS, dtype], steps, strict=True))
            found = {rows: [theirs[rows] / ours[rows] for ours, theirs in pairs] for rows in CLIENTS}
            cells = [_judged(found[rows], _wanted(WANTED_OF_LLAMA, rows)) for rows in CLIENTS]
            yield _line(f"ours over {engine}, {dtype}", cells)


def _median(steps: Sequence[Steps], rows: int) -> float:
    return statistics.median(step[rows] for step in steps)


def machine(roofline: Roofline) -> str:
    """The roofline in words."""
    products = ", ".join(f"{flops / 1e9:.0f} GFLOP/s {dtype}" for dtype, flops in roofline.flops.items())
    return f"This machine reads {roofline.read_bytes_per_s / 1e9:.1f} GB/s and multiplies matrices at {products}."


def title(case: Case) -> str:
    return f"\n## {case.title}\n"


def _header(first: str) -> Iterator[str]:
    yield _line(first, [str(number) for number in CLIENTS])
    yield "|---" * (len(CLIENTS) + 1) + "|"


def _line(first: str, cells: Sequence[str]) -> str:
    return f"| {first} | {' | '.join(cells)} |"
