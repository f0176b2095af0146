"""What the files of a run folder say, for trackers. Nothing is computed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hwnas import files
from hwnas.runs import records
from hwnas.runs.finalists import ChosenLatency
from hwnas.runs.folder import RunFolder, ShippingFolder
from hwnas.runs.found import SearchRecord
from hwnas.runs.gallery import GalleryRecord
from hwnas.runs.training import TrainingRecord
from hwnas.tracking.base import Cell

_OPEN = "nothing promised"  # where there is no verdict
_WORDS = 500  # characters of a parameter
_DATA = ("source", "task", "fingerprint", "resolution", "images", "classes")


@dataclass(frozen=True)
class Fact:
    """What is told at the end of a stage; again, where it became another.

    Attributes:
        name: What it is called.
        scalars: Numbers by name; a unit is the name's end.
        rows: Of a table.
        text: For people; its first line is the short of it.
    """

    name: str
    scalars: Mapping[str, float] = field(default_factory=dict)
    rows: tuple[Mapping[str, Cell], ...] = ()
    text: str = ""

    def to_json(self) -> list[Any]:
        """What makes it another one."""
        return [dict(self.scalars), [dict(row) for row in self.rows], self.text]


@dataclass(frozen=True)
class Records:
    """What the files of a run folder hold; None for those that are not there.

    Attributes:
        folder: The run folder, or a shipping folder alone.
        search: How the network was found.
        gallery: What else there was.
        training: How it was trained.
        manifest: What ships, as JSON.
    """

    folder: Path
    search: SearchRecord | None
    gallery: GalleryRecord | None
    training: TrainingRecord | None
    manifest: Mapping[str, Any] | None

    @classmethod
    def of(cls, folder: Path) -> Records:
        """Read them.

        Raises:
            HwnasError: One cannot be read.
        """
        run, shipping = RunFolder(folder), _shipping(folder)
        return cls(
            folder,
            records.search(folder) if run.search.exists() else None,
            records.gallery(folder, "search again") if run.gallery.exists() else None,
            records.trained(folder) if run.train.exists() else None,
            files.read_json(shipping.manifest, "the manifest") if shipping.manifest.exists() else None,
        )

    def parameters(self) -> dict[str, str]:
        """What was asked for: settings, data, budgets, targets."""
        found: dict[str, Any] = {}
        if (search := self.search) is not None:
            names = ("strategy", "space", "seed", "score", "confidence", "objectives", "limits")
            found["search"] = {name: getattr(search, name) for name in names} | {
                "settings": {name: value for name, value in search.config.items() if name != "rng"}
            }
            found["network"] = ".".join(map(str, search.best))
            found["data"] = {name: search.data[name] for name in _DATA if name in search.data}
            found["budget"] = {
                item.name: {"budget_ms": item.budget_ms, "asked": item.asked} for item in search.budgets
            }
        if self.training is not None:
            found["train"] = dict(self.training.config)
            found["train"]["start"] = self.training.start.get("from")
        if self.manifest is not None:
            found["export"] = self.manifest.get("settings", {})
        return dict(_flat(found, ""))

    def facts(self) -> Iterator[Fact]:
        """What was found, learnt, made and proven."""
        if self.search is not None:
            yield from _of_search(self.search)
        if self.gallery is not None:
            yield Fact("gallery", rows=tuple(_gallery(self.gallery)))
        if self.training is not None:
            yield _of_training(self.training)
        if self.manifest is not None:
            yield _of_export(self.manifest)
            given = self.manifest.get("verification")
            for found in (*([given] if given else ()), *self.manifest.get("verified_elsewhere", ())):
                yield _of_verification(found)

    def files(self) -> Iterator[tuple[str, Path]]:
        """Files that are worth keeping, with their paths within the folder."""
        run, shipping = RunFolder(self.folder), _shipping(self.folder)
        models = [shipping.path / item["file"] for item in (self.manifest or {}).get("variants", ())]
        own = (run.arch, run.search, run.gallery, run.train, run.weights, run.report, run.comparison)
        for path in (*own, shipping.manifest, *models):
            if path.is_file():
                yield path.relative_to(self.folder).as_posix(), path


def _shipping(folder: Path) -> ShippingFolder:
    """That of a run; or the folder itself, where it was taken elsewhere."""
    own = RunFolder(folder).shipping
    return own if own.manifest.exists() else ShippingFolder(folder)


def _flat(values: Mapping[str, Any], above: str) -> Iterator[tuple[str, str]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{above}{name}/")
        elif value is not None and value != "":
            text = value if isinstance(value, str) else json.dumps(value)
            yield f"{above}{name}", text if len(text) <= _WORDS else f"{text[: _WORDS - 1]}…"


def _of_search(record: SearchRecord) -> Iterator[Fact]:
    measured = {} if record.finalists is None else {item.name: item for item in record.finalists.targets}
    scalars = {f"found/{name}": float(value) for name, value in record.sizes.items()}
    scalars |= _known({f"found/{record.score_key}": record.quality})
    for budget in record.budgets:
        predicted = {"predicted_ms": budget.predicted_ms, "predicted_std_ms": budget.predicted_std_ms}
        own = {"budget_ms": budget.budget_ms, **predicted, **_latency(measured.get(budget.name))}
        scalars |= _known({f"found/{budget.name}/{name}": value for name, value in own.items()})
    verdict = None if record.finalists is None else record.finalists.verdict
    said = [item.sentence for item in measured.values()]
    reasons = () if verdict is None else verdict.reasons
    word = _OPEN if verdict is None else verdict.word
    yield Fact("found", scalars, text="\n".join((word, *reasons, *said, *record.alarms)))
    yield Fact("front", rows=tuple(_front(record)))


def _latency(found: ChosenLatency | None) -> dict[str, float | None]:
    if found is None:
        return {}
    return {"latency_ms": found.measured_ms, **_ends("latency", found.interval_ms, "_ms")}


def _front(record: SearchRecord) -> Iterator[dict[str, Cell]]:
    """Scored networks that no other beats, the fastest first."""
    for trial in record.pareto:
        latencies = zip(record.budgets, trial.latencies_ms, strict=False)
        yield {
            "network": ".".join(map(str, trial.indices)),
            record.score_key: trial.quality,
            **{f"{budget.name}/predicted_ms": value for budget, value in latencies},
            **dict(zip(record.objectives, trial.objectives, strict=False)),
        }


def _gallery(record: GalleryRecord) -> Iterator[dict[str, Cell]]:
    for entry in record.entries:
        low, high = entry.quality_interval or (None, None)
        row: dict[str, Cell] = {
            "network": ".".join(map(str, entry.indices)),
            record.score_key: entry.quality,
            f"{record.score_key}_low": low,
            f"{record.score_key}_high": high,
        }
        for number, name in enumerate(record.names):
            row[f"{name}/predicted_ms"] = entry.predicted_ms[number]
            row[f"{name}/latency_ms"] = entry.measured_ms[number]
        row["front"] = {True: "yes", False: "no"}.get(entry.is_front) if entry.is_front is not None else None
        yield row


def _of_training(record: TrainingRecord) -> Fact:
    key = record.metric.key
    scalars = {f"trained/val_{key}": record.val_value, f"trained/test_{key}": record.test_value}
    scalars |= {"trained/seconds": record.seconds}
    scalars |= _known(_ends(f"trained/test_{key}", record.test.get("interval")))
    said = () if record.learning is None else (record.learning.word, *record.learning.reasons)
    return Fact("trained", scalars, text="\n".join(said))


def _of_export(manifest: Mapping[str, Any]) -> Fact:
    models = manifest.get("variants", ())
    sizes = {f"exported/{item['name']}/bytes": float(item["bytes"]) for item in models}
    said = [item["said"] for name in ("int8_costs", "int8_kept") for item in manifest.get(name) or ()]
    return Fact("exported", sizes, text="\n".join((f"{len(models)} models", *said)))


def _of_verification(found: Mapping[str, Any]) -> Fact:
    """Verdicts of a device, latencies and qualities with their intervals."""
    metric = records.metric_of(found)
    scalars, said = dict[str, float](), [found.get("verdict") or _OPEN]
    for item in found["variants"]:
        at = f"verified/{found['device']}/{item['name']}"
        values = {
            "latency_ms": item.get("measured_ms"),
            **_ends("latency", item.get("interval_ms"), "_ms"),
            "predicted_ms": item.get("predicted_ms"),
            "budget_ms": item.get("budget_ms"),
            f"test_{metric.key}": item.get(f"test_{metric.key}"),
            **_ends(f"test_{metric.key}", (item.get(metric.key) or {}).get("interval")),
        }
        scalars |= _known({f"{at}/{name}": value for name, value in values.items()})
        reasons = "; ".join(item.get("reasons", ()))
        said.append(f"{item['name']}: {item.get('verdict') or _OPEN}{f': {reasons}' if reasons else ''}")
    said += [*found.get("stale", ()), *found.get("beyond", ()), f"verified {found.get('verified', '')}"]
    return Fact(f"verified/{found['device']}", scalars, text="\n".join(said))


def _ends(name: str, interval: Any, unit: str = "") -> dict[str, float | None]:
    low, high = interval or (None, None)
    return {f"{name}_low{unit}": low, f"{name}_high{unit}": high}


def _known(values: Mapping[str, float | None]) -> dict[str, float]:
    return {name: float(value) for name, value in values.items() if value is not None}
