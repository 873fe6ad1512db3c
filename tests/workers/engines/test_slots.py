"""Who gets which slot of the cache, and what of a prompt need not be computed again."""

import pytest

from workers.engines.transformers.slots import Room, Slots, common_length
from workers.engines.transformers.turns import fair_shares


class RecordingCache:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.shape = (0, 0)
        self.kept: list[tuple[int, int]] = []
        self.copies: list[tuple[int, int, int]] = []

    def copy(self, source: int, target: int, length: int) -> None:
        self.copies.append((source, target, length))

    def reshape(self, num_slots: int, capacity: int, kept: object) -> None:
        self.shape, self.kept = (num_slots, capacity), list(kept)  # type: ignore[call-overload]


def make_slots(max_slots: int = 4, max_positions: int = 4096, max_length: int = 1024) -> tuple[Slots, RecordingCache]:
    cache = RecordingCache()
    return Slots(cache, Room(max_slots=max_slots, max_positions=max_positions, max_length=max_length)), cache


def visit(slots: Slots, tokens: list[int]) -> int:
    """A row comes, is computed and leaves; how much was there already."""
    slot = slots.seat(tokens, len(tokens))
    assert slot is not None
    num_shared = len(slot.tokens)
    slot.tokens += tokens[num_shared:]
    slots.leave(slot)
    return num_shared


def test_a_conversation_goes_on_where_it_was() -> None:
    slots, cache = make_slots()
    first = list(range(100))
    visit(slots, first)

    assert visit(slots, [*first, 7, 8]) == 100
    assert cache.copies == []


def test_a_shared_beginning_is_copied_from_a_row_that_still_runs() -> None:
    slots, cache = make_slots()
    running = slots.seat(list(range(100)), 100)
    assert running is not None
    running.tokens += range(100)

    assert visit(slots, [*range(50), 7]) == 50
    assert cache.copies == [(0, 1, 50)]


def test_a_long_conversation_is_not_given_up_for_a_short_beginning() -> None:
    slots, _ = make_slots()
    long = list(range(200))
    visit(slots, long)

    assert visit(slots, [*range(20), 999]) == 20
    assert visit(slots, [*long, 5]) == 200


def test_the_last_token_is_always_fed_again() -> None:
    slots, _ = make_slots()
    visit(slots, [1, 2, 3])

    assert visit(slots, [1, 2, 3]) == 2


def test_what_was_used_longest_ago_makes_room() -> None:
    slots, _ = make_slots(max_slots=4)
    for start in range(5):
        visit(slots, [start * 100 + offset for offset in range(50)])

    assert slots.shared([*range(50), 1]) == 0
    assert slots.shared([*range(100, 150), 1]) == 50


def test_the_cache_grows_with_its_rows_and_keeps_them() -> None:
    slots, cache = make_slots()
    slot = slots.seat([1] * 200, 200)
    assert slot is not None
    slot.tokens += [1] * 200
    assert cache.shape == (4, 256)

    assert slots.extend(257)

    assert (cache.shape, cache.kept[0]) == ((4, 512), (0, 200))


def test_long_rows_leave_room_for_fewer() -> None:
    slots, _ = make_slots(max_positions=1500)
    assert slots.seat([1] * 700, 700) is not None
    assert slots.seat([2] * 700, 700) is not None

    assert slots.seat([3], 1) is None


def test_short_rows_get_their_room_back_when_the_long_one_has_left() -> None:
    slots, cache = make_slots(max_positions=1024)
    visit(slots, [1] * 1000)
    assert cache.shape == (1, 1024)

    assert [slots.seat([number], 60) is not None for number in range(4)] == [True] * 4
    assert cache.shape == (4, 256)


def test_a_row_that_cannot_grow_is_told_so_and_the_others_can_once_it_has_left() -> None:
    slots, _ = make_slots(max_slots=2, max_positions=1024)
    first, second = slots.seat([1] * 400, 400), slots.seat([2] * 400, 400)
    assert first is not None
    assert second is not None

    assert not slots.extend(600)
    slots.leave(second)
    assert slots.extend(600)


@pytest.mark.parametrize(
    ("ours", "theirs", "length"),
    [([], [1], 0), ([1, 2], [1, 2], 2), ([1, 2, 3], [1, 9, 3], 1), (range(300), [*range(257), 0], 257)],
)
def test_common_beginnings_are_counted_exactly(ours: list[int], theirs: list[int], length: int) -> None:
    assert common_length(list(ours), theirs) == common_length(theirs, list(ours)) == length


@pytest.mark.parametrize(
    ("wanted", "budget", "shares"),
    [([10, 10], 100, [10, 10]), ([1000, 10], 100, [90, 10]), ([1000, 1000], 100, [50, 50]), ([], 9, []), ([5], 0, [0])],
)
def test_short_prompts_are_fed_whole_and_long_ones_share_the_rest(
    wanted: list[int], budget: int, shares: list[int]
) -> None:
    assert fair_shares(wanted, budget) == shares
