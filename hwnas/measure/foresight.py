"""What would be measured, and about how long that takes; nothing is exported or measured for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hwnas.device import Device, Target
from hwnas.measure import adaptive, plan
from hwnas.measure.engine import ANCHOR_SAMPLES
from hwnas.measure.options import ProfileOptions
from hwnas.space import SearchSpace
from hwnas.tables import places
from hwnas.tables.table import LatencyTable


@dataclass(frozen=True)
class Foreseen:
    """What is to be measured of one target.

    Attributes:
        target: What is measured.
        path: The table, which may be there already.
        rows: Blocks and networks that lack rounds, by kind.
        fewest: Rounds that are measured in any case.
        most: Rounds, where every interval stays too wide.
        seconds_a_round: Of one row, with the anchors beside it.
        is_known: Whether that is from the last session of this table; else it is the least that the settings
            allow, without the way to the device and the models' own time.
    """

    target: Target
    path: Path
    rows: dict[str, int]
    fewest: int
    most: int
    seconds_a_round: float
    is_known: bool

    @property
    def seconds(self) -> tuple[float, float]:
        """Of measuring alone, the least and the most; models are exported before."""
        return self.fewest * self.seconds_a_round, self.most * self.seconds_a_round

    def to_json(self) -> dict[str, Any]:
        """All of it as JSON."""
        seconds = dict(zip(("fewest", "most"), self.seconds, strict=True))
        return {**asdict(self), "target": str(self.target), "path": str(self.path), "seconds": seconds}


@dataclass(frozen=True)
class ForeseenModels:
    """What is to be measured of whole models on one target.

    Attributes:
        target: What they are measured on.
        models: Their names, where they are known before.
        count: How many, at least and at most.
        fewest: Rounds that are measured in any case.
        most: Rounds, where every interval stays too wide.
        seconds_a_round: Of one model with the anchors beside it, at least: models that take long take longer.
        further_s: Seconds beside the rounds.
    """

    target: Target
    models: tuple[str, ...]
    count: tuple[int, int]
    fewest: int
    most: int
    seconds_a_round: float
    further_s: float = 0.0

    @property
    def least_s(self) -> float:
        """What measuring alone takes at least."""
        return self.fewest * self.seconds_a_round + self.further_s

    def to_json(self) -> dict[str, Any]:
        """All of it as JSON."""
        return {**asdict(self), "target": str(self.target), "least_s": self.least_s}


def of_models(
    target: Target,
    models: Sequence[str],
    options: ProfileOptions,
    *,
    count: tuple[int, int] | None = None,
    table: LatencyTable | None = None,
    further_s: float = 0.0,
) -> ForeseenModels:
    """What measuring whole models takes.

    Args:
        target: What they are measured on.
        models: Their names.
        options: How well to measure.
        count: How many, at least and at most, where not all that are named.
        table: Of the target: its last session says how long a round of what is mostly blocks takes.
        further_s: Seconds beside the rounds.
    """
    least, most = count or (len(models), len(models))
    of_blocks = 0.0 if table is None else _measured(table) or 0.0
    rounds = least * options.rounds, most * options.max_rounds
    seconds_a_round = max(of_blocks, _least(options))
    return ForeseenModels(target, tuple(models), (least, most), *rounds, seconds_a_round, further_s)


def foreseen(
    device: Device,
    spaces: SearchSpace | Sequence[SearchSpace],
    targets: Sequence[Target],
    out: Path | None = None,
    options: ProfileOptions | None = None,
) -> list[Foreseen]:
    """What ``profile`` would do with the same arguments.

    Raises:
        TableError: A table is there that cannot be read.
    """
    options = options or ProfileOptions()
    folder = places.of_device(device.name) if out is None else out
    items = plan.items([spaces] if isinstance(spaces, SearchSpace) else spaces, options)
    return [_of(target, places.table(folder, target), items, options) for target in targets]


def _of(target: Target, path: Path, items: Sequence[plan.Item], options: ProfileOptions) -> Foreseen:
    table = LatencyTable.load(path) if path.exists() else None
    failed = {item.key for item in table.rounds if item.failed} if table and not options.retry_failed else ()
    keys = [item.key for item in items if item.key not in failed]
    due = adaptive.due(table, keys, options)
    lacking = {key for key, _ in due}
    have = dict.fromkeys(keys, 0)
    for measured in table.rounds if table else ():
        if measured.key in have and not measured.failed:
            have[measured.key] += 1
    rows: dict[str, int] = {}
    for item in items:
        if item.key in lacking:
            rows[item.kind] = rows.get(item.kind, 0) + 1
    most = sum(max(0, options.max_rounds - have[key]) for key in lacking)
    seconds = None if table is None else _measured(table)
    least = _least(options)
    return Foreseen(target, path, rows, len(due), max(most, len(due)), seconds or least, seconds is not None)


def _measured(table: LatencyTable) -> float | None:
    """Seconds of a row in the last session that measured some; None where there is none."""
    for note in reversed(table.notes):
        spent = note.facts.get("seconds", {}).get("measure") if note.moment == "end" else None
        rounds = sum(item.session == note.session for item in table.rounds)
        if spent and rounds:
            return float(spent) / rounds
    return None


def _least(options: ProfileOptions) -> float:
    """A row and two anchors, as short as the settings allow."""
    samples = options.samples + 2 * ANCHOR_SAMPLES
    return (3 * options.warmup_min_ms + samples * options.min_sample_ms) / 1e3
