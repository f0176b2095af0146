"""The verification stage: everything that was promised about a shipping folder, checked again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwnas import files, measure, release, runtimes
from hwnas.device import Device, Target
from hwnas.errors import HwnasError, SchemaMismatch
from hwnas.release.verification import Session, VariantCheck, Verification
from hwnas.statistics import verdict
from hwnas.statistics.metric import Metric
from hwnas.statistics.verdict import BUDGET, NOT_PROVEN, Verdict
from hwnas.tables import conditions, places
from hwnas.tables.operations import require_same
from hwnas.tables.table import LatencyTable, Measurement, Reference
from hwnas.tasks.base import Estimate
from hwnas.verify import checks
from hwnas.verify import folder as folders
from hwnas.verify.quality import Earlier, Known, predictions

if TYPE_CHECKING:
    from hwnas.data import Dataset, Split


def verify(
    folder: Path,
    device: Device,
    dataset: Dataset | None,
    *,
    further: tuple[str, Split] | None = None,
    tables: Path | None = None,
    options: measure.ProfileOptions | None = None,
    accept_noise: bool = False,
    record: bool = True,
    on_step: Callable[[str], None] = lambda _: None,
) -> Verification:
    """Check every variant of a shipping folder and write the result into its manifest.

    A variant passes where it answers as the exported network did, its metric on the test split is close
    to PyTorch's and better than guessing, one delegate runs all of it, and its latency is proven to
    keep the budget (see ``hwnas.statistics.verdict``). Nothing but the folder is needed.

    Args:
        folder: What ``release.export_run`` wrote, or a copy of it.
        device: Where to measure.
        dataset: Its test split is the one that the task's metric is stated for; None where the data
            are not looked at. Then an earlier verification's of the same files stands.
        further: Name and images of another test set, on which it is stated beside that.
        tables: Folder of the device's latency tables; latencies are put on their scale, so
            that they compare with the predictions although the clock has drifted since. The
            scale is kept in the manifest, and taken from there where the tables are gone.
        options: How well to measure.
        accept_noise: Whether the user takes what is NOT PROVEN; it is only noted.
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
        release.require_same_data(dataset, manifest["data"])
    scales, run = _Scales(manifest.get("scales", {}), tables), release.run_of(folder)
    earlier, metric = Earlier(manifest), checked.task.metric
    variants = []
    with ExitStack() as stack:  # one way to the device for all, opened when it is first needed
        measurer = cache(lambda: stack.enter_context(measure.Measurer(device, options)))
        for entry in manifest["variants"]:
            known, found = earlier.of(entry["file"]), {"answers": checks.answers(wrong[entry["file"]])}
            if dataset is not None:
                on_step(f"{metric.name} of {entry['file']}")
                own = predictions(checked, entry, dataset.test)
                known = Known.of(own, manifest, entry["precision"], checked.task)
            beside = None
            if further is not None:
                on_step(f"{metric.name} of {entry['file']} on {further[0]}")
                other = predictions(checked, entry, further[1])
                beside = Estimate.of(other)
                found[f"learning, on {further[0]}"] = other.learning
            for name, target, promised in _targets(entry, device, manifest["budgets"]):
                measured: tuple[Measurement, Session] | None = None
                if target is not None and target.runtime in device.runtimes:
                    on_step(f"latency of {entry['file']}{f' on {target}' if name != entry['name'] else ''}")
                    measured = _measure(folder / entry["file"], measurer(), target, scales)
                variants.append(_check(name, entry, known, beside, measured, promised, found))
    verification = Verification(
        device.name,
        tuple(variants),
        (
            *_left_out(manifest, device, dataset, earlier, further, metric),
            *scales.notes,
            *(() if run is None else release.unfinished(run)),
        ),
        stale=(*_missing(manifest, device), *(() if run is None else release.stale(run))),
        beyond=tuple(_beyond(manifest, device)),
        further=None if further is None else {"name": further[0], "images": len(further[1])},
        accepted_noise=accept_noise,
        verified=datetime.now(UTC).isoformat(timespec="seconds"),
        rounds=(options or measure.ProfileOptions()).rounds,
        task=checked.task.name,
        metric=metric,
    )
    if record:
        manifest |= {"verification": verification.to_json(), "scales": scales.to_json()}
        _write(folder / release.MANIFEST, manifest)
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
        path = places.table(self._tables, target) if self._tables else None
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

    def put(self, own: LatencyTable) -> measure.Measured:
        """A session on the scale of the device, to which what was promised by counts as well."""
        promised = self.of(own.target, own.environment)
        found = measure.measured(own, *([promised] if promised else []))
        if promised or str(own.target) not in self._known:
            self._known[str(own.target)] = found.reference
        return found

    def to_json(self) -> dict[str, Any]:
        """For the manifest."""
        return {name: scale.to_json() for name, scale in self._known.items()}


def _targets(
    entry: Mapping[str, Any], device: Device, budgets: Sequence[Mapping[str, Any]]
) -> list[tuple[str, Target | None, Mapping[str, Any]]]:
    """What a file is measured as: by name, with the budget that was searched under, if one was.

    One for each budget that the file is for on the device; where there are several, they are named
    by what differs. A target that the device does not have (any more) keeps its budget.
    """
    promised = [
        (target, item)
        for item in budgets
        if _is_for(target := Target.from_json(item["target"]), entry) and target.device == device.name
    ]
    if not promised:
        there = entry["runtime"] in device.runtimes
        return [(entry["name"], device.target(entry["runtime"], entry["precision"]) if there else None, {})]
    if len(promised) == 1 and promised[0][0].runtime == entry["runtime"]:
        return [(entry["name"], *promised[0])]
    return [(target.slug, target, item) for target, item in promised]


def _is_for(target: Target, entry: Mapping[str, Any]) -> bool:
    """Whether a shipped file is what a target runs: of its runtime, or of one that reads the same files."""
    if target.precision != entry["precision"]:
        return False
    if (target.runtime, target.precision) in release.VARIANTS:
        return bool(target.runtime == entry["runtime"])
    known = runtimes.RUNTIMES.get(target.runtime)
    return known is not None and known.format == runtimes.get(entry["runtime"]).format


def _measure(
    model: Path, measurer: measure.Measurer, target: Target, scales: _Scales
) -> tuple[Measurement, Session]:
    """A latency on the scale of the device, and how it was measured."""
    found = scales.put(measurer.measure(target, {model.name: model}))
    quality, environment = found.quality, found.reference.environment
    measured = found[model.name]
    session = Session(
        found.session,
        len(measured.rounds),
        quality.word,
        quality.reasons,
        environment,
        conditions.notes(quality, measured),
    )
    return measured, session


def _missing(manifest: Mapping[str, Any], device: Device) -> Iterator[str]:
    """Promised on the device, and not in the folder: nothing can prove it."""
    for promised in manifest["budgets"]:
        target = Target.from_json(promised["target"])
        is_there = any(_is_for(target, entry) for entry in manifest["variants"])
        if target.device == device.name and not is_there and target.runtime in runtimes.RUNTIMES:
            yield (
                f"a shipping folder must have a model for each budget, but the one for {target} "
                f"({promised['budget_ms']:g} ms) is missing: export again"
            )


def _beyond(manifest: Mapping[str, Any], device: Device) -> Iterator[str]:
    """Promised on the device for a runtime that hwnas cannot measure: nothing here can prove it."""
    for promised in manifest["budgets"]:
        target = Target.from_json(promised["target"])
        if target.device == device.name and target.runtime not in runtimes.RUNTIMES:
            yield (
                f"the budget of {promised['budget_ms']:g} ms on {target} cannot be measured: hwnas has no "
                f"agent for {target.runtime}: measure what ships there by other means"
            )


def _left_out(
    manifest: Mapping[str, Any],
    device: Device,
    dataset: Dataset | None,
    earlier: Earlier,
    further: tuple[str, Split] | None,
    metric: Metric,
) -> list[str]:
    notes = []
    if dataset is None:
        is_known = earlier.when is not None
        notes.append(
            f"the test images were not looked at: values of {metric.name} are those verified before "
            f"({earlier.when})"
            if is_known
            else f"the test images were not looked at: no {metric.name} was checked"
        )
    if further is not None:
        notes.append(
            f"{further[0]} ({len(further[1])} images) is a further test set: its {metric.name} says "
            "something only if none of its images were trained on"
        )
    runtimes_left = sorted({e["runtime"] for e in manifest["variants"]} - set(device.runtimes))
    if runtimes_left:
        notes.append(f"{device.name} does not have {', '.join(runtimes_left)}: not measured there")
    budgets = [promise["target"].get("device") for promise in manifest["budgets"]]
    if device.name not in budgets:
        notes.append(
            f"no budget was asked for on {device.name}: latencies are only reported, without a verdict"
        )
    elsewhere = sorted({str(name) for name in budgets} - {device.name})
    if elsewhere:
        notes.append(f"the budgets on {', '.join(elsewhere)} were not looked at: verify them there")
    return notes


def _check(
    name: str,
    entry: Mapping[str, Any],
    known: Known,
    further: Estimate | None,
    found: tuple[Measurement, Session] | None,
    promised: Mapping[str, Any],
    looked_at: Mapping[str, Verdict],
) -> VariantCheck:
    measured, session = found or (None, None)
    latency_ms = measured.latency_ms if measured else None
    interval_ms = measured.interval_ms if measured else None
    seen: Mapping[str, Any] = measured.rounds[-1].conditions if measured else {}
    judged = {
        **looked_at,
        **known.checks,
        "delegate": checks.delegation(seen),
        BUDGET: _on_budget(latency_ms, interval_ms, promised, session),
    }
    return VariantCheck(
        name=name,
        file=entry["file"],
        bytes=entry["bytes"],
        value=known.value,
        estimate=known.estimate,
        loss=known.loss,
        further=further,
        measured_ms=latency_ms,
        interval_ms=interval_ms,
        predicted_ms=promised.get("predicted_ms"),
        budget_ms=promised.get("budget_ms"),
        conditions=seen,
        checks={name: found for name, found in judged.items() if found is not None},
        session=session,
    )


def _on_budget(
    latency_ms: float | None,
    interval_ms: tuple[float, float] | None,
    promised: Mapping[str, Any],
    session: Session | None,
) -> Verdict | None:
    """The verdict on a budget; a promise that cannot be measured here is NOT PROVEN."""
    if promised and latency_ms is None:
        target = Target.from_json(promised["target"])
        return Verdict(
            NOT_PROVEN,
            (
                f"the budget of {promised['budget_ms']:g} ms on {target} cannot be measured: "
                f"{target.device} has no {target.runtime} now: bring it back (`hwnas devices list` shows "
                "what it has), or search for what it has",
            ),
        )
    return verdict.on_budget(latency_ms, interval_ms, promised.get("budget_ms"), session)


def _write(path: Path, manifest: Mapping[str, Any]) -> None:
    try:
        files.write_json(path, manifest)
    except OSError as error:
        raise HwnasError(
            f"the result must be written into {path}, but: {error}: give --no-record to only look"
        ) from error
