"""Our decode step in process, without HTTP: how long one takes with so many rows, from the engine's own face.

python -m bench.engine.decode FOLDER DTYPE STEPS ROWS [ROWS ...]        prints {rows: seconds} as JSON
"""

import asyncio
import json
import os
import statistics
import sys
import time
from contextlib import aclosing
from itertools import pairwise

# As workers.engines sets it, before torch is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from bench.engine.client import make_prompt
from workers.engines.base import EngineSpec, Generate, Sampling
from workers.engines.transformers.engine import TransformersEngine

_NUM_PROMPT_WORDS = 24


async def measure(folder: str, dtype: str, num_steps: int, rows: list[int]) -> dict[int, float]:
    """The median step, in seconds, while all rows answer."""
    spec = EngineSpec(engine="transformers", source=folder, dtype=dtype, max_concurrency=max(rows))
    engine = TransformersEngine(spec)
    try:
        await engine.load(lambda _: None)
        return {number: await _Steps(engine, num_steps, number).median_s() for number in rows}
    finally:
        await engine.close()


class _Steps:
    """Some rows that answer together until enough steps were seen, by the tokens of the first."""

    def __init__(self, engine: TransformersEngine, num_steps: int, num_rows: int) -> None:
        self._engine, self._num_steps = engine, num_steps
        self._silent = set(range(num_rows))
        self._moments: list[float] = []

    async def median_s(self) -> float:
        await asyncio.gather(*(self._follow(row) for row in tuple(self._silent)))
        return statistics.median(after - before for before, after in pairwise(self._moments))

    async def _follow(self, row: int) -> None:
        async with aclosing(await self._engine.generate(_request(f"{self._num_steps}/{row}"))) as generation:
            async for _ in generation:
                self._silent.discard(row)
                if row == 0 and not self._silent:
                    self._moments.append(time.perf_counter())
                if len(self._moments) > self._num_steps:
                    return


def _request(name: str) -> Generate:
    return Generate(
        request_id=name,
        messages=[{"role": "user", "content": make_prompt(_NUM_PROMPT_WORDS, name)}],
        sampling=Sampling(temperature=0.0, ignores_end=True),
    )


if __name__ == "__main__":
    folder, dtype, num_steps, *rows = sys.argv[1:]
    print(json.dumps(asyncio.run(measure(folder, dtype, int(num_steps), [int(number) for number in rows]))))
