"""Which balancing policy to use, and what picking costs.

    python -m bench.routing              what one pick costs, then the simulation: prints tables, draws docs/routing.svg
    python -m bench.routing --quick      a tenth of it, to see that it runs

The simulation runs the gateway's own code over 1,000 simulated replicas behind four gateways (events by simpy). The
load is skewed in every way that hurts: requests of very different length, machines of different speed, a few sessions
and conversations that ask most; and the figures are as stale as in life: heartbeats every five seconds, read every
half second, plus what comes with each answer. In the second table engines keep the beginnings of conversations in a
cache.
"""

import argparse
import os
import random
import statistics
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import django
import simpy

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
os.environ.setdefault("DEBUG", "true")
django.setup()

from bench.routing_picture import draw  # noqa: E402
from fleet.models import BalancingPolicy  # noqa: E402
from fleet.snapshot import RoutableReplica  # noqa: E402
from gateway import balancer as balancing  # noqa: E402
from gateway.balancer import Balancer, Wanted  # noqa: E402
from gateway.policies import POLICIES, Policy, Situation, fitting  # noqa: E402
from gateway.pool import Pool  # noqa: E402

PICTURE = Path(__file__).parent.parent / "docs" / "routing.svg"
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
NUM_GATEWAYS, PLACES = 4, 4
HEARTBEAT_S, SNAPSHOT_S = 5.0, 0.5
WARM_UP_S = 20.0
SPEEDS = (0.5, 1.0, 1.0, 1.0, 2.0)
"""Of the machines, as often as they occur here; 1 gives a request 50 tokens a second."""
TOKENS_PER_S, MEDIAN_TOKENS, SPREAD = 50.0, 150, 0.9
PREFILL_S, CACHED_PREFILL_S, CACHE_SIZE = 1.0, 0.1, 50
NUM_SESSIONS, ZIPF = 20_000, 0.8
UTILISATION = 0.8


class TrueMinimum:
    """For comparison: the least loaded of all, by the same figures."""

    def choose(self, pool: Pool, now: Situation) -> RoutableReplica | None:
        return min(pool.replicas, key=now.load)


class BestOfTwo:
    """For comparison: half as many draws as the default makes."""

    def choose(self, pool: Pool, now: Situation) -> RoutableReplica | None:
        return min(random.sample(pool.replicas, 2), key=now.load)


class AtRandom:
    """For comparison."""

    def choose(self, pool: Pool, now: Situation) -> RoutableReplica | None:
        return random.choice(fitting(pool, now))


class FastChatShortestQueue:
    """FastChat's default: the shortest queue divided by speed as the last heartbeat had it, one longer for each request
    sent since. Its heartbeats come every 45 s, here every 5."""

    def __init__(self) -> None:
        self._seen: dict[str, datetime] = {}
        self._sent: Counter[str] = Counter()

    def choose(self, pool: Pool, now: Situation) -> RoutableReplica | None:
        chosen = min(pool.replicas, key=self._length)
        self._sent[chosen.replica_id] += 1
        return chosen

    def _length(self, replica: RoutableReplica) -> float:
        name = replica.replica_id
        if self._seen.get(name) != replica.observed_at:
            self._seen[name], self._sent[name] = replica.observed_at, 0
        return replica.num_running + replica.num_waiting + self._sent[name]


CONTENDERS: dict[str, Callable[[], Policy]] = {
    **{policy.value: POLICIES[policy] for policy in BalancingPolicy},
    "(at random)": AtRandom,
    "(best of two)": BestOfTwo,
    "(best of all)": TrueMinimum,
    "(FastChat's shortest queue)": FastChatShortestQueue,
}


@dataclass
class Station:
    """A replica as it really is."""

    places: simpy.Resource
    speed: float
    num: int = 0
    cache: "OrderedDict[int, None]" = field(default_factory=OrderedDict)

    def prefill_s(self, beginning: int, *, has_cache: bool) -> float:
        is_cached = beginning in self.cache
        self.cache[beginning] = None
        self.cache.move_to_end(beginning)
        if len(self.cache) > CACHE_SIZE:
            self.cache.popitem(last=False)
        return (CACHED_PREFILL_S if is_cached and has_cache else PREFILL_S) / self.speed


@dataclass
class Outcome:
    """Seconds to the first token of each request; how far the busiest replica was above the mean, second by second."""

    first_token_s: list[float] = field(default_factory=list)
    imbalance: list[float] = field(default_factory=list)

    def at(self, share: float) -> float:
        ordered = sorted(self.first_token_s)
        return ordered[min(int(share * len(ordered)), len(ordered) - 1)]


class Simulation:
    """One policy under one load. The same seed gives every policy the same requests."""

    def __init__(self, contender: Callable[[], Policy], *, has_cache: bool, num_replicas: int, seconds: float) -> None:
        self.env = simpy.Environment()
        self.has_cache, self.end_s = has_cache, WARM_UP_S + seconds
        self.stations = {
            f"replica-{number:04}": Station(simpy.Resource(self.env, PLACES), SPEEDS[number % len(SPEEDS)])
            for number in range(num_replicas)
        }
        self.gateways = [Gateway(contender()) for _ in range(NUM_GATEWAYS)]
        self.outcome, self.draw = Outcome(), random.Random(1)
        random.seed(2)
        self.popularity = [(rank + 1) ** -ZIPF for rank in range(NUM_SESSIONS)]
        self.reported = {name: make_replica(name, self._now()) for name in self.stations}
        self.pool = self._pool()

    def run(self) -> Outcome:
        balancing.now = self._now  # type: ignore[attr-defined]  # the balancer lives in simulated time
        for position, name in enumerate(self.stations):
            self.env.process(self._heartbeats(name, HEARTBEAT_S * position / len(self.stations)))
        for work in (self._snapshots(), self._arrivals(), self._look()):
            self.env.process(work)
        self.env.run(self.end_s)
        return self.outcome

    def _now(self) -> datetime:
        return EPOCH + timedelta(seconds=self.env.now)

    def _heartbeats(self, name: str, offset_s: float) -> Iterator[simpy.Event]:
        yield self.env.timeout(offset_s)
        while True:
            station = self.stations[name]
            running = min(station.num, PLACES)
            self.reported[name] = replace(
                self.reported[name], num_running=running, num_waiting=station.num - running, observed_at=self._now()
            )
            yield self.env.timeout(HEARTBEAT_S)

    def _pool(self) -> Pool:
        return Pool.of("m", BalancingPolicy.LEAST_LOAD, self.reported.values())

    def _snapshots(self) -> Iterator[simpy.Event]:
        while True:
            self.pool = self._pool()
            yield self.env.timeout(SNAPSHOT_S)

    def _arrivals(self) -> Iterator[simpy.Event]:
        mean_tokens = MEDIAN_TOKENS * 2.718281828 ** (SPREAD**2 / 2)
        prefill_s = PREFILL_S if not self.has_cache else (PREFILL_S + CACHED_PREFILL_S) / 2
        capacity = sum(station.speed for station in self.stations.values()) * PLACES
        rate = UTILISATION * capacity / (mean_tokens / TOKENS_PER_S + prefill_s)
        sessions = self.draw.choices(range(NUM_SESSIONS), self.popularity, k=int(rate * self.end_s * 1.2))
        for session in sessions:
            yield self.env.timeout(self.draw.expovariate(rate))
            tokens = self.draw.lognormvariate(0, SPREAD) * MEDIAN_TOKENS
            self.env.process(self._request(self.draw.choice(self.gateways), session, tokens))

    def _request(self, gateway: "Gateway", session: int, tokens: float) -> Iterator[simpy.Event]:
        began_s = self.env.now
        chosen = gateway.pick(self.pool, Wanted(capability="chat", session=f"s{session}", beginning=f"b{session}"))
        station = self.stations[chosen.replica_id]
        station.num += 1
        with station.places.request() as place:
            yield place
            yield self.env.timeout(station.prefill_s(session, has_cache=self.has_cache))
            if began_s > WARM_UP_S:
                self.outcome.first_token_s.append(self.env.now - began_s)
            gateway.balancer.heard(chosen, station.num)
            yield self.env.timeout(tokens / TOKENS_PER_S / station.speed)
        station.num -= 1
        gateway.balancer.give_back(chosen)
        elapsed_s = tokens / TOKENS_PER_S / station.speed
        gateway.balancer.measured(chosen, num_tokens=max(8, int(tokens)), elapsed_s=elapsed_s)

    def _look(self) -> Iterator[simpy.Event]:
        yield self.env.timeout(WARM_UP_S)
        while True:
            loads = [station.num / PLACES for station in self.stations.values()]
            self.outcome.imbalance.append(max(loads) / (statistics.fmean(loads) or 1))
            yield self.env.timeout(1)


class Gateway:
    """One web process: its own counts, its own policy."""

    def __init__(self, policy: Policy) -> None:
        self.balancer = Balancer()
        self.balancer._policies["m"] = (BalancingPolicy.LEAST_LOAD, policy)

    def pick(self, pool: Pool, wanted: Wanted) -> RoutableReplica:
        chosen = self.balancer.pick(pool, wanted)
        assert chosen
        self.balancer.take(chosen)
        return chosen


def make_replica(name: str, at: datetime) -> RoutableReplica:
    return RoutableReplica(
        replica_id=name,
        model="m",
        base="m",
        worker_id=name,
        worker_name=name,
        url="http://127.0.0.1:1",
        host_header="",
        secret="",
        num_running=0,
        num_waiting=0,
        max_concurrency=PLACES,
        context_length=None,
        capabilities=frozenset({"chat"}),
        observed_at=at,
        speed=None,
    )


def cost_us(policy: BalancingPolicy, num_replicas: int, num_picks: int) -> tuple[float, float]:
    """Median and 99th percentile of one pick, with place taken and given back; half of the replicas are busy.

    In CPU time, and each pick the best of five runs of the same picks: what other programs on the machine do is no
    cost of ours.
    """
    runs = [timed_picks(policy, num_replicas, num_picks) for _ in range(5)]
    costs = [min(times) for times in zip(*runs, strict=True)]
    return statistics.median(costs), sorted(costs)[int(0.99 * num_picks)]


def timed_picks(policy: BalancingPolicy, num_replicas: int, num_picks: int) -> list[float]:
    """Microseconds of each pick; the same picks whenever it is called."""
    random.seed(num_replicas)
    now = balancing.now()
    pool = Pool.of("m", policy, (make_replica(f"replica-{number:04}", now) for number in range(num_replicas)))
    balancer, costs = Balancer(), []
    for busy in pool.replicas[::2]:
        balancer.take(busy)
    for number in range(num_picks):
        wanted = Wanted(capability="chat", session=f"s{number % 5000}", beginning=f"b{number % 5000}" * 100)
        began_s = time.thread_time()
        chosen = balancer.pick(pool, wanted)
        assert chosen
        balancer.take(chosen)
        balancer.give_back(chosen)
        costs.append((time.thread_time() - began_s) * 1e6)
    return costs


def report_costs(num_picks: int) -> None:
    sizes = (10, 100, 1000)
    print("| µs a pick (99 % of picks) | " + " | ".join(f"{size} replicas" for size in sizes) + " |")
    print("|---" * (len(sizes) + 1) + "|")
    for policy in BalancingPolicy:
        costs = (cost_us(policy, size, num_picks) for size in sizes)
        print(f"| {policy.value} | " + " | ".join(f"{median:.0f} ({worst:.0f})" for median, worst in costs) + " |")


def report_outcomes(title: str, outcomes: dict[str, Outcome]) -> None:
    print(f"\n| {title}: s to the first token | p50 | p99 | p99.9 | busiest replica / mean |\n|---|---|---|---|---|")
    for name, outcome in sorted(outcomes.items(), key=lambda item: item[1].at(0.99)):
        times = " | ".join(f"{outcome.at(share):.2f}" for share in (0.5, 0.99, 0.999))
        print(f"| {name} | {times} | {statistics.fmean(outcome.imbalance):.1f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tenth of everything, and no picture")
    options = parser.parse_args()
    size = {"num_replicas": 100, "seconds": 20.0} if options.quick else {"num_replicas": 1000, "seconds": 40.0}
    report_costs(2_000 if options.quick else 20_000)
    for title, has_cache in (("no cache", False), ("engines with a prefix cache", True)):
        outcomes = {
            name: Simulation(contender, has_cache=has_cache, **size).run()
            for name, contender in CONTENDERS.items()
            if not (has_cache and name.startswith("("))
        }
        report_outcomes(title, outcomes)
        if not options.quick and not has_cache:
            PICTURE.write_text(draw({name: outcome.first_token_s for name, outcome in outcomes.items()}))


if __name__ == "__main__":
    main()
