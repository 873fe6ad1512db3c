"""Rule: whose turn it is when more is asked than can be served.

Deficit round robin with buffer stealing (Shreedhar and Varghese, 1995): callers stand in lanes, lanes are visited in
turn, and each visit brings a lane as much credit as it has weight. So lanes that always have somebody waiting are
served in proportion to their weights, however many stand in each, and a visit costs O(1).
"""

from collections import OrderedDict, deque
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar


class Ticket(Hashable, Protocol):
    """Somebody who waits."""

    @property
    def lane(self) -> Hashable:
        """Whom it is charged to."""

    @property
    def weight(self) -> int:
        """Of the lane: its part of the service, at least 1."""

    @property
    def cost(self) -> int:
        """In turns of a lane of weight 1, at least 1."""


_T = TypeVar("_T", bound=Ticket)


@dataclass(slots=True, eq=False)
class _Lane(Generic[_T]):
    """`is_credited`: it has had its credit for the visit that it is on."""

    name: Hashable
    weight: int
    tickets: "OrderedDict[_T, None]" = field(default_factory=OrderedDict)
    credit: int = 0
    is_credited: bool = False

    def copy(self) -> "_Lane[_T]":
        return _Lane(self.name, self.weight, self.tickets.copy(), self.credit, self.is_credited)


class FairQueue(Generic[_T]):
    """Iterate for everybody in the order of service, as it is if nobody else comes or goes."""

    def __init__(self) -> None:
        self._lanes: dict[Hashable, _Lane[_T]] = {}
        self._turns: deque[_Lane[_T]] = deque()
        self._num = 0

    def __len__(self) -> int:
        return self._num

    def __contains__(self, ticket: _T) -> bool:
        lane = self._lanes.get(ticket.lane)
        return lane is not None and ticket in lane.tickets

    def __iter__(self) -> Iterator[_T]:
        rest = self._copy()
        while rest:
            yield rest.pop()

    def join(self, ticket: _T) -> None:
        """Behind all others of its lane."""
        lane = self._lanes.get(ticket.lane)
        if lane is None:
            lane = self._lanes[ticket.lane] = _Lane(ticket.lane, ticket.weight)
            self._turns.append(lane)
        lane.weight = ticket.weight
        lane.tickets[ticket] = None
        self._num += 1

    def put_back(self, ticket: _T) -> None:
        """One that was served in vain, to where it was: it is its turn, and has cost nothing."""
        self.join(ticket)
        lane = self._lanes[ticket.lane]
        lane.tickets.move_to_end(ticket, last=False)
        self._turns.remove(lane)
        self._turns.appendleft(lane)
        lane.credit += ticket.cost
        lane.is_credited = True

    def leave(self, ticket: _T) -> None:
        """Does nothing where it does not wait."""
        if ticket in self:
            self._remove(ticket)

    def head(self) -> _T:
        """Whose turn it is. Raises IndexError where nobody waits."""
        while True:
            lane = self._turns[0]
            if not lane.is_credited:
                lane.credit += lane.weight
                lane.is_credited = True
            first = next(iter(lane.tickets))
            if first.cost <= lane.credit:
                return first
            lane.is_credited = False
            self._turns.rotate(-1)

    def pop(self) -> _T:
        """Serve the one whose turn it is. Raises IndexError where nobody waits."""
        ticket = self.head()
        self._turns[0].credit -= ticket.cost
        self._remove(ticket)
        return ticket

    def greediest(self) -> _T:
        """The last one of the lane that is longest for its weight. Raises ValueError where nobody waits."""
        lane = max(self._turns, key=lambda lane: len(lane.tickets) / lane.weight)
        return next(reversed(lane.tickets))

    def _remove(self, ticket: _T) -> None:
        lane = self._lanes[ticket.lane]
        del lane.tickets[ticket]
        self._num -= 1
        if not lane.tickets:
            # Its credit goes with it: nobody saves up turns by staying away.
            del self._lanes[ticket.lane]
            self._turns.remove(lane)

    def _copy(self) -> "FairQueue[_T]":
        other: FairQueue[_T] = FairQueue()
        other._turns = deque(lane.copy() for lane in self._turns)
        other._lanes = {lane.name: lane for lane in other._turns}
        other._num = self._num
        return other
