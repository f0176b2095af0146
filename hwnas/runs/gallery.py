"""``gallery.json``: what a space has to offer over the whole range of latencies, by one scorer.

Written at the end of a search through these classes, and read through them, whichever version wrote.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwnas.device import Target
from hwnas.errors import SchemaMismatch
from hwnas.runs.parts import TARGET, as_written, interval_of, pair_of
from hwnas.runs.trial import score_of
from hwnas.shapes import COUNT, NONE, SHARE, SIZE, SOME, Items, Shape, require
from hwnas.statistics.metric import ACCURACY

SCHEMA = "hwnas-gallery/1"
GALLERY = "the gallery of a run"
_SPACE = {"schema": str, "space": str, "space_fingerprint": str}
_OF_EACH_TARGET = ("predicted_ms", "predicted_std_ms", "measured_ms", "measured_half_ms")


@dataclass(frozen=True)
class GalleryTarget:
    """A target that a gallery says latencies of.

    Attributes:
        name: Of the target.
        target: The target.
        range_ms: Latency of the fastest and the slowest architecture, that shares are of.
    """

    name: str
    target: Target
    range_ms: tuple[float, float]

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        return {"name": self.name, "target": self.target.to_json(), "range_ms": list(self.range_ms)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> GalleryTarget:
        """Rebuild what ``to_json`` wrote."""
        return cls(data["name"], Target.from_json(data["target"]), pair_of(data["range_ms"]))


@dataclass(frozen=True)
class GalleryEntry:
    """An architecture of a gallery; of latencies there is one a target.

    Attributes:
        indices: The architecture.
        quality: The estimate, in [0, 1].
        quality_interval: 95 % for so many images (that the best of many was picked is not in it); None
            where the task has none.
        predicted_ms: Latency by the model.
        predicted_std_ms: Its standard deviation.
        measured_ms: Latency where it was measured well enough to be believed, else None.
        measured_half_ms: The longer arm of the 95 % interval of that; None likewise.
        is_front: Whether no other entry is as good and as fast on every target; None where the file does
            not say.
    """

    indices: tuple[int, ...]
    quality: float
    quality_interval: tuple[float, float] | None
    predicted_ms: tuple[float, ...]
    predicted_std_ms: tuple[float, ...]
    measured_ms: tuple[float | None, ...]
    measured_half_ms: tuple[float | None, ...]
    is_front: bool | None = None

    @property
    def latencies_ms(self) -> tuple[float, ...]:
        """Latency, one a target: measured where it was, else predicted."""
        pairs = zip(self.measured_ms, self.predicted_ms, strict=True)
        return tuple(predicted if measured is None else measured for measured, predicted in pairs)

    def to_json(self, score: str = ACCURACY.score_key) -> dict[str, Any]:
        """A JSON object; ``score`` is what the quality is called there."""
        interval = None if self.quality_interval is None else list(self.quality_interval)
        told = {"indices": list(self.indices), score: self.quality, f"{score}_interval": interval}
        told |= {name: list(getattr(self, name)) for name in _OF_EACH_TARGET}
        return told if self.is_front is None else told | {"front": self.is_front}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> GalleryEntry:
        """Rebuild what ``to_json`` wrote."""
        score = score_of(data)
        return cls(
            indices=tuple(data["indices"]),
            quality=data[score],
            quality_interval=interval_of(data, f"{score}_interval"),
            **{name: tuple(data[name]) for name in _OF_EACH_TARGET},
            is_front=data.get("front"),
        )


@dataclass(frozen=True)
class GalleryRecord:
    """What a space has to offer over the whole range of latencies.

    Attributes:
        images: Validation images that each estimate is as certain as.
        targets: What latencies are of; at least one.
        entries: The architectures, by latency on the first target; at least one.
        space: Name of the space; empty where the file does not say.
        space_fingerprint: Its fingerprint; likewise.
        score_key: What estimates are called in the file: "accuracy", or of another task "quality".
        points: Budgets over the range that it was drawn for; None where an older file does not say.
        each: Architectures that were drawn for each of them; None likewise.
        schema: Of the file.
    """

    images: int
    targets: tuple[GalleryTarget, ...]
    entries: tuple[GalleryEntry, ...]
    space: str = ""
    space_fingerprint: str = ""
    score_key: str = ACCURACY.score_key
    points: int | None = None
    each: int | None = None
    schema: str = SCHEMA

    @property
    def names(self) -> list[str]:
        """Names of the targets."""
        return [target.name for target in self.targets]

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        told = {
            "schema": self.schema,
            "space": self.space or None,
            "space_fingerprint": self.space_fingerprint or None,
            "images": self.images,
            "targets": [target.to_json() for target in self.targets],
            "entries": [entry.to_json(self.score_key) for entry in self.entries],
            "points": self.points,
            "each": self.each,
        }
        return {name: value for name, value in told.items() if value is not None}

    @classmethod
    def from_json(cls, data: Any, path: Path, remedy: str, *, is_pickable: bool = False) -> GalleryRecord:
        """Rebuild what ``to_json`` wrote, or an earlier version.

        Args:
            data: The content of the file.
            path: Of the file, for messages.
            remedy: What makes it anew: the end of a sentence.
            is_pickable: Whether another network is to be taken from it: then it must be of this schema,
                and say of which space it is.

        Raises:
            SchemaMismatch: It does not hold what it must: every entry has a number for each target.
        """
        require(data, dict, GALLERY, path, remedy)
        entries = data.get("entries")
        first = entries[0] if isinstance(entries, list) and entries and isinstance(entries[0], dict) else {}
        score = score_of(first)
        require(data, _shape(score) | (_SPACE if is_pickable else {}), GALLERY, path, remedy)
        targets = len(data["targets"])
        each = {name: Items(object, targets, targets) for name in _OF_EACH_TARGET}
        require(data, {"entries": [each]}, GALLERY, path, remedy)
        if is_pickable and data["schema"] != SCHEMA:
            raise SchemaMismatch(
                f"a gallery must be of schema {SCHEMA}, but {path} is not: {remedy}", field="schema"
            )
        with as_written(GALLERY, path, remedy, "gallery"):
            return cls(
                images=data["images"],
                targets=tuple(map(GalleryTarget.from_json, data["targets"])),
                entries=tuple(map(GalleryEntry.from_json, data["entries"])),
                score_key=score,
                **{name: data[name] for name in _PLAIN if data.get(name) is not None},
            )


_PLAIN = ("schema", "space", "space_fingerprint", "points", "each")


def _shape(score: str) -> dict[str, Shape]:
    interval, number = Items(SHARE, 2, 2), (SIZE, NONE)
    return {
        "images": COUNT,
        "targets": Items({"name": str, "target": TARGET, "range_ms": Items(SIZE, 2, 2)}, 1),
        "entries": Items(
            {
                "indices": [COUNT],
                score: SHARE,
                f"{score}_interval": interval if score == ACCURACY.score_key else (interval, NONE),
                "predicted_ms": [float],
                "predicted_std_ms": [float],
                "measured_ms": [number],
                "measured_half_ms": [number],
                "front?": bool,
            },
            1,
        ),
        **{f"{name}?": kind for name, kind in _SPACE.items()},
        "points?": (SOME, NONE),
        "each?": (SOME, NONE),
    }
