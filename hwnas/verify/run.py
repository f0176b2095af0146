"""The verification stage: everything that was promised about a shipping folder, checked again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwnas import conditions, files, profile, ship
from hwnas.device import Device, Target
from hwnas.errors import HwnasError, SchemaMismatch
from hwnas.export import runtime as runtimes
from hwnas.table import LatencyTable, Measurement, Reference
from hwnas.table_ops import require_same
from hwnas.verify import folder as folders
from hwnas.verify.result import Session, VariantCheck, Verification

if TYPE_CHECKING:
    from hwnas.data import Dataset

MAX_ACCURACY_LOSS = {"fp32": 0.005, "int8": 0.02}
"""Largest accepted drop of test accuracy below PyTorch's, in [0, 1], by precision."""


def verify(
    folder: Path,
    device: Device,
    dataset: Dataset | None,
    *,
    tables: Path | None = None,
    options: profile.ProfileOptions | None = None,
    record: bool = True,
    on_step: Callable[[str], None] = lambda _: None,
) -> Verification:
    """Check every variant of a shipping folder and write the result into its manifest.

    A variant passes where it answers as the exported network did, its test accuracy is close
    to PyTorch's, one delegate runs all of it, and its measured latency keeps the budget; a
    latency above the budget is only accepted where the measurement's own 95 % interval reaches
    down to it. Nothing but the folder is needed.

    Args:
        folder: What ``ship.export_run`` wrote, or a copy of it.
        device: Where to measure.
        dataset: Its test split is the one that accuracy is stated for; None where the data are
            not at hand, which the result says.
        tables: Folder of the device's latency tables; latencies are put on their scale, so
            that they compare with the predictions although the clock has drifted since. The
            scale is kept in the manifest, and taken from there where the tables are gone.
        options: How well to measure.
        record: Whether to write the result into the manifest.
        on_step: Called with a line for people before each step.

    Raises:
        HwnasError: The folder is damaged, or the data differ, or the device cannot be used.
    """
    on_step("hashes, metadata and answers")
    checked = folders.read(folder)
    manifest = dict(checked.manifest)
    wrong = folders.answers_to_probes(checked)
    if dataset is not None:
        ship.require_same_data(dataset, manifest["data"])
    scales = _Scales(manifest.get("scales", {}), tables)
    checks = []
    for entry in manifest["variants"]:
        accuracy = None
        if dataset is not None:
            on_step(f"accuracy of {entry['file']}")
            accuracy = _accuracy(folder / entry["file"], entry["runtime"], dataset)
        measured: tuple[Measurement, Session] | None = None
        promised: Mapping[str, Any] = {}
        if entry["runtime"] in device.runtimes:
            on_step(f"latency of {entry['file']}")
            target, promised = _target(entry, device, manifest["budgets"])
            measured = _measure(folder / entry["file"], device, target, scales, options)
        failures = wrong[entry["file"]]
        checks.append(
            _check(entry, accuracy, manifest["test_accuracy_pytorch"], measured, promised, failures)
        )
    notes = (*_left_out(manifest, device, dataset), *scales.notes)
    verification = Verification(device.name, tuple(checks), notes)
    if record:
        manifest |= {"verification": verification.to_json(), "scales": scales.to_json()}
        _write(folder / ship.MANIFEST, manifest)
    return verification


class _Scales:
    """The anchor latency that each target's predictions were made by.

    Args:
        recorded: What an earlier verification kept in the manifest.
        tables: Folder of latency tables, which come first.
    """

    def __init__(self, recorded: Mapping[str, Any], tables: Path | None) -> None:
        self._known = {name: Reference.from_json(data) for name, data in recorded.items()}
        self._tables = tables
        self.notes: list[str] = []

    def of(self, target: Target, environment: Mapping[str, Any]) -> Reference | None:
        """The scale of a target; None where it is not known, or is of another environment."""
        path = self._tables / f"{target.slug}.jsonl" if self._tables else None
        if path and path.is_file():
            self._known[str(target)] = LatencyTable.load(path).reference
        scale = self._known.get(str(target))
        if scale is None:
            return None
        try:
            require_same(scale.target, scale.environment, target, environment)
        except SchemaMismatch as error:
            self.notes.append(
                f"{target}: its {error.field} is not that of the promise, "
                "so its latency is that of this session"
            )
            return None
        return scale

    def to_json(self) -> dict[str, Any]:
        """For the manifest."""
        return {name: scale.to_json() for name, scale in self._known.items()}


def _accuracy(model: Path, runtime: str, dataset: Dataset) -> float:
    logits = runtimes.run(model, runtime, dataset.normalize(dataset.test.images))
    return float((logits.argmax(axis=1) == dataset.test.labels).mean())


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
    scales: _Scales,
    options: profile.ProfileOptions | None,
) -> tuple[Measurement, Session]:
    """A latency on the scale of the predictions, where that is known, and how it was measured."""
    with profile.Measurer(device, options) as measurer:
        scale = scales.of(target, measurer.environment(target))
        own = measurer.measure(target, {model.name: model})
    measured = own.measurements[model.name].scaled((scale or own).scale)
    ((name, quality),) = conditions.qualities(own).items()
    return measured, Session(name, len(measured.rounds), quality.word, quality.reasons, own.environment)


def _left_out(manifest: Mapping[str, Any], device: Device, dataset: Dataset | None) -> list[str]:
    notes = []
    if dataset is None:
        notes.append(
            f"accuracy was not checked: the data ({manifest['data'].get('source')}) are not at hand; "
            "give them with --data"
        )
    runtimes_left = sorted({e["runtime"] for e in manifest["variants"]} - set(device.runtimes))
    if runtimes_left:
        notes.append(f"{device.name} does not have {', '.join(runtimes_left)}: not measured there")
    if not any(promise["target"].get("device") == device.name for promise in manifest["budgets"]):
        notes.append(f"no budget was asked for on {device.name}: latencies are only reported")
    return notes


def _check(
    entry: Mapping[str, Any],
    accuracy: float | None,
    accuracy_pytorch: float,
    found: tuple[Measurement, Session] | None,
    promised: Mapping[str, Any],
    wrong: tuple[str, ...],
) -> VariantCheck:
    measured, session = found or (None, None)
    failures = list(wrong)
    loss, allowed = None, MAX_ACCURACY_LOSS[entry["precision"]]
    if accuracy is not None:
        loss = accuracy_pytorch - accuracy
        if loss > allowed:
            failures.append(
                f"test accuracy must be within {allowed:.3f} of PyTorch's, but is {loss:.3f} below"
            )
    seen: Mapping[str, Any] = measured.rounds[-1].conditions if measured else {}
    budget_ms = promised.get("budget_ms")
    nodes, taken = seen.get("nodes"), seen.get("delegated_nodes")
    if taken is not None and taken != nodes:
        failures.append(f"the delegate must take all {nodes} nodes, but took {taken}")
    if measured and budget_ms is not None and measured.ci_ms[0] > budget_ms:
        failures.append(
            f"latency must be at most {budget_ms:.3f} ms, but {measured.latency_ms:.3f} ms were measured"
        )
    return VariantCheck(
        name=entry["name"],
        file=entry["file"],
        bytes=entry["bytes"],
        test_accuracy=accuracy,
        accuracy_loss=loss,
        measured_ms=measured.latency_ms if measured else None,
        interval_ms=measured.ci_ms if measured else None,
        predicted_ms=promised.get("predicted_ms"),
        budget_ms=budget_ms,
        conditions=seen,
        failures=tuple(failures),
        session=session,
    )


def _write(path: Path, manifest: Mapping[str, Any]) -> None:
    try:
        files.write_json(path, manifest)
    except OSError as error:
        raise HwnasError(
            f"the result must be written into {path}, but: {error}: give --no-record to only look"
        ) from error
