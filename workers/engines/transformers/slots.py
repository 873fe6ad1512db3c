"""Which row has which slot of the cache, how large the cache is, and what of a prompt is in it already.

Rules on plain values: nothing here knows tensors. What must be done to the cache is told to a `Cache`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Protocol

_MIN_SLOTS = 4
_MIN_CAPACITY = 256
_SMALLEST_GROWTH = 64
_COMPARED_AT_ONCE = 64


class Cache(Protocol):
    """See slot_cache.SlotCache."""

    def copy(self, source: int, target: int, length: int) -> None: ...

    def reshape(self, num_slots: int, capacity: int, kept: Sequence[tuple[int, int]]) -> None: ...


@dataclass(slots=True, eq=False)
class Slot:
    """Room for one row. `tokens`: those whose keys and values it holds; they stay when the row leaves."""

    index: int
    tokens: list[int] = field(default_factory=list)
    length: int = 0
    """That its row was promised."""
    variant: int = 0
    """Of the model that computed them: see Row.variant."""
    is_taken: bool = False
    used_at: int = 0
    """Counts seats, not seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """What the cache may grow to. `max_positions`: of all slots together, used or not."""

    max_slots: int
    max_positions: int
    max_length: int
    """Of one row; fits into max_positions."""

    def shape(self, num_rows: int, longest: int) -> tuple[int, int] | None:
        """Slots, and positions of each, for so many rows up to that length; None where it cannot be."""
        ample = _doubled(_MIN_CAPACITY, longest)
        scarce = -(-longest // _SMALLEST_GROWTH) * _SMALLEST_GROWTH
        for positions in (min(ample, self.max_length), min(scarce, self.max_length)):
            num_slots = min(_doubled(_MIN_SLOTS, num_rows), self.max_slots, self.max_positions // positions)
            if num_slots >= num_rows:
                return num_slots, positions
        return None


class Slots:
    """The slots of one cache."""

    def __init__(self, cache: Cache, room: Room) -> None:
        self._cache, self._room = cache, room
        self._slots: list[Slot] = []
        self._capacity = 0
        self._num_seats = 0

    @property
    def num_positions(self) -> int:
        """That the cache has now."""
        return len(self._slots) * self._capacity

    @property
    def num_used(self) -> int:
        """Positions that running rows take."""
        return sum(len(slot.tokens) for slot in self._taken())

    def seat(self, tokens: Sequence[int], length: int, variant: int = 0) -> Slot | None:
        """A slot for a row that begins with these tokens and will soon be that long; None while there is no room.

        The slot's own tokens are the beginning that need not be computed again.
        """
        if not self._make_room(len(self._taken()) + 1, length):
            return None
        nearest = max(self._slots, key=lambda slot: (_num_shared(slot, tokens, variant), slot.used_at))
        num_shared = _num_shared(nearest, tokens, variant)
        # A slot is taken over with what it holds if most of that is of use; a long conversation that shares its
        # first words with a new one is left alone.
        is_kept = nearest.is_taken or 2 * num_shared < len(nearest.tokens)
        slot = self._oldest() if is_kept else nearest
        if slot is not nearest and num_shared:
            self._cache.copy(nearest.index, slot.index, num_shared)
        slot.tokens, slot.length, slot.is_taken, slot.variant = list(tokens[:num_shared]), length, True, variant
        self._touch(slot)
        return slot

    def shared(self, tokens: Sequence[int], variant: int = 0) -> int:
        """How much of the beginning of these is in a slot."""
        return max((_num_shared(slot, tokens, variant) for slot in self._slots), default=0)

    def extend(self, longest: int) -> bool:
        """Make room for rows of that length; False if there is none for all of those that are seated."""
        return self._make_room(len(self._taken()), longest)

    def leave(self, slot: Slot) -> None:
        """The row is gone; what it has computed stays until the room is needed."""
        slot.is_taken = False
        self._touch(slot)

    def clear(self) -> None:
        """Forget what the slots hold, after the cache was lost. No row may be seated."""
        self._slots, self._capacity = [], 0

    def _taken(self) -> list[Slot]:
        return [slot for slot in self._slots if slot.is_taken]

    def _oldest(self) -> Slot:
        return min((slot for slot in self._slots if not slot.is_taken), key=lambda slot: slot.used_at)

    def _touch(self, slot: Slot) -> None:
        self._num_seats += 1
        slot.used_at = self._num_seats

    def _make_room(self, num_rows: int, longest: int) -> bool:
        if num_rows <= len(self._slots) and longest <= self._capacity:
            return True
        longest = max([longest, *(max(slot.length, len(slot.tokens) + 1) for slot in self._taken())])
        shape = self._room.shape(num_rows, longest)
        if shape is None:
            return False
        self._reshape(*shape)
        return True

    def _reshape(self, num_slots: int, capacity: int) -> None:
        by_worth = sorted(self._slots, key=lambda slot: (not slot.is_taken, -slot.used_at))
        kept = by_worth[:num_slots]
        for slot in kept:
            del slot.tokens[capacity:]
        self._cache.reshape(num_slots, capacity, [(slot.index, len(slot.tokens)) for slot in kept])
        for index, slot in enumerate(kept):
            slot.index = index
        self._slots = [*kept, *(Slot(index) for index in range(len(kept), num_slots))]
        self._capacity = capacity


def _num_shared(slot: Slot, tokens: Sequence[int], variant: int) -> int:
    # The last token is always fed: its logits are what the row is there for.
    return min(common_length(slot.tokens, tokens), len(tokens) - 1) if slot.variant == variant else 0


def common_length(ours: Sequence[int], theirs: Sequence[int]) -> int:
    """How many tokens the two begin with alike."""
    most = min(len(ours), len(theirs))
    # Comparing slices is a hundred times faster than token by token.
    alike = takewhile(
        lambda at: ours[at : at + _COMPARED_AT_ONCE] == theirs[at : at + _COMPARED_AT_ONCE],
        range(0, most - _COMPARED_AT_ONCE, _COMPARED_AT_ONCE),
    )
    at = sum(_COMPARED_AT_ONCE for _ in alike)
    rest = zip(ours[at:most], theirs[at:most], strict=True)
    return at + sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], rest))


def _doubled(start: int, least: int) -> int:
    while start < least:
        start *= 2
    return start
