"""How good against how fast: what else there is to choose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from hwnas.report import _page, _svg, _text
from hwnas.report._record import Record
from hwnas.runs.gallery import GalleryRecord
from hwnas.statistics.intervals import NORMAL_95


@dataclass(frozen=True)
class _Entry:
    """An architecture that was scored.

    Attributes:
        indices: The architecture.
        quality: The score, in [0, 1].
        quality_interval: 95 %; None where it is not known.
        latencies_ms: One a target: measured where it was, else predicted.
        intervals_ms: 95 %, one a target; None where it is not known.
        is_measured: One a target.
    """

    indices: tuple[int, ...]
    quality: float
    quality_interval: tuple[float, float] | None
    latencies_ms: tuple[float, ...]
    intervals_ms: tuple[tuple[float, float] | None, ...]
    is_measured: tuple[bool, ...]

    def point(self, target: int, *, whiskers: bool) -> _svg.Point:
        """The mark of this architecture in the chart of a target."""
        name = ".".join(map(str, self.indices))
        said = f"{name}: {self.quality:.2%}, {_text.ms(self.latencies_ms[target])} ms"
        said += " measured" if self.is_measured[target] else " predicted"
        x_interval = self.intervals_ms[target] if whiskers else None
        y_interval = self.quality_interval if whiskers else None
        return _svg.Point(self.latencies_ms[target], self.quality, x_interval, y_interval, said)


def front(record: Record) -> str:
    """The front over the range, from the gallery if the run has one, else from what was scored."""
    entries = _gallery(record, record.gallery) if record.gallery else _trials(record)
    if not entries:
        return ""
    figures = [_chart(record, entries, number) for number in range(len(record.budgets))]
    others = _page.details("The same on the other targets", _page.pair(*figures[2:])) if figures[2:] else ""
    rows = [_row(entry) for entry in _best(entries, 0)]
    header = ("network", f"estimated {record.score}", f"ms on {record.budgets[0].name}")
    return _page.section(
        f"{record.score[:1].upper()}{record.score[1:]} against latency",
        _page.pair(*figures[:2]),
        _page.paragraph(_said(record, entries), "fine"),
        others,
        _page.details("The networks of the front", _page.table(header, rows, numeric=(1, 2))),
    )


def _gallery(record: Record, gallery: GalleryRecord) -> list[_Entry]:
    order = [gallery.names.index(item.name) for item in record.budgets]
    found = []
    for item in gallery.entries:
        halves = [
            NORMAL_95 * item.predicted_std_ms[n] if item.measured_ms[n] is None else item.measured_half_ms[n]
            for n in order
        ]
        latencies_ms = tuple(item.latencies_ms[n] for n in order)
        found.append(
            _Entry(
                item.indices,
                item.quality,
                item.quality_interval,
                latencies_ms,
                tuple(
                    None if half is None else (value - half, value + half)
                    for value, half in zip(latencies_ms, halves, strict=True)
                ),
                tuple(item.measured_ms[n] is not None for n in order),
            )
        )
    return found


def _trials(record: Record) -> list[_Entry]:
    """What the search scored, with the models' intervals where the models are there."""
    trials, space = [t for t in record.search.trials if t.share == 1], record.arch.space
    if not trials:
        return []
    indices, images = np.array([t.indices for t in trials]), record.images
    models = [record.model(item.name) for item in record.budgets]
    halves = [None if m is None else NORMAL_95 * m.predict(space, indices).std_ms for m in models]
    return [
        _Entry(
            trial.indices,
            trial.quality,
            record.task.merit_interval(trial.quality, images) if images else None,
            trial.latencies_ms[: len(models)],  # what follows are limits on other things
            tuple(
                None if half is None else (value - float(half[row]), value + float(half[row]))
                for value, half in zip(trial.latencies_ms, halves, strict=False)
            ),
            (False,) * len(models),
        )
        for row, trial in enumerate(trials)
    ]


def _best(entries: Sequence[_Entry], target: int) -> list[_Entry]:
    """Those that no other beats in quality and in the latency of a target, the fastest first."""
    found: list[_Entry] = []
    for entry in sorted(entries, key=lambda e: (e.latencies_ms[target], -e.quality)):
        if not found or entry.quality > found[-1].quality:
            found.append(entry)
    return found


def _chart(record: Record, entries: Sequence[_Entry], target: int) -> str:
    budget, best = record.budgets[target], _best(entries, target)
    chosen = [e.point(target, whiskers=False) for e in entries if e.indices == record.arch.indices][:1]
    groups = (
        _svg.Group("the best for their time", tuple(e.point(target, whiskers=True) for e in best), "steps"),
        _svg.Group("others", tuple(e.point(target, whiskers=False) for e in entries if e not in best)),
        _svg.Group("chosen", tuple(chosen), "rings"),
    )
    chart = _svg.chart(
        groups,
        _svg.Axis(f"ms on {budget.name}"),
        _svg.Axis(f"estimated {record.score}", percent=True),
        title=f"Estimated {record.score} against latency on {budget.name}",
        x_levels=[("budget", budget.budget_ms)],
    )
    return _page.figure(chart, f"{budget.name}; whiskers are 95 % intervals.")


def _said(record: Record, entries: Sequence[_Entry]) -> str:
    text = _estimated(record, len(entries))
    measured = sum(any(e.is_measured) for e in entries)
    if measured:
        text += f" The latency of {measured} was measured, of the others it is predicted."
    if not record.gallery:
        return text
    command = _page.code("hwnas pick RUN --budget-ms MS")
    return _page.Html(f"{escape(text)} {command} takes another one from here without searching again.")


def _estimated(record: Record, count: int) -> str:
    """What the scores are of so many architectures, and what they are good for."""
    images, scratch, untrained = record.images, record.search.scratch, record.search.untrained
    if untrained is not None:
        return (
            f"{count} architectures that nobody trained. Their {record.score} is their place among random "
            f"networks, by what random weights make of {untrained['images']} images: good for comparing, and "
            "nothing of how accurate they are."
        )
    text = f"{count} architectures of one supernet. Their {record.score} is estimated with its weights"
    if scratch is not None:
        text = f"{count} architectures. Their {record.score} is estimated by training each from scratch"
        text += f" (epochs: {scratch['config']['epochs']})"
        if alike := scratch.get("alike"):
            return (
                f"{text}: how alike they then see {alike['images']} images to another network, 0.5 by "
                "chance; good for comparing, and nothing of how accurate they are."
            )
    text += f", as certain as a share of {images:,} images" if images else ""
    text += ", worse than after training, and good for comparing. That the best of many was picked is not "
    return text + "in the intervals."


def _row(entry: _Entry) -> tuple[str, str, str]:
    quality = f"{entry.quality:.2%}"
    if entry.quality_interval:
        low, high = entry.quality_interval
        quality += f" ({low:.1%} to {high:.1%})"
    interval = entry.intervals_ms[0]
    latency = entry.latencies_ms[0]
    said = _text.ms(latency) if interval is None else _text.measured(latency, interval)
    said += " measured" if entry.is_measured[0] else ""
    return _page.code(".".join(map(str, entry.indices))), quality, said
