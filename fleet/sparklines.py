"""Rule: an hour of figures → the geometry of a small line, drawn as SVG by the template; and its text."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 240, 40
_MARGIN = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Sparkline:
    """`paths`: the points of one polyline each, in the units of the SVG's viewBox; between them nothing is known.

    `latest`, `lowest` and `highest` are texts; empty when there is nothing to draw.
    """

    title: str
    paths: tuple[str, ...]
    latest: str = ""
    lowest: str = ""
    highest: str = ""
    width: int = WIDTH
    height: int = HEIGHT


def sparkline(
    title: str, values: Sequence[float | None], written: Callable[[float], str], *, top: float = 0.0
) -> Sparkline:
    """A line from 0 at the bottom up to `top`, or to the greatest value if that is more. None: not known."""
    known = [value for value in values if value is not None]
    if not known:
        return Sparkline(title=title, paths=())
    return Sparkline(
        title=title,
        paths=tuple(_paths(values, max(top, *known))),
        latest=written(known[-1]),
        lowest=written(min(known)),
        highest=written(max(known)),
    )


def _paths(values: Sequence[float | None], top: float) -> list[str]:
    step = (WIDTH - 2 * _MARGIN) / max(len(values) - 1, 1)
    paths: list[list[str]] = [[]]
    for index, value in enumerate(values):
        if value is None:
            paths.append([])
        else:
            paths[-1].append(f"{_MARGIN + index * step:.1f},{_y(value, top):.1f}")
    # A line of one point has no length: drawn to itself it becomes a dot with round ends.
    return [" ".join(points * 2 if len(points) == 1 else points) for points in paths if points]


def _y(value: float, top: float) -> float:
    return HEIGHT - _MARGIN - (HEIGHT - 2 * _MARGIN) * (value / top if top else 0.0)
