"""Small charts as SVG text. Colours come from the page's style sheet, so they follow its theme.

The drawing area is as wide as a phone, so that text keeps its size there. Groups differ in the
shape of their marks as well as in colour.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 380, 264
_LEFT, _RIGHT, _TOP, _BOTTOM = 66, 12, 14, 40
_COLOURS = 4
_LETTER = 7.0
_LINES = ("line", "joined", "steps")

Interval = tuple[float, float]


@dataclass(frozen=True)
class Point:
    """A mark in a chart.

    Attributes:
        x: Where it is.
        y: Where it is.
        x_interval: Low and high end of a whisker along x; None for none.
        y_interval: The same along y.
        name: What a pointer that rests on it is told: name, and both values with their intervals.
        label: Written beside it.
        network: Which network it is of, by ``Record.network``; marks and rows of one are selected together.
        is_ringed: Whether a ring is around it.
    """

    x: float
    y: float
    x_interval: Interval | None = None
    y_interval: Interval | None = None
    name: str = ""
    label: str = ""
    network: str = ""
    is_ringed: bool = False


@dataclass(frozen=True)
class Group:
    """Points that belong together.

    Attributes:
        label: Name in the legend.
        points: In drawing order; groups without points are left out.
        style: "dots"; "line" joins points that are not marked; "joined" joins marked ones; "steps" joins
            marked points as a front, level until the next one; "rings" are drawn around other marks.
        beside: Further marked points, off the line.
    """

    label: str
    points: tuple[Point, ...]
    style: str = "dots"
    beside: tuple[Point, ...] = ()


@dataclass(frozen=True)
class Axis:
    """What an axis says.

    Attributes:
        label: Name and unit.
        percent: Whether values in [0, 1] are written as percents.
        whole: Whether only whole numbers mean something.
    """

    label: str
    percent: bool = False
    whole: bool = False


@dataclass(frozen=True)
class _Scale:
    """Maps data to pixels."""

    x_min: float
    x_max: float
    y_min: float
    y_max: float

    def x(self, value: float) -> float:
        return _LEFT + (value - self.x_min) / (self.x_max - self.x_min) * (WIDTH - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        return HEIGHT - _BOTTOM - (value - self.y_min) / (self.y_max - self.y_min) * (HEIGHT - _TOP - _BOTTOM)


def chart(
    groups: Sequence[Group],
    x: Axis,
    y: Axis,
    *,
    title: str,
    diagonal: bool = False,
    x_levels: Sequence[tuple[str, float]] = (),
    y_levels: Sequence[tuple[str, float]] = (),
) -> str:
    """A chart with its legend.

    Args:
        groups: What is drawn; at least one holds a point.
        x: The horizontal axis.
        y: The vertical axis.
        title: What the chart shows, for those who do not see it.
        diagonal: Give both axes the same range, and draw where they are equal.
        x_levels: Labelled vertical lines, for a budget, say.
        y_levels: Labelled horizontal lines.
    """
    groups = [group for group in groups if group.points]
    points = [p for group in groups for p in (*group.points, *group.beside)]
    xs = [v for p in points for v in (p.x, *(p.x_interval or ()))] + [v for _, v in x_levels]
    ys = [v for p in points for v in (p.y, *(p.y_interval or ()))] + [v for _, v in y_levels]
    scale = _Scale(*_padded(xs + ys), *_padded(xs + ys)) if diagonal else _Scale(*_padded(xs), *_padded(ys))
    body = [_frame(scale, x, y)]
    if diagonal:
        ends = scale.x_min, scale.x_max
        body.append(_line("level", *(c for v in ends for c in (scale.x(v), scale.y(v)))))
    body += [_vertical(scale, label, value) for label, value in x_levels]
    body += [_horizontal(scale, label, value) for label, value in y_levels]
    body += [_drawn(scale, group, number) for number, group in enumerate(groups)]
    name = escape(title, quote=True)
    return (
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{name}">'
        f"<title>{escape(title)}</title>{''.join(body)}</svg>{_legend(groups)}"
    )


def _drawn(scale: _Scale, group: Group, number: int) -> str:
    places = [(scale.x(p.x), scale.y(p.y)) for p in group.points]
    parts = []
    if group.style == "steps":
        places = [q for n, p in enumerate(places) for q in ((p[0], places[max(0, n - 1)][1]), p)]
    if group.style in _LINES:
        path = " ".join(f"{px:.1f},{py:.1f}" for px, py in places)
        parts.append(f'<polyline class="{_path(number)}" points="{path}"/>')
    if group.style != "line":
        marked = (*group.points, *group.beside)
        parts += [_marked(scale, p, number, ring=group.style == "rings") for p in marked]
    return f'<g class="group">{"".join(parts)}</g>'


def _marked(scale: _Scale, point: Point, number: int, *, ring: bool) -> str:
    x, y, colour = scale.x(point.x), scale.y(point.y), number % _COLOURS
    parts = []
    if point.x_interval:
        low, high = point.x_interval
        parts.append(_line(f"whisker s{colour}", scale.x(low), y, scale.x(high), y))
    if point.y_interval:
        low, high = point.y_interval
        parts.append(_line(f"whisker s{colour}", x, scale.y(low), x, scale.y(high)))
    if ring or point.is_ringed:
        parts.append(f'<circle class="ring s{colour}" cx="{x:.1f}" cy="{y:.1f}" r="7"/>')
    if not ring:
        parts.append(_mark(x, y, number))
    if point.label:
        is_right = x > WIDTH / 2
        anchor, shift = ("end", -7) if is_right else ("start", 7)
        text = _short(point.label, x - _LEFT if is_right else WIDTH - _RIGHT - x)
        place = f'x="{x + shift:.1f}" y="{y - 5:.1f}" text-anchor="{anchor}"'
        parts.append(f'<text class="note" {place}>{escape(text)}</text>')
    name = f"<title>{escape(point.name)}</title>" if point.name else ""
    if ring or not name:  # around a mark that has a name of its own
        return f"<g>{name}{''.join(parts)}</g>"
    network = f' data-network="{escape(point.network)}"' if point.network else ""
    return f'<g class="point" data-at="{x:.1f} {y:.1f}"{network}>{name}{"".join(parts)}</g>'


def _short(text: str, room: float) -> str:
    """As much of a text as fits into so many pixels, at the widest that small letters usually are."""
    count = max(2, int(room / _LETTER))
    return text if len(text) <= count else text[: count - 1] + "…"


def _path(number: int) -> str:
    """Classes of the line of a group: whole, then broken where the colours come round again."""
    return f"path s{number % _COLOURS}" + " broken" * (number // _COLOURS % 2)


def _mark(x: float, y: float, number: int) -> str:
    """A dot, a square, a diamond or a triangle: one shape a group; hollow where those come round again."""
    fill = "f-none" if number // _COLOURS % 2 else f"f{number % _COLOURS}"
    name = f'class="mark s{number % _COLOURS} {fill}"'
    if number % _COLOURS == 0:
        return f'<circle {name} cx="{x:.1f}" cy="{y:.1f}" r="2.6"/>'
    corners = {
        1: ((-3, -3), (3, -3), (3, 3), (-3, 3)),
        2: ((0, -4), (4, 0), (0, 4), (-4, 0)),
        3: ((0, -4), (4, 3), (-4, 3)),
    }
    path = " ".join(f"{x + dx:.1f},{y + dy:.1f}" for dx, dy in corners[number % _COLOURS])
    return f'<polygon {name} points="{path}"/>'


def _line(name: str, x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line class="{name}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _horizontal(scale: _Scale, label: str, value: float) -> str:
    at, end = scale.y(value), WIDTH - _RIGHT
    note = f'<text class="note" x="{end - 4}" y="{at - 4:.1f}" text-anchor="end">{escape(label)}</text>'
    return _line("level", _LEFT, at, end, at) + note


def _vertical(scale: _Scale, label: str, value: float) -> str:
    at = scale.x(value)
    anchor, shift = ("end", -4) if at > WIDTH / 2 else ("start", 4)
    note = f'<text class="note" x="{at + shift:.1f}" y="{HEIGHT - _BOTTOM - 6}" text-anchor="{anchor}">'
    return f"{_line('level', at, _TOP, at, HEIGHT - _BOTTOM)}{note}{escape(label)}</text>"


def _padded(values: Sequence[float]) -> Interval:
    low, high = min(values), max(values)
    gap = (high - low) * 0.06 or abs(high) * 0.05 or 1.0
    return low - gap, high + gap


def _step(low: float, high: float, count: int = 5) -> float:
    """The round step that comes closest to ``count`` ticks between the ends."""
    raw = (high - low) / count
    magnitude = 10.0 ** math.floor(math.log10(raw))
    return min((m * magnitude for m in (1, 2, 2.5, 5, 10)), key=lambda step: abs(math.log(step / raw)))


def _ticks(low: float, high: float, *, whole: bool = False) -> list[float]:
    step = max(1.0, round(_step(low, high))) if whole else _step(low, high)
    return [k * step for k in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _tick_text(value: float, step: float, percent: bool) -> str:
    if not percent:
        return f"{value:.6g}"
    decimals = len(f"{step * 100:.6g}".partition(".")[2])
    return f"{value * 100:.{decimals}f}%"


def _frame(scale: _Scale, x: Axis, y: Axis) -> str:
    bottom, right = HEIGHT - _BOTTOM, WIDTH - _RIGHT
    parts = []
    for value in _ticks(scale.x_min, scale.x_max, whole=x.whole):
        at, text = scale.x(value), _tick_text(value, _step(scale.x_min, scale.x_max), x.percent)
        parts.append(_line("grid", at, _TOP, at, bottom))
        parts.append(f'<text class="tick" x="{at:.1f}" y="{bottom + 14}" text-anchor="middle">{text}</text>')
    for value in _ticks(scale.y_min, scale.y_max):
        at, text = scale.y(value), _tick_text(value, _step(scale.y_min, scale.y_max), y.percent)
        parts.append(_line("grid", _LEFT, at, right, at))
        parts.append(f'<text class="tick" x="{_LEFT - 5}" y="{at + 4:.1f}" text-anchor="end">{text}</text>')
    middle_x, middle_y = (_LEFT + right) / 2, (_TOP + bottom) / 2
    place = f'x="{middle_x}" y="{HEIGHT - 8}" text-anchor="middle"'
    parts.append(f'<text class="axis" {place}>{escape(_short(x.label, WIDTH - _LEFT))}</text>')
    turned = f'transform="translate(11 {middle_y}) rotate(-90)" text-anchor="middle"'
    parts.append(f'<text class="axis" {turned}>{escape(_short(y.label, HEIGHT))}</text>')
    return "".join(parts)


def _legend(groups: Sequence[Group]) -> str:
    if len(groups) < 2:
        return ""

    def sign(number: int, group: Group) -> str:
        if group.style == "rings":
            return f'<circle class="ring s{number % _COLOURS}" cx="9" cy="6" r="4.5"/>'
        line = _line(_path(number), 0, 6, 18, 6) if group.style in _LINES else ""
        return line + (_mark(9, 6, number) if group.style != "line" else "")

    box = '<svg viewBox="0 0 18 12" aria-hidden="true">'
    items = "".join(
        f"<span>{box}{sign(number, group)}</svg>{escape(group.label)}</span>"
        for number, group in enumerate(groups)
    )
    return f'<p class="legend">{items}</p>'
