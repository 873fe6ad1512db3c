"""Two thousand wait at once, without HTTP: turns stay fair, bounds hold, and nothing is left of those who have gone."""

import asyncio
import gc
from collections import Counter
from datetime import UTC, datetime

import pytest

from fleet.models import BalancingPolicy
from fleet.snapshot import FleetSnapshot, ModelEntry
from gateway.admission import Admission, Claim
from gateway.balancer import Balancer, Wanted
from gateway.errors import QueueFull
from gateway.snapshot import Snapshot, SnapshotPoller
from tests.gateway.replicas import make_pool, make_replica

NUM_WAITING, NUM_LANES, NUM_PLACES = 2000, 20, 8
MODEL = ModelEntry(
    owner="",
    name="m", base="m", created_at=datetime(2026, 1, 1, tzinfo=UTC), description="", capabilities=frozenset({"chat"}),
    context_length=None, balancing_policy=BalancingPolicy.LEAST_LOAD, only_by_route=False, is_expected=False,
    max_concurrency=None, max_queue_length=None, max_queue_wait_s=None, price=None,
)  # fmt: skip


@pytest.fixture
def admission():
    """In front of one replica."""
    poller = SnapshotPoller()
    pool = make_pool(make_replica("r", room=NUM_PLACES))
    fleet = FleetSnapshot(models={"m": MODEL}, replicas={"m": pool.replicas})
    poller.latest = Snapshot(fleet=fleet, pools={"m": pool})
    return Admission(poller, Balancer())


def make_claim(lane: int) -> Claim:
    return Claim(
        model="m", shown_as="m", endpoint="chat/completions", wanted=Wanted(capability="chat"), lane=lane, weight=1,
        num_bytes=100, has_alternative=lambda error: False,
    )  # fmt: skip


async def be_served(admission: Admission, claim: Claim, served: list[int]) -> None:
    place = await admission.place(claim)
    served.append(claim.lane)
    await asyncio.sleep(0)
    admission.give_back(place)


async def gather_a_crowd(admission: Admission, lanes: list[int], served: list[int]) -> list[asyncio.Task[None]]:
    """Everybody stands where they will be served from, and the places are taken by others."""
    places = [await admission.place(make_claim(-1)) for _ in range(NUM_PLACES)]
    tasks = [asyncio.ensure_future(be_served(admission, make_claim(lane), served)) for lane in lanes]
    await asyncio.sleep(0)
    assert admission.num_waiting == min(len(lanes), NUM_WAITING)
    asyncio.get_running_loop().call_soon(lambda: [admission.give_back(place) for place in places])
    return tasks


async def let_half_of_them_go(admission: Admission, served: list[int]) -> None:
    tasks = await gather_a_crowd(admission, [number % NUM_LANES for number in range(NUM_WAITING)], served)
    for task in tasks[::2]:
        task.cancel()
    await asyncio.wait(tasks)


async def test_a_lane_of_a_thousand_gets_no_more_turns_than_one_of_fifty(admission):
    served: list[int] = []
    lanes = [0] * (NUM_WAITING // 2) + [1 + number % (NUM_LANES - 1) for number in range(NUM_WAITING // 2)]
    await asyncio.gather(*await gather_a_crowd(admission, lanes, served))
    turns = Counter(served[: 50 * NUM_LANES])
    assert len(served) == NUM_WAITING
    assert set(turns) == set(range(NUM_LANES))
    assert max(turns.values()) - min(turns.values()) <= 1


async def test_of_thousands_that_were_served_or_have_gone_nothing_is_left(admission):
    served: list[int] = []
    await let_half_of_them_go(admission, served)
    assert len(served) == NUM_WAITING // 2
    assert admission.num_waiting == 0
    assert not admission._balancer.in_flight
    gc.collect()
    assert sum(type(thing) is Claim and thing.model == MODEL.name for thing in gc.get_objects()) == 0


async def test_beyond_two_thousand_the_longest_lane_makes_room(admission, settings):
    settings.QUEUE_LENGTH = NUM_WAITING
    served: list[int] = []
    tasks = await gather_a_crowd(admission, [0] * NUM_WAITING + [1] * 500, served)
    ends = await asyncio.gather(*tasks, return_exceptions=True)
    assert Counter(map(type, ends)) == {type(None): NUM_WAITING, QueueFull: 500}
    assert Counter(served) == {0: NUM_WAITING - 500, 1: 500}
