"""How good against how fast: what else there is to choose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from hwnas.report import _page, _svg, _text
from hwnas.report._network import describe
from hwnas.report._record import Record
from hwnas.runs.gallery import GalleryRecord
from hwnas.statistics.intervals import NORMAL_95


@dataclass(frozen=True)
class Entry:
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

    @property
    def name(self) -> str:
        """Its decisions as numbers."""
        return ".".join(map(str, self.indices))

    @property
    def quality_said(self) -> str:
        """The score with its interval."""
        if self.quality_interval is None:
            return f"{self.quality:.2%}"
        low, high = self.quality_interval
        return f"{self.quality:.2%} ({low:.1%} to {high:.1%})"

    def latency_said(self, target: int) -> str:
        """Milliseconds on a target with their interval, without the unit."""
        latency, interval = self.latencies_ms[target], self.intervals_ms[target]
        return _text.ms(latency) if interval is None else _text.measured(latency, interval)

    def point(
        self, record: Record, target: int, *, whiskers: bool, name: str = "", is_ringed: bool = False
    ) -> _svg.Point:
        """The mark of this architecture in the chart of a target.

        Args:
            record: The run that it is of.
            target: Number of the target.
            whiskers: Whether its intervals are drawn; they are told anyway.
            name: What is said before its own.
            is_ringed: Whether a ring is around it.
        """
        said = f"{name}{self.name}: {self.quality_said}, {self.latency_said(target)} ms "
        said += "measured" if self.is_measured[target] else "predicted"
        return _svg.Point(
            self.latencies_ms[target],
            self.quality,
            self.intervals_ms[target] if whiskers else None,
            self.quality_interval if whiskers else None,
            said,
            network=record.network(self.indices),
            is_ringed=is_ringed,
        )


def front(record: Record) -> str:
    """The front over the range, from the gallery if the run has one, else from what was scored."""
    entries = scored(record)
    if not entries:
        return ""
    figures = [_chart(record, entries, number) for number in range(len(record.budgets))]
    others = _page.details("The same on the other targets", _page.pair(*figures[2:])) if figures[2:] else ""
    shown = best(entries, 0)
    rows = [_row(entry) for entry in shown]
    header = ("network", f"estimated {record.score}", f"ms on {record.budgets[0].name}")
    return _page.section(
        f"{record.score[:1].upper()}{record.score[1:]} against latency",
        _page.pair(*figures[:2]),
        _page.paragraph(_said(record, entries), "fine"),
        others,
        _page.details(
            "The networks of the front",
            _page.table(
                header, rows, numeric=(1, 2), networks=[record.network(entry.indices) for entry in shown]
            ),
        ),
        decisions(record),
    )


def decisions(record: Record) -> str:
    """What each number in the name of a network stands for; what is selected is told in these words."""
    space = record.arch.space
    rows = []
    for choice in space.choices:
        blocks = "".join(f"<li>{escape(describe(block))}</li>" for block in choice.candidates)
        rows.append((choice.name, _page.Html(f'<ol start="0">{blocks}</ol>')))
    table = _page.table(("decision", "its blocks, by number"), rows)
    return _page.details(
        f"What the numbers of a network of {space.name} stand for",
        f'<div data-key="{escape(space.name)}">{table}</div>',
    )


def scored(record: Record) -> list[Entry]:
    """What a run offers to choose from, by the gallery if it has one; none where nothing was scored."""
    return _gallery(record, record.gallery) if record.gallery else _trials(record)


def _gallery(record: Record, gallery: GalleryRecord) -> list[Entry]:
    order = [gallery.names.index(item.name) for item in record.budgets]
    found = []
    for item in gallery.entries:
        halves = [
            NORMAL_95 * item.predicted_std_ms[n] if item.measured_ms[n] is None else item.measured_half_ms[n]
            for n in order
        ]
        latencies_ms = tuple(item.latencies_ms[n] for n in order)
        found.append(
            Entry(
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


def _trials(record: Record) -> list[Entry]:
    """What the search scored, with the models' intervals where the models are there."""
    trials, space = [t for t in record.search.trials if t.share == 1], record.arch.space
    if not trials:
        return []
    indices, images = np.array([t.indices for t in trials]), record.images
    models = [record.model(item.name) for item in record.budgets]
    halves = [None if m is None else NORMAL_95 * m.predict(space, indices).std_ms for m in models]
    return [
        Entry(
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


def best(entries: Sequence[Entry], target: int) -> list[Entry]:
    """Those that no other beats in quality and in the latency of a target, the fastest first."""
    found: list[Entry] = []
    for entry in sorted(entries, key=lambda e: (e.latencies_ms[target], -e.quality)):
        if not found or entry.quality > found[-1].quality:
            found.append(entry)
    return found


def _chart(record: Record, entries: Sequence[Entry], target: int) -> str:
    budget, front = record.budgets[target], best(entries, target)
    chosen = [e.point(record, target, whiskers=False) for e in entries if e.indices == record.arch.indices][
        :1
    ]
    others = tuple(e.point(record, target, whiskers=False) for e in entries if e not in front)
    groups = (
        _svg.Group(
            "the best for their time", tuple(e.point(record, target, whiskers=True) for e in front), "steps"
        ),
        _svg.Group("others", others),
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


def _said(record: Record, entries: Sequence[Entry]) -> str:
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


def _row(entry: Entry) -> tuple[str, str, str]:
    latency = entry.latency_said(0) + (" measured" if entry.is_measured[0] else "")
    return _page.code(entry.name), entry.quality_said, latency
