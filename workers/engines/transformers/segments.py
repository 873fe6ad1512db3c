"""Rule: what Whisper wrote for one window → segments with times, and where the next window begins."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

_LEAST_STEP_S = 1.0
TIME_STEP_S = 0.02
"""Between two of its tokens for times."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """Seconds within the window; the tokens between its two times."""

    start_s: float
    end_s: float
    tokens: tuple[int, ...]


def segments_in(tokens: Sequence[int], first_time: int, window_s: float) -> tuple[list[Segment], float]:
    """The segments, and how far the window was understood, in seconds.

    Tokens from `first_time` on are times. Two in a row end one segment and begin the next; a single one at the end says
    that nothing follows, else what was begun last goes on beyond the window, and is heard again with the next one
    (Radford et al. 2022, section 3.8).
    """
    cuts = [at for at in range(1, len(tokens)) if tokens[at - 1] >= first_time and tokens[at] >= first_time]
    is_closed = len(tokens) > 1 and tokens[-1] >= first_time > tokens[-2]
    if not cuts:
        return _whole(tokens, first_time, window_s), window_s
    bounds = [0, *cuts, *([len(tokens)] if is_closed else [])]
    parts = [tokens[begin:end] for begin, end in itertools.pairwise(bounds)]
    segments = [_between(part, first_time, window_s) for part in parts]
    understood_s = window_s if is_closed else segments[-1].end_s
    # A model that goes round in circles must not keep the recording from its end.
    return segments, understood_s if understood_s >= _LEAST_STEP_S else window_s


def _whole(tokens: Sequence[int], first_time: int, window_s: float) -> list[Segment]:
    times = [token for token in tokens if token >= first_time]
    end_s = _seconds(times[-1], first_time) if len(times) > 1 else window_s
    return [Segment(start_s=0.0, end_s=min(end_s, window_s), tokens=_words(tokens, first_time))]


def _between(part: Sequence[int], first_time: int, window_s: float) -> Segment:
    start_s, end_s = (min(_seconds(part[at], first_time), window_s) for at in (0, -1))
    return Segment(start_s=start_s, end_s=max(start_s, end_s), tokens=_words(part, first_time))


def _seconds(token: int, first_time: int) -> float:
    return max(0, token - first_time) * TIME_STEP_S


def _words(tokens: Sequence[int], first_time: int) -> tuple[int, ...]:
    return tuple(token for token in tokens if token < first_time)
