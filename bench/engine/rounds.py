"""Runs cases: the servers of one start together and take turns, so that whatever else the machine does hits all."""

import asyncio
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from bench.engine.client import Load, Round, Target, run_round
from bench.engine.plan import Case
from bench.engine.servers import OURS, SERVERS, Site, running

Results = dict[tuple[str, int], list[Round]]
"""By a server's name and the number of clients."""
_WARM_UP_TOKENS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where the bench keeps things. `pythons`: see environments.prepare."""

    pythons: Mapping[str, Path]
    models: Path
    logs: Path


@dataclass(slots=True, kw_only=True)
class Measured:
    """What came of a case."""

    case: Case
    results: Results = field(default_factory=dict)


def run_case(case: Case, places: Places, peers: Sequence[str]) -> Measured:
    """With those of the case's peers that are named and installed."""
    names = [name for name in (OURS, *case.peers) if name == OURS or (name in peers and _is_installed(name, places))]
    site = Site(
        pythons=places.pythons, models=places.models, logs=places.logs,
        model=case.model, dtype=case.dtype, positions=case.positions,
    )  # fmt: skip
    measured = Measured(case=case)
    with running(names, site) as targets:
        asyncio.run(_measure(measured, targets))
    return measured


def _is_installed(name: str, places: Places) -> bool:
    needs = SERVERS[name].needs
    return not needs or needs in places.pythons


async def _measure(measured: Measured, targets: Sequence[Target]) -> None:
    case = measured.case
    for num_clients in case.clients:
        asked = [target for target in targets if num_clients <= case.peers.get(target.name, case.max_clients)]
        load = case.load(num_clients)
        print(f"{case.title}: {num_clients} clients ...", file=sys.stderr)
        measured.results |= await take_turns(asked, load, case.num_rounds)


async def take_turns(targets: Sequence[Target], load: Load, num_rounds: int) -> Results:
    """Rounds of each, after one that does not count: servers make room when they are first asked by so many."""
    results: Results = {(target.name, load.num_clients): [] for target in targets}
    warm_up = replace(load, num_requests=1, max_tokens=_WARM_UP_TOKENS, num_words=min(load.num_words, 24))
    for target in targets:
        await run_round(target, warm_up, "warm-up")
    for number in range(num_rounds):
        for target in targets:
            # Prompts of their own for each round: none is to be found in a prefix cache.
            seen = await run_round(target, load, f"{load.num_clients}/{number}")
            results[target.name, load.num_clients].append(seen)
    return results
