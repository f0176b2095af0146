"""Does the network that ships keep what was promised? Measured, through the real runtimes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hwnas import files, profile, ship
from hwnas.device import Device, Target
from hwnas.export import runtime as runtimes
from hwnas.table import LatencyTable, Measurement

if TYPE_CHECKING:
    from hwnas.data import Dataset

MAX_ACCURACY_LOSS = {"fp32": 0.005, "int8": 0.02}
"""Largest accepted drop of test accuracy below PyTorch's, in [0, 1], by precision."""


@dataclass(frozen=True)
class VariantCheck:
    """What was found about one shipped file.

    Attributes:
        name: ``<runtime>-<precision>``.
        file: File name in the shipping folder.
        bytes: Its size.
        test_accuracy: On the test split, through the variant's own runtime.
        accuracy_loss: PyTorch's test accuracy minus this one.
        measured_ms: Latency on the device, anchored; see ``hwnas.table.Measurement``.
        interval_ms: 95 % interval of ``measured_ms``.
        predicted_ms: What the search believed; None where it did not search for this target.
        budget_ms: What was asked for; None where nothing was.
        conditions: What the agent saw while measuring, delegate coverage included.
        failures: Why this variant fails; empty where it passes.
    """

    name: str
    file: str
    bytes: int
    test_accuracy: float
    accuracy_loss: float
    measured_ms: float
    interval_ms: tuple[float, float]
    predicted_ms: float | None
    budget_ms: float | None
    conditions: Mapping[str, Any]
    failures: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether nothing failed."""
        return not self.failures


@dataclass(frozen=True)
class Verification:
    """What was found about a shipping folder on one device."""

    device: str
    variants: tuple[VariantCheck, ...]

    @property
    def passed(self) -> bool:
        """Whether every variant passed."""
        return all(variant.passed for variant in self.variants)

    def to_json(self) -> dict[str, Any]:
        """The JSON object that goes into the manifest."""
        return {
            "device": self.device,
            "verdict": "PASS" if self.passed else "FAIL",
            "variants": [asdict(v) | {"verdict": "PASS" if v.passed else "FAIL"} for v in self.variants],
        }


def verify(
    folder: Path,
    device: Device,
    dataset: Dataset,
    *,
    tables: Path | None = None,
    options: profile.ProfileOptions | None = None,
    on_step: Callable[[str], None] = lambda _: None,
) -> Verification:
    """Check every variant of a shipping folder and write the result into its manifest.

    A variant passes where its test accuracy is close to PyTorch's and its measured latency
    keeps the budget; a latency above the budget is only accepted where the measurement's own
    95 % interval reaches down to it.

    Args:
        folder: What ``ship.export_run`` wrote.
        device: Where to measure.
        dataset: Its test split is the one that accuracy is stated for.
        tables: Folder of the device's latency tables; latencies are put on their scale, so
            that they compare with the predictions although the clock has drifted since.
        options: How well to measure.
        on_step: Called with a line for people before each step.

    Raises:
        HwnasError: The folder is damaged, or the data differ.
    """
    manifest = ship.read_manifest(folder)
    ship.require_same_data(dataset, manifest["data"])
    images = dataset.normalize(dataset.test.images)
    checks = []
    for entry in manifest["variants"]:
        on_step(f"accuracy of {entry['file']}")
        accuracy = _accuracy(folder / entry["file"], entry["runtime"], images, dataset.test.labels)
        on_step(f"latency of {entry['file']}")
        target, promised = _target(entry, device, manifest["budgets"])
        measured = _measure(folder / entry["file"], device, target, tables, options)
        checks.append(_check(entry, accuracy, manifest["test_accuracy_pytorch"], measured, promised))
    verification = Verification(device.name, tuple(checks))
    manifest["verification"] = verification.to_json()
    files.write_json(folder / ship.MANIFEST, manifest)
    return verification


def _accuracy(model: Path, runtime: str, images: np.ndarray, labels: np.ndarray) -> float:
    logits = runtimes.run(model, runtime, images)
    return float((logits.argmax(axis=1) == labels).mean())


def _target(
    entry: Mapping[str, Any], device: Device, budgets: Sequence[Mapping[str, Any]]
) -> tuple[Target, Mapping[str, Any]]:
    """What a variant is measured as, and the budget that was searched under, if one was."""
    wanted = (device.name, entry["runtime"], entry["precision"])
    for promised in budgets:
        target = Target.from_json(promised["target"])
        if (target.device, target.runtime, target.precision) == wanted:
            return target, promised
    return device.target(entry["runtime"], entry["precision"]), {}


def _measure(
    model: Path,
    device: Device,
    target: Target,
    tables: Path | None,
    options: profile.ProfileOptions | None,
) -> Measurement:
    path = tables / f"{target.slug}.jsonl" if tables else None
    table = LatencyTable.load(path) if path and path.is_file() else None
    found = profile.measure(device, target, {model.name: model}, table=table, options=options)
    return found[model.name]


def _check(
    entry: Mapping[str, Any],
    accuracy: float,
    accuracy_pytorch: float,
    measured: Measurement,
    promised: Mapping[str, Any],
) -> VariantCheck:
    budget_ms = promised.get("budget_ms")
    loss, allowed = accuracy_pytorch - accuracy, MAX_ACCURACY_LOSS[entry["precision"]]
    conditions = measured.rounds[-1].conditions
    failures = []
    if loss > allowed:
        failures.append(f"test accuracy must be within {allowed:.3f} of PyTorch's, but is {loss:.3f} below")
    nodes, taken = conditions.get("nodes"), conditions.get("delegated_nodes")
    if taken is not None and taken != nodes:
        failures.append(f"the delegate must take all {nodes} nodes, but took {taken}")
    if budget_ms is not None and measured.ci_ms[0] > budget_ms:
        failures.append(
            f"latency must be at most {budget_ms:.3f} ms, but {measured.latency_ms:.3f} ms were measured"
        )
    return VariantCheck(
        name=entry["name"],
        file=entry["file"],
        bytes=entry["bytes"],
        test_accuracy=accuracy,
        accuracy_loss=loss,
        measured_ms=measured.latency_ms,
        interval_ms=measured.ci_ms,
        predicted_ms=promised.get("predicted_ms"),
        budget_ms=budget_ms,
        conditions=conditions,
        failures=tuple(failures),
    )
