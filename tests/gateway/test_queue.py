"""Whose turn it is, in every order of coming and going."""

from collections import Counter
from dataclasses import dataclass
from itertools import islice

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.queue import FairQueue


@dataclass(frozen=True)
class Ticket:
    lane: str
    number: int = 0
    weight: int = 1
    cost: int = 1


PATIENTLY = settings(deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
WEIGHTS = {"a": 1, "b": 2, "c": 5}
LANES = list(WEIGHTS)
tickets = st.builds(
    lambda lane, number, cost: Ticket(lane, number, WEIGHTS[lane], cost),
    st.sampled_from(LANES),
    st.integers(0, 10**9),
    st.integers(1, 9),
)
crowds = st.lists(tickets, unique=True, min_size=1, max_size=40)


def crowd(**num_by_lane: int) -> list[Ticket]:
    return [Ticket(lane, number) for lane, num in num_by_lane.items() for number in range(num)]


def queue_of(waiting: list[Ticket]) -> FairQueue[Ticket]:
    queue: FairQueue[Ticket] = FairQueue()
    for ticket in waiting:
        queue.join(ticket)
    return queue


def served(queue: FairQueue[Ticket], num: int | None = None) -> list[Ticket]:
    return [queue.pop() for _ in range(len(queue) if num is None else num)]


def test_ten_times_the_requests_give_no_more_service():
    first = served(queue_of(crowd(greedy=1000, modest=100)), 200)
    assert Counter(ticket.lane for ticket in first) == {"greedy": 100, "modest": 100}


def test_a_weight_of_three_gives_three_times_the_service():
    waiting = [Ticket("heavy", number, weight=3) for number in range(400)] + crowd(light=400)
    assert Counter(ticket.lane for ticket in served(queue_of(waiting), 400)) == {"heavy": 300, "light": 100}


def test_long_requests_count_for_as_many_short_ones_as_they_cost():
    waiting = [Ticket("long", number, cost=4) for number in range(100)] + crowd(short=400)
    assert Counter(ticket.lane for ticket in served(queue_of(waiting), 100)) == {"long": 20, "short": 80}


def test_a_newcomer_waits_for_no_more_than_one_of_everybody_else():
    queue = queue_of(crowd(a=100, b=100))
    served(queue, 10)
    queue.join(Ticket("new"))
    assert list(queue).index(Ticket("new")) <= 2


def test_nobody_saves_up_turns_by_staying_away():
    queue = queue_of(crowd(a=50, b=1))
    served(queue, 20)
    for number in range(10):
        queue.join(Ticket("b", number + 1))
    assert Counter(ticket.lane for ticket in served(queue, 10)) == {"a": 5, "b": 5}


def test_of_a_full_queue_the_last_of_the_longest_lane_is_the_one_to_go():
    heavy = [Ticket("heavy", number, weight=10) for number in range(20)]
    assert queue_of([*crowd(light=3), *heavy]).greediest() == Ticket("light", 2)


@PATIENTLY
@given(crowds)
def test_everybody_is_served_once_and_in_the_order_of_their_lane(waiting):
    queue = queue_of(waiting)
    order = served(queue)
    assert [[one for one in order if one.lane == lane] for lane in LANES] == [
        [one for one in waiting if one.lane == lane] for lane in LANES
    ]
    assert not queue


@PATIENTLY
@given(crowds, st.data())
def test_the_order_that_is_told_is_the_order_that_comes(waiting, data):
    queue = queue_of(waiting)
    served(queue, data.draw(st.integers(0, len(waiting))))
    told = list(queue)
    assert served(queue) == told


@PATIENTLY
@given(crowds, st.data())
def test_who_was_served_in_vain_is_the_next_again_and_has_paid_nothing(waiting, data):
    queue = queue_of(waiting)
    served(queue, data.draw(st.integers(0, len(waiting) - 1)))
    before = list(queue)
    queue.put_back(queue.pop())
    assert list(queue) == before


@PATIENTLY
@given(crowds, st.data())
def test_who_leaves_holds_up_nobody(waiting, data):
    queue = queue_of(waiting)
    gone = data.draw(st.sets(st.sampled_from(waiting)))
    for ticket in gone:
        queue.leave(ticket)
        queue.leave(ticket)
    assert set(served(queue)) == set(waiting) - gone


@PATIENTLY
@given(st.lists(st.sampled_from(LANES), min_size=1, max_size=60), st.lists(st.integers(1, 9), min_size=60, max_size=60))
def test_while_two_lanes_wait_neither_is_ahead_by_more_than_the_longest_request(lanes, costs):
    waiting = [Ticket(lane, number, cost=cost) for number, (lane, cost) in enumerate(zip(lanes, costs, strict=False))]
    queue, used = queue_of(waiting), Counter(dict.fromkeys(LANES, 0))
    left = Counter(lanes)
    while sum(num > 0 for num in left.values()) > 1:
        ticket = queue.pop()
        used[ticket.lane] += ticket.cost
        left[ticket.lane] -= 1
        in_line = [used[lane] for lane in left if left[lane] > 0]
        assert max(in_line) - min(in_line) <= 2 * max(costs) + 1


def test_where_nobody_waits_it_is_nobodys_turn():
    with pytest.raises(IndexError):
        queue_of([]).pop()


def test_the_order_can_be_read_in_part():
    assert list(islice(queue_of(crowd(a=2, b=2)), 2)) == [Ticket("a", 0), Ticket("b", 0)]
