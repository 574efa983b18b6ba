"""Line charts as inline SVG, by hand: no script, no fetch, readable in light and dark."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 720, 200
LEFT, RIGHT, TOP, BOTTOM = 64, 12, 12, 28
POINTS_MAX = 360


@dataclass(frozen=True, slots=True)
class Chart:
    """One curve over time. `at_s` and `values` go together; a chart shows the highest of each stretch."""

    title: str
    unit: str
    at_s: Sequence[float]
    values: Sequence[float]

    def svg(self) -> str:
        """The chart, with its numbers in words for who cannot see it."""
        points = _thinned(self.at_s, self.values)
        top = max((value for _, value in points), default=0) or 1
        end = max((at for at, _ in points), default=0) or 1
        path = " ".join(f"{_x(at, end):.1f},{_y(value, top):.1f}" for at, value in points)
        ticks = "".join(_value_tick(top * share, top) for share in (0, 0.5, 1))
        times = "".join(_time_tick(end * share, end) for share in (0, 0.25, 0.5, 0.75, 1))
        words = f"{self.title}: at most {top:,.0f} {self.unit}, over {_span(end)}"
        return (
            f"<figure><figcaption>{escape(self.title)} <small>{escape(self.unit)}</small></figcaption>"
            f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(words)}">'
            f'{ticks}{times}<polyline points="{path}"/></svg></figure>'
        )


def _thinned(at_s: Sequence[float], values: Sequence[float]) -> list[tuple[float, float]]:
    stretch = -(-len(values) // POINTS_MAX) or 1
    return [(at_s[start], max(values[start : start + stretch])) for start in range(0, len(values), stretch)]


def _x(at: float, end: float) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * at / end


def _y(value: float, top: float) -> float:
    return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * value / top


def _value_tick(value: float, top: float) -> str:
    y = _y(value, top)
    shown = f"{value:,.0f}" if top >= 10 else f"{value:,.1f}"
    return (
        f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{shown}</text>'
    )


def _time_tick(at: float, end: float) -> str:
    anchor = "end" if at == end else "middle" if at else "start"
    return f'<text x="{_x(at, end):.1f}" y="{HEIGHT - 8}" text-anchor="{anchor}">{_span(at)}</text>'


def _span(seconds: float) -> str:
    if seconds >= 2 * 24 * 3600:
        return f"{seconds / 86400:.1f} d"
    if seconds >= 2 * 3600:
        return f"{seconds / 3600:.1f} h"
    if seconds >= 2 * 60:
        return f"{seconds / 60:.1f}".removesuffix(".0") + " min"
    return f"{seconds:.0f} s"
