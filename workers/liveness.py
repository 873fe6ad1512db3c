"""Rule: whether an engine process still lives, judged by how many probes in a row it left unanswered.

Probes are counted, not seconds: a daemon that was itself asleep, with its machine, must not blame the engine.
"""

from dataclasses import dataclass
from enum import Enum, auto

PROBE_INTERVAL_S = 2.0
PROBE_TIMEOUT_S = 2.0
_MISSES_UNTIL_STUCK = 2
_MISSES_UNTIL_DEAD = 8


class Verdict(Enum):
    """LIVES ◀── answer ── STUCK ── more misses ──▶ DEAD: to be killed; STUCK: to be given no more requests."""

    LIVES = auto()
    STUCK = auto()
    DEAD = auto()


@dataclass(slots=True)
class Liveness:
    """Of one process, from the moment that it is ready."""

    num_missed: int = 0

    def judge(self, *, has_answered: bool) -> Verdict:
        """After one more probe."""
        self.num_missed = 0 if has_answered else self.num_missed + 1
        if self.num_missed >= _MISSES_UNTIL_DEAD:
            return Verdict.DEAD
        return Verdict.STUCK if self.num_missed >= _MISSES_UNTIL_STUCK else Verdict.LIVES
