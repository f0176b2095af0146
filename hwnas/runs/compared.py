"""The networks of a comparison, as ``compare.json`` has them: how good each is, and how fast."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from hwnas.device import Target
from hwnas.runs.energy import EnergyCheck
from hwnas.runs.parts import interval_of
from hwnas.shapes import COUNT, NONE, SIZE, Items, Shape
from hwnas.statistics.differences import Difference
from hwnas.statistics.verdict import Verdict


@dataclass(frozen=True)
class SeedSpread:
    """A number over the trainings of a network.

    Attributes:
        mean: Of the values.
        std: Sample standard deviation; None of a single value.
        values: One a training.
    """

    mean: float
    std: float | None
    values: tuple[float, ...]

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        return asdict(self) | {"values": list(self.values)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> SeedSpread:
        """Rebuild what ``to_json`` wrote."""
        return cls(data["mean"], data["std"], tuple(data["values"]))


@dataclass(frozen=True)
class ComparedQuality:
    """How good a network is by the metric of the task, and the found one beside it.

    Attributes:
        metric: Over the trainings.
        gain: By how much the found network is better, seed by seed.
        images: How many were answered; None where an older file does not say.
        interval: 95 % interval of the metric; None of several trainings, and likewise.
        difference: What can be said of the gain on the same images; None where an older file does not say.
    """

    metric: SeedSpread
    gain: SeedSpread
    images: int | None = None
    interval: tuple[float, float] | None = None
    difference: Difference | None = None

    def to_json(self, key: str) -> dict[str, Any]:
        """Fields of a network; the metric goes by its own name."""
        of: dict[str, Any] = self.metric.to_json()
        if self.images is not None:
            of |= {"images": self.images, "interval": None if self.interval is None else list(self.interval)}
        minus = {} if self.difference is None else self.difference.to_json()
        return {key: of, "found_minus_this": minus | self.gain.to_json()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any], key: str) -> ComparedQuality:
        """Rebuild what ``to_json`` wrote, or an earlier version."""
        of, minus = data[key], data["found_minus_this"]
        return cls(
            metric=SeedSpread.from_json(of),
            gain=SeedSpread.from_json(minus),
            images=of.get("images"),
            interval=interval_of(of, "interval"),
            difference=Difference.from_json(minus) if "interval" in minus else None,
        )


@dataclass(frozen=True)
class ComparedTraining:
    """One training of a network.

    Attributes:
        seed: Of the training.
        folder: Of its run, below the folder of the compared one.
        val_value: The metric on the validation split.
        test_value: On the test split.
        seconds: Wall time of all epochs.
    """

    seed: int
    folder: str
    val_value: float
    test_value: float
    seconds: float

    def to_json(self, key: str) -> dict[str, Any]:
        """A JSON object; the metric goes by its own name."""
        values = {f"val_{key}": self.val_value, f"test_{key}": self.test_value}
        return {"seed": self.seed, "folder": self.folder, **values, "seconds": self.seconds}

    @classmethod
    def from_json(cls, data: Mapping[str, Any], key: str) -> ComparedTraining:
        """Rebuild what ``to_json`` wrote."""
        values = (data[f"val_{key}"], data[f"test_{key}"])
        return cls(data["seed"], data["folder"], *values, data["seconds"])


@dataclass(frozen=True)
class ComparedVariant:
    """A network as a runtime runs it in a precision.

    Attributes:
        name: ``<runtime>-<precision>``.
        quality: Through that runtime.
        latency_ms: As measured.
        interval_ms: 95 % interval; None where the rounds are too few for one.
        latency_ratio: The found network's latency over this one's.
        target: What was measured; None where an older file does not say.
        bytes: Of the model; None likewise.
        ratio_interval: 95 % interval of the ratio; None where either latency has none, and likewise.
        budget_ms: The run's budget for the target; None where it has none.
        on_budget: The verdict on it; None likewise.
        energy: Of an inference, where the run has a limit on it on the target; else None.
        on_limit: The verdict on that limit; None likewise.
    """

    name: str
    quality: ComparedQuality
    latency_ms: float
    interval_ms: tuple[float, float] | None
    latency_ratio: float
    target: Target | None = None
    bytes: int | None = None
    ratio_interval: tuple[float, float] | None = None
    budget_ms: float | None = None
    on_budget: Verdict | None = None
    energy: EnergyCheck | None = None
    on_limit: Verdict | None = None

    def to_json(self, key: str) -> dict[str, Any]:
        """A JSON object; the metric goes by ``key``."""
        counted: dict[str, Any] = {}
        if self.energy is not None and self.on_limit is not None:
            counted = {"energy": asdict(self.energy), "on_limit": self.on_limit.to_json()}
        return {
            "name": self.name,
            "target": None if self.target is None else self.target.to_json(),
            "bytes": self.bytes,
            **self.quality.to_json(key),
            "latency_ms": self.latency_ms,
            "interval_ms": None if self.interval_ms is None else list(self.interval_ms),
            "latency_ratio": self.latency_ratio,
            "ratio_interval": None if self.ratio_interval is None else list(self.ratio_interval),
            "budget_ms": self.budget_ms,
            "on_budget": None if self.on_budget is None else self.on_budget.to_json(),
            **counted,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any], key: str) -> ComparedVariant:
        """Rebuild what ``to_json`` wrote, or an earlier version."""
        return cls(
            name=data["name"],
            quality=ComparedQuality.from_json(data, key),
            latency_ms=data["latency_ms"],
            interval_ms=interval_of(data),
            latency_ratio=data["latency_ratio"],
            target=Target.from_json(data["target"]) if data.get("target") else None,
            bytes=data.get("bytes"),
            ratio_interval=interval_of(data, "ratio_interval"),
            budget_ms=data.get("budget_ms"),
            on_budget=None if data.get("on_budget") is None else Verdict.from_json(data["on_budget"]),
            energy=EnergyCheck.from_json(data["energy"]) if "energy" in data else None,
            on_limit=Verdict.from_json(data["on_limit"]) if "on_limit" in data else None,
        )


@dataclass(frozen=True)
class ComparedNetwork:
    """A network of a comparison.

    Attributes:
        name: Of a known network, or what the run's own is called.
        macs: Multiply-adds.
        quality: In PyTorch.
        variants: As each runtime runs it, in the order of all networks.
        key: Of the architecture; empty where an older file does not say.
        params: Parameters; None likewise.
        trainings: One a seed; empty likewise.
    """

    name: str
    macs: float
    quality: ComparedQuality
    variants: tuple[ComparedVariant, ...]
    key: str = ""
    params: int | None = None
    trainings: tuple[ComparedTraining, ...] = ()

    def to_json(self, key: str) -> dict[str, Any]:
        """A JSON object; the metric goes by ``key``."""
        return {
            "name": self.name,
            "key": self.key,
            "macs": self.macs,
            "params": self.params,
            "trainings": [training.to_json(key) for training in self.trainings],
            **self.quality.to_json(key),
            "variants": [variant.to_json(key) for variant in self.variants],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any], key: str) -> ComparedNetwork:
        """Rebuild what ``to_json`` wrote, or an earlier version."""
        return cls(
            name=data["name"],
            macs=data["macs"],
            quality=ComparedQuality.from_json(data, key),
            variants=tuple(ComparedVariant.from_json(item, key) for item in data["variants"]),
            key=data.get("key", ""),
            params=data.get("params"),
            trainings=tuple(ComparedTraining.from_json(item, key) for item in data.get("trainings", ())),
        )


def shape_of(key: str) -> Shape:
    """What a network of a comparison must hold to be read, where the metric goes by ``key``."""
    spread = {"mean": float, "std": (float, NONE), "values": Items(float, 1)}
    interval = (Items(float, 2, 2), NONE)
    quality = {
        key: {**spread, "images?": COUNT, "interval?": interval},
        "found_minus_this": {**spread, "interval?": interval},
    }
    variant = {
        "name": str,
        **quality,
        "latency_ms": SIZE,
        "interval_ms": (Items(SIZE, 2, 2), NONE),
        "latency_ratio": SIZE,
        "ratio_interval?": (Items(SIZE, 2, 2), NONE),
        "budget_ms?": (SIZE, NONE),
        "energy?": {
            "limit_mj": SIZE,
            "predicted_mj": (SIZE, NONE),
            "measured_mj": (SIZE, NONE),
            "interval_mj": (Items(SIZE, 2, 2), NONE),
        },
    }
    return {"name": str, "macs": SIZE, **quality, "variants": [variant]}
