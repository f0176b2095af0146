"""Small charts as SVG text. Colours come from the page's style sheet, so they follow its theme."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 560, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 14, 12, 44


@dataclass(frozen=True)
class Series:
    """One line of a line chart.

    Attributes:
        label: Name in the legend.
        points: (x, y), in drawing order; at least one.
    """

    label: str
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class _Axes:
    """Maps data to pixels."""

    x_min: float
    x_max: float
    y_min: float
    y_max: float

    def x(self, value: float) -> float:
        return _LEFT + (value - self.x_min) / (self.x_max - self.x_min) * (WIDTH - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        return HEIGHT - _BOTTOM - (value - self.y_min) / (self.y_max - self.y_min) * (HEIGHT - _TOP - _BOTTOM)


def lines(series: Sequence[Series], *, x: str, y: str, levels: Sequence[tuple[str, float]] = ()) -> str:
    """A line chart; ``levels`` are labelled horizontal lines, for a budget, say."""
    xs = [p[0] for s in series for p in s.points]
    ys = [p[1] for s in series for p in s.points] + [value for _, value in levels]
    axes = _axes(xs, ys)
    body = [_frame(axes, x, y)]
    for label, value in levels:
        at = axes.y(value)
        body.append(f'<line class="level" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>')
        end = WIDTH - _RIGHT - 4
        body.append(f'<text class="note" x="{end}" y="{at - 4:.1f}" text-anchor="end">{escape(label)}</text>')
    for number, item in enumerate(series):
        path = " ".join(f"{axes.x(px):.1f},{axes.y(py):.1f}" for px, py in item.points)
        body.append(f'<polyline class="line c{number % 4}" points="{path}"/>')
    return _svg(body, f"{y} over {x}") + _legend([s.label for s in series])


def scatter(
    points: Sequence[tuple[float, float, float]],
    *,
    x: str,
    y: str,
    highlight: Sequence[tuple[float, float]] = (),
    diagonal: bool = False,
) -> str:
    """Points (x, y, half an interval on y), with a diagonal where both axes mean the same."""
    xs = [p[0] for p in points] + [p[0] for p in highlight]
    ys = [v for p in points for v in (p[1] - p[2], p[1] + p[2])] + [p[1] for p in highlight]
    axes = _axes(xs + ys, xs + ys) if diagonal else _axes(xs, ys)
    body = [_frame(axes, x, y)]
    if diagonal:
        low, high = axes.x_min, axes.x_max
        body.append(
            f'<line class="level" x1="{axes.x(low):.1f}" y1="{axes.y(low):.1f}" '
            f'x2="{axes.x(high):.1f}" y2="{axes.y(high):.1f}"/>'
        )
    for px, py, half in points:
        at = axes.x(px)
        if half > 0:
            body.append(
                f'<line class="whisker" x1="{at:.1f}" x2="{at:.1f}" '
                f'y1="{axes.y(py - half):.1f}" y2="{axes.y(py + half):.1f}"/>'
            )
        body.append(f'<circle class="dot" cx="{at:.1f}" cy="{axes.y(py):.1f}" r="3"/>')
    body += [
        f'<circle class="found" cx="{axes.x(px):.1f}" cy="{axes.y(py):.1f}" r="6"/>' for px, py in highlight
    ]
    return _svg(body, f"{y} against {x}")


def bar(share: float, *, over: bool = False) -> str:
    """A horizontal bar filled to ``share`` of its width; over 1 it is full and marked."""
    filled = min(max(share, 0.0), 1.0) * 100
    kind = "bad" if over else "good"
    return (
        f'<svg class="bar" viewBox="0 0 100 8" preserveAspectRatio="none" role="img" '
        f'aria-label="{share:.0%}"><rect class="track" width="100" height="8"/>'
        f'<rect class="{kind}" width="{filled:.1f}" height="8"/></svg>'
    )


def _axes(xs: Sequence[float], ys: Sequence[float]) -> _Axes:
    return _Axes(*_padded(xs), *_padded(ys))


def _padded(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    gap = (high - low) * 0.06 or abs(high) * 0.05 or 1.0
    return low - gap, high + gap


def _ticks(low: float, high: float, count: int = 5) -> list[float]:
    """About ``count`` round numbers between the ends."""
    raw = (high - low) / count
    magnitude = 10.0 ** math.floor(math.log10(raw))
    step = next(m * magnitude for m in (1, 2, 2.5, 5, 10) if m * magnitude >= raw)
    first = math.ceil(low / step)
    return [k * step for k in range(first, math.floor(high / step) + 1)]


def _frame(axes: _Axes, x: str, y: str) -> str:
    parts = []
    for value in _ticks(axes.x_min, axes.x_max):
        at = axes.x(value)
        parts.append(f'<line class="grid" x1="{at:.1f}" x2="{at:.1f}" y1="{_TOP}" y2="{HEIGHT - _BOTTOM}"/>')
        below = HEIGHT - _BOTTOM + 15
        parts.append(f'<text class="tick" x="{at:.1f}" y="{below}" text-anchor="middle">{value:g}</text>')
    for value in _ticks(axes.y_min, axes.y_max):
        at = axes.y(value)
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>')
        parts.append(
            f'<text class="tick" x="{_LEFT - 6}" y="{at + 4:.1f}" text-anchor="end">{value:g}</text>'
        )
    middle_x, middle_y = (_LEFT + WIDTH - _RIGHT) / 2, (_TOP + HEIGHT - _BOTTOM) / 2
    parts.append(
        f'<text class="axis" x="{middle_x}" y="{HEIGHT - 8}" text-anchor="middle">{escape(x)}</text>'
    )
    parts.append(
        f'<text class="axis" transform="translate(14 {middle_y}) rotate(-90)" '
        f'text-anchor="middle">{escape(y)}</text>'
    )
    return "".join(parts)


def _svg(body: Sequence[str], title: str) -> str:
    label = escape(title, quote=True)
    return (
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">'
        f"{''.join(body)}</svg>"
    )


def _legend(labels: Sequence[str]) -> str:
    if len(labels) < 2:
        return ""
    items = "".join(f'<span><i class="c{n % 4}"></i>{escape(label)}</span>' for n, label in enumerate(labels))
    return f'<p class="legend">{items}</p>'
