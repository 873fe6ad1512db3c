"""Our decode step in process, without HTTP: how long one takes with so many rows, from the engine's own face.

python -m bench.engine.decode FOLDER DTYPE TOKENS ROWS [ROWS ...]        prints {rows: seconds} as JSON
"""

import asyncio
import json
import os
import statistics
import sys
import time
from itertools import pairwise

# As workers.engines sets it, before torch is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from bench.engine.client import make_prompt
from workers.engines.base import EngineSpec, Generate, Sampling
from workers.engines.transformers.engine import TransformersEngine

_NUM_PROMPT_WORDS = 24


async def measure(folder: str, dtype: str, num_tokens: int, rows: list[int]) -> dict[int, float]:
    """The median step, in seconds, while all rows answer."""
    engine = TransformersEngine(
        EngineSpec(engine="transformers", source=folder, dtype=dtype, max_concurrency=max(rows))
    )
    try:
        await engine.load(lambda _: None)
        return {number: await _step_s(engine, num_tokens, number) for number in rows}
    finally:
        await engine.close()


async def _step_s(engine: TransformersEngine, num_tokens: int, num_rows: int) -> float:
    times = await asyncio.gather(*(_token_times(engine, num_tokens, f"{num_rows}/{at}") for at in range(num_rows)))
    # Only while all are answering: after the last has begun, before the first has ended.
    begin, end = max(row[0] for row in times), min(row[-1] for row in times)
    shared = [moment for moment in times[0] if begin <= moment <= end]
    return statistics.median(after - before for before, after in pairwise(shared))


async def _token_times(engine: TransformersEngine, num_tokens: int, seed: str) -> list[float]:
    request = Generate(
        request_id=seed,
        messages=[{"role": "user", "content": make_prompt(_NUM_PROMPT_WORDS, seed)}],
        max_tokens=num_tokens,
        sampling=Sampling(temperature=0.0, ignores_end=True),
    )
    generation = await engine.generate(request)
    return [time.perf_counter() async for _ in generation]


if __name__ == "__main__":
    folder, dtype, num_tokens, *rows = sys.argv[1:]
    print(json.dumps(asyncio.run(measure(folder, dtype, int(num_tokens), [int(number) for number in rows]))))
