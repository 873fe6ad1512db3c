"""A worker among many callers who come, go, hang up, cancel and ask for nonsense, for as long as you like.

    python -m bench.soak [--minutes 20] [--seed 1] [--model FOLDER] [--log FILE]

Every whole answer is compared with what the model said to the same question alone, and counted against the tokenizer.
Between waves of callers, when it is quiet: no request may run or wait, no room be taken, every place be free, and
memory, descriptors and threads be as before. Exit status 1: something was wrong, and is printed.
"""

import argparse
import asyncio
import random
import signal
import sys
import time
from collections import Counter
from pathlib import Path

from bench.soak.oracle import Oracle
from bench.soak.quiet import Footprints, problems_when_quiet
from bench.soak.server import Server, served
from bench.soak.visits import Caller, Wrong
from workers.demo_model import WEIGHTS

_WAVES_BETWEEN_QUIET = 5
_MOST_PROBLEMS = 20
_BURST, _CHANCE_OF_BURST = 80, 0.1


class Soak:
    """One run. `chance` decides everything, so a seed names a run; what overlaps with what depends on the machine."""

    def __init__(self, server: Server, oracle: Oracle, seed: int) -> None:
        self._server, self._oracle = server, oracle
        self._chance = random.Random(seed)
        self._began_at = time.monotonic()
        self.problems: list[str] = []
        self.seen: Counter[str] = Counter()
        self.footprints = Footprints()

    async def run(self, duration_s: float) -> None:
        """Until the time is over, or too much was wrong."""
        self.problems += await self._oracle.learn(self._server)
        while time.monotonic() - self._began_at < duration_s and len(self.problems) < _MOST_PROBLEMS:
            for _ in range(_WAVES_BETWEEN_QUIET):
                await self._wave()
            await self._check_quiet()
        self.problems += self.footprints.problems()

    async def _wave(self) -> None:
        is_burst = self._chance.random() < _CHANCE_OF_BURST
        num_callers = _BURST if is_burst else self._chance.randint(1, 24)
        seeds = [self._chance.getrandbits(64) for _ in range(num_callers)]
        await asyncio.gather(*(self._call(random.Random(seed), is_patient=not is_burst) for seed in seeds))

    async def _call(self, chance: random.Random, *, is_patient: bool) -> None:
        """One to three visits, which begin at any moment of a second."""
        caller = Caller(self._server, self._oracle, chance, self.seen)
        for _ in range(chance.randint(1, 3)):
            await asyncio.sleep(chance.random() if is_patient else 0)
            try:
                await caller.visit()
            except Wrong as wrong:
                self._tell(str(wrong))

    async def _check_quiet(self) -> None:
        questions = [self._chance.getrandbits(16) for _ in range(3)]
        async for problem in problems_when_quiet(self._server, self._oracle, questions):
            self._tell(problem)
        at, footprint = time.monotonic() - self._began_at, self._server.footprint()
        self.footprints.taken.append((at, footprint))
        print(f"{at:6.0f} s: {self.seen.total()} visits, {len(self.problems)} problems, {footprint}", flush=True)

    def _tell(self, problem: str) -> None:
        self.problems.append(problem)
        print(f"WRONG: {problem}", flush=True)

    def report(self) -> None:
        """What happened, in numbers."""
        print("\n| what callers did | times |\n|---|---|")
        for name, times in sorted(self.seen.items(), key=lambda item: -item[1]):
            print(f"| {name.replace('_', ' ')} | {times} |")
        first, last = self.footprints.warm[0][1], self.footprints.warm[-1][1]
        print(f"\nafter the warm-up {first}\nat the end       {last}")
        if len(self.footprints.warm) > 1:
            print(f"slope {self.footprints.mib_per_minute:+.3f} MiB a minute")
        print(*(f"WRONG: {problem}" for problem in self.problems), sep="\n")
        print(f"{len(self.problems)} problems")


async def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--model", type=Path, default=WEIGHTS, help="of Llama's kind; by default the demo model")
    parser.add_argument("--log", type=Path, default=Path("/tmp/soak.log"), help="what the worker says")
    options = parser.parse_args()
    # Told to end, it ends the worker too.
    running = asyncio.current_task()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, lambda: running and running.cancel())
    async with served(options.model, options.log) as server:
        soak = Soak(server, Oracle(options.model), options.seed)
        await soak.run(60 * options.minutes)
        soak.report()
    return bool(soak.problems)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
