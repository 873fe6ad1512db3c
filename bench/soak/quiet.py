"""What must be true when nobody asks: nothing is held, all places are free, and what was known is said as before."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from statistics import linear_regression

from bench.soak.answers import Refused, read_answer
from bench.soak.oracle import Oracle, ask_alone
from bench.soak.server import MAX_OPEN, MODEL, Footprint, Server

_BECOMES_QUIET_WITHIN_S = 30.0
_WARM_UP_SHARE = 0.25
_MAX_GROWTH = 0.03
"""Of the memory after the warm-up, until the end."""


@dataclass(slots=True)
class Footprints:
    """Over time, one for each quiet moment."""

    taken: list[tuple[float, Footprint]] = field(default_factory=list)

    @property
    def warm(self) -> list[tuple[float, Footprint]]:
        return self.taken[int(len(self.taken) * _WARM_UP_SHARE) :]

    @property
    def mib_per_minute(self) -> float:
        """By least squares, after the warm-up."""
        minutes = [at / 60 for at, _ in self.warm]
        return linear_regression(minutes, [footprint.rss_mib for _, footprint in self.warm]).slope

    def problems(self) -> Iterator[str]:
        if len(self.warm) < 3:
            return
        grown_mib = self.mib_per_minute * (self.warm[-1][0] - self.warm[0][0]) / 60
        if grown_mib > _MAX_GROWTH * self.warm[0][1].rss_mib:
            yield f"memory grew by {grown_mib:.1f} MiB after the warm-up"
        for name in ("num_descriptors", "num_threads"):
            told = [getattr(footprint, name) for _, footprint in self.warm]
            half = len(told) // 2
            if min(told[half:]) > max(told[:half]):
                yield f"{name} grew: {told[0]}, then {told[half]}, then {told[-1]}"


async def problems_when_quiet(server: Server, oracle: Oracle, questions: Sequence[int]) -> AsyncIterator[str]:
    """`questions`: which of those that are known are asked again."""
    if told := await _what_stays(server):
        yield f"not quiet after {_BECOMES_QUIET_WITHIN_S:.0f} s: {told}"
    if num_refused := MAX_OPEN - await _num_accepted(server):
        yield f"{num_refused} of {MAX_OPEN} requests at the same time were refused: places are lost"
    for number in questions:
        question = oracle.questions[number % len(oracle.questions)]
        answer = await ask_alone(server, question)
        if answer.texts[0] != oracle.text(question):
            yield f"{question} is answered otherwise than at the beginning: {answer.texts[0]!r}"
        for problem in oracle.wrong_counts(answer, question):
            yield problem


async def _what_stays(server: Server) -> str:
    """Figures that should be zero; "" as soon as all are."""
    figures = {}
    try:
        async with asyncio.timeout(_BECOMES_QUIET_WITHIN_S):
            while True:
                stats = await server.stats()
                figures = {name: stats[name] for name in ("num_running", "num_waiting", "cache_usage")}
                if not any(figures.values()):
                    return ""
                await asyncio.sleep(0.05)
    except TimeoutError:
        return str(figures)


async def _num_accepted(server: Server) -> int:
    """Of as many requests as there is room for, all at the same time."""
    return sum(await asyncio.gather(*(_is_accepted(server) for _ in range(MAX_OPEN))))


async def _is_accepted(server: Server) -> bool:
    # So long that the first has not ended when the last arrives.
    body = {"model": MODEL, "prompt": "Once", "max_tokens": 120, "ignore_eos": True}
    try:
        async with server.door.post("/v1/completions", json=body) as response:
            await read_answer(response)
    except Refused as refused:
        if refused.status != 503:
            raise
        return False
    return True
