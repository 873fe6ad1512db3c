"""Rule: numbers → the geometry of a bar chart, drawn as SVG by the template without any script."""

from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 720, 200
_LEFT, _RIGHT, _BOTTOM, _TOP = 44, 16, 22, 8
_MAX_LABELS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A part of a bar; `series` is the index of what it counts."""

    series: int
    y: float
    height: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    x: float
    width: float
    label: str
    label_x: float
    shows_label: bool
    values: tuple[int, ...]
    segments: tuple[Segment, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    y: float
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """Stacked bars, the first series at the bottom. All lengths in the units of the SVG's viewBox."""

    bars: tuple[Bar, ...]
    ticks: tuple[Tick, ...]
    left: int = _LEFT
    width: int = WIDTH
    height: int = HEIGHT
    baseline: int = HEIGHT - _BOTTOM


def bar_chart(labels: Sequence[str], values: Sequence[tuple[int, ...]]) -> Chart:
    """One bar for each label; `values` gives the parts that it is stacked of."""
    top = nice_ceiling(max((sum(parts) for parts in values), default=0))
    step = (WIDTH - _LEFT - _RIGHT) / max(len(labels), 1)
    every = -(-len(labels) // _MAX_LABELS) or 1
    bars = tuple(
        Bar(
            x=round(_LEFT + index * step + step * 0.12, 2),
            width=round(step * 0.76, 2),
            label=label,
            label_x=round(_LEFT + index * step + step / 2, 2),
            shows_label=(len(labels) - 1 - index) % every == 0,
            values=tuple(parts),
            segments=_stack(parts, top),
        )
        for index, (label, parts) in enumerate(zip(labels, values, strict=True))
    )
    ticks = tuple(Tick(y=_y(value, top), label=compact(value)) for value in (0, top // 2, top))
    return Chart(bars=bars, ticks=ticks)


def nice_ceiling(value: int) -> int:
    """The next 2, 4, 6, 8 or 10 times a power of ten: even, so that half of it is whole."""
    power = 1
    while value > 10 * power:
        power *= 10
    return next(step * power for step in (2, 4, 6, 8, 10) if step * power >= value)


def compact(value: int) -> str:
    """Short enough for an axis: 950, 1.2k, 30M."""
    for size, suffix in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if value >= size:
            return f"{value / size:.1f}".removesuffix(".0") + suffix
    return str(value)


def _stack(parts: Sequence[int], top: int) -> tuple[Segment, ...]:
    segments, below = [], 0
    for series, value in enumerate(parts):
        y, floor = _y(below + value, top), _y(below, top)
        if value:
            segments.append(Segment(series=series, y=y, height=round(floor - y, 2)))
        below += value
    return tuple(segments)


def _y(value: int, top: int) -> float:
    room = HEIGHT - _BOTTOM - _TOP
    return round(HEIGHT - _BOTTOM - room * value / top, 2)
