"""A conversation's messages are a tree; people see one branch of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Tree:
    """`parents` holds every message, oldest first: its id and what it answers."""

    parents: Mapping[UUID, UUID | None]

    def branch(self, leaf: UUID | None) -> list[UUID]:
        """From the first question down to `leaf`."""
        path: list[UUID] = []
        while leaf is not None:
            path.append(leaf)
            leaf = self.parents[leaf]
        return path[::-1]

    def siblings(self, message: UUID) -> Sequence[UUID]:
        """All messages that answer the same one, this one included, oldest first."""
        parent = self.parents[message]
        return [other for other, its_parent in self.parents.items() if its_parent == parent]

    def newest_leaf(self, start: UUID) -> UUID:
        """Down from `start`, by the newest child at each fork."""
        newest_child = {parent: child for child, parent in self.parents.items()}
        while start in newest_child:
            start = newest_child[start]
        return start
