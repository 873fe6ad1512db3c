"""A picture of the simulation: for each policy, how long its slowest requests wait. Plain SVG, light and dark."""

import math
from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 760, 400
LEFT, RIGHT, TOP, BOTTOM = 60, 210, 40, 50
SHARES = (0.5, 0.75, 0.9, 0.95, 0.99, 0.995, 0.999)
COLOURS = ("#2563eb", "#16a34a", "#d97706", "#dc2626", "#7c3aed", "#64748b", "#0891b2", "#be185d")
STYLE = """
text { font: 13px system-ui, sans-serif; fill: #1f2937 } .grid { stroke: #d1d5db; stroke-width: 1 }
path { fill: none; stroke-width: 2.5 } rect { fill: #ffffff }
@media (prefers-color-scheme: dark) { text { fill: #e5e7eb } .grid { stroke: #374151 } rect { fill: #111827 } }
"""


def draw(samples: Mapping[str, Sequence[float]]) -> str:
    """Seconds by policy → SVG. Upwards: seconds; to the right: the share of requests that waited no longer."""
    curves = {name: [_at(sorted(values), share) for share in SHARES] for name, values in samples.items()}
    low = min(min(curve) for curve in curves.values()) * 0.9
    high = max(max(curve) for curve in curves.values()) * 1.1
    ordered = sorted(curves.items(), key=lambda item: -item[1][-1])
    lines = [_curve(name, curve, place, _Scale(low, high)) for place, (name, curve) in enumerate(ordered)]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">'
        f"<title>Seconds to the first token, by policy</title><style>{STYLE}</style>"
        f'<rect width="{WIDTH}" height="{HEIGHT}"/><text x="{LEFT}" y="22">Seconds to the first token</text>'
        f"{_grid(_Scale(low, high))}{''.join(lines)}</svg>\n"
    )


class _Scale:
    """Logarithmic upwards; to the right each share has the same room."""

    def __init__(self, low: float, high: float) -> None:
        self.low, self.high = low, high

    def y(self, seconds: float) -> float:
        part = math.log(seconds / self.low) / math.log(self.high / self.low)
        return HEIGHT - BOTTOM - part * (HEIGHT - TOP - BOTTOM)


def _x(position: int) -> float:
    return LEFT + position * (WIDTH - LEFT - RIGHT) / (len(SHARES) - 1)


def _at(ordered: Sequence[float], share: float) -> float:
    return max(ordered[min(int(share * len(ordered)), len(ordered) - 1)], 0.01)


def _grid(scale: _Scale) -> str:
    marks = [mark for mark in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100) if scale.low < mark < scale.high]
    rows = "".join(
        f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{scale.y(mark):.1f}" y2="{scale.y(mark):.1f}"/>'
        f'<text x="{LEFT - 8}" y="{scale.y(mark) + 4:.1f}" text-anchor="end">{mark:g}</text>'
        for mark in marks
    )
    columns = "".join(
        f'<text x="{_x(position):.1f}" y="{HEIGHT - BOTTOM + 22}" text-anchor="middle">{100 * share:g} %</text>'
        for position, share in enumerate(SHARES)
    )
    return rows + columns


def _curve(name: str, curve: Sequence[float], place: int, scale: _Scale) -> str:
    points = " L".join(f"{_x(position):.1f} {scale.y(seconds):.1f}" for position, seconds in enumerate(curve))
    colour, y = COLOURS[place % len(COLOURS)], TOP + 20 + 24 * place
    return (
        f'<path d="M{points}" stroke="{colour}"/><path d="M{WIDTH - RIGHT + 14} {y} h18" stroke="{colour}"/>'
        f'<text x="{WIDTH - RIGHT + 40}" y="{y + 4}">{escape(name)}</text>'
    )
