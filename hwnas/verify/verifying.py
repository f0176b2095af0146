"""The verification stage: everything that was promised about a shipping folder, checked again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwnas import files, release, runtimes
from hwnas.device import Device, Target
from hwnas.errors import HwnasError
from hwnas.measure import OnProgress, ProfileOptions, in_rounds
from hwnas.release import Manifest, ShippedModel, energy
from hwnas.release.verification import SessionRecord, VariantCheck, Verification
from hwnas.runs.budgets import BudgetRecord
from hwnas.runs.energy import EnergyCheck
from hwnas.runs.finalists import ChosenEnergy
from hwnas.statistics import verdict
from hwnas.statistics.verdict import BUDGET, ENERGY, NOT_PROVEN, Verdict
from hwnas.tables import conditions
from hwnas.tables.table import Measurement
from hwnas.verify import around, checks
from hwnas.verify import folder as folders
from hwnas.verify.folder import CheckedFolder
from hwnas.verify.notes import beyond, left_out, missing
from hwnas.verify.quality import FileQuality, qualities
from hwnas.verify.scales import Scales

if TYPE_CHECKING:
    from hwnas.data import Dataset, Split


def verify(
    folder: Path,
    device: Device,
    dataset: Dataset | None,
    *,
    further: tuple[str, Split] | None = None,
    tables: Path | None = None,
    options: ProfileOptions | None = None,
    accept_noise: bool = False,
    record: bool = True,
    on_step: Callable[[str], None] = lambda _: None,
) -> Verification:
    """As ``verify_on``, on one device.

    Args:
        folder: What ``release.export_run`` wrote, or a copy of it.
        device: Where to measure.
        dataset: As of ``verify_on``.
        further: As of ``verify_on``.
        tables: Folder of the device's latency tables; see ``verify_on``.
        options: As of ``verify_on``.
        accept_noise: As of ``verify_on``.
        record: As of ``verify_on``.
        on_step: As of ``verify_on``.

    Raises:
        HwnasError: The folder is damaged, or the data differ, or the device cannot be used.
    """
    (found,) = verify_on(
        folders.read(folder),
        [(device, tables)],
        dataset,
        further=further,
        options=options,
        accept_noise=accept_noise,
        record=record,
        on_step=on_step,
    )
    return found


def verify_on(
    checked: CheckedFolder,
    where: Sequence[tuple[Device, Path | None]],
    dataset: Dataset | None,
    *,
    further: tuple[str, Split] | None = None,
    options: ProfileOptions | None = None,
    accept_noise: bool = False,
    record: bool = True,
    on_step: Callable[[str], None] = lambda _: None,
) -> tuple[Verification, ...]:
    """Check every variant of a shipping folder on devices and write the results into its manifest.

    A variant passes where it answers as the exported network did, its metric on the test split is close
    to PyTorch's and better than guessing, one delegate runs all of it, and its latency is proven to
    keep the budget (see ``hwnas.statistics.verdict``), as is its energy where there is a limit on it. What
    preparing a picture and reading its answer take beside it is told, and judges nothing. Nothing but the
    folder is needed.

    Args:
        checked: The folder, read.
        where: Devices to measure on, each with the folder of its latency tables, if there are any; latencies
            are put on their scale, so that they compare with the predictions although the clock has
            drifted since. The scale is kept in the manifest, and taken from there where the tables are
            gone.
        dataset: Its test split is the one that the task's metric is stated for; None where the data
            are not looked at. Then an earlier verification's of the same files stands.
        further: Name and images of another test set, on which it is stated beside that.
        options: How well to measure.
        accept_noise: Whether the user takes what is NOT PROVEN; it is only noted.
        record: Whether to write the results into the manifest, each as soon as it is known.
        on_step: Called with a line for people before each step.

    Raises:
        HwnasError: The data differ, or a device cannot be used.
    """
    manifest = checked.manifest
    on_step("answers")
    wrong = folders.answers_to_probes(checked)
    if dataset is not None:
        release.require_same_data(dataset, manifest.data)
    looked = qualities(checked, dataset, further, wrong, on_step)
    run, found = release.run_of(checked.path), []
    unfinished, stale = ((), ()) if run is None else (release.unfinished(run), release.stale(run))
    names, options = [device.name for device, _ in where], options or ProfileOptions()
    for device, tables in where:
        scales = Scales(manifest.scales or {}, tables)
        said = on_step if len(where) == 1 else lambda text, name=device.name: on_step(f"{name}: {text}")
        measured = _variants(checked, device, looked, options, scales, said)
        variants, unknown = around.completed(checked, device, measured, dataset, options.rounds, said)
        verification = Verification(
            device.name,
            variants,
            (*left_out(checked, device, names, dataset, further), *scales.notes, *unfinished, *unknown),
            stale=(*missing(manifest, device), *stale),
            beyond=tuple(beyond(manifest, device)),
            further=None if further is None else {"name": further[0], "images": len(further[1])},
            accepted_noise=accept_noise,
            verified=datetime.now(UTC).isoformat(timespec="seconds"),
            rounds=options.rounds,
            samples=options.samples,
            min_round_s=options.min_round_s,
            task=checked.task.name,
            metric=checked.task.metric,
        )
        found.append(verification)
        if record:
            manifest = manifest.with_verification(verification, scales.to_json())
            _write(checked.path / release.MANIFEST, manifest)
    return tuple(found)


def _variants(
    checked: CheckedFolder,
    device: Device,
    looked: Mapping[str, FileQuality],
    options: ProfileOptions,
    scales: Scales,
    on_step: Callable[[str], None],
) -> tuple[VariantCheck, ...]:
    """Every file measured on a device, once for each of its budgets there."""
    found = []
    limit = checked.manifest.energy
    with ExitStack() as stack:  # one way to the device for all
        measurers = energy.measurers(stack, device, options)
        for model in checked.manifest.models:
            file = model.file
            for name, target, asked in targets_of(model, device, checked.manifest.budgets):
                wanted = limit if limit and asked and limit.limits(asked.name) else None
                measured = _Measured(
                    energy=None if wanted is None else energy.checked(wanted, None, "", "", None)
                )
                if target is not None and device.runs(target.runtime):
                    said = f"latency of {file}{f' on {target}' if name != model.name else ''}"
                    on_step(said)
                    counted = in_rounds(on_step, said)
                    measured = _measure(checked.path / file, measurers, target, scales, wanted, counted)
                found.append(_check(name, model, looked[file], measured, asked))
    return tuple(found)


def targets_of(
    model: ShippedModel, device: Device, budgets: Sequence[BudgetRecord]
) -> list[tuple[str, Target | None, BudgetRecord | None]]:
    """What a file is measured as: by name, with the budget that was searched under, if one was.

    One for each budget that the file is for on the device; where there are several, they are named
    by what differs. A target that the device does not have (any more) keeps its budget.
    """
    asked = [
        item for item in budgets if release.is_for(item.target, model) and item.target.device == device.name
    ]
    if not asked:
        there = device.runs(model.runtime)
        return [(model.name, device.target(model.runtime, model.precision) if there else None, None)]
    if len(asked) == 1 and asked[0].target.runtime == model.runtime:
        return [(model.name, asked[0].target, asked[0])]
    return [(item.target.slug, item.target, item) for item in asked]


@dataclass(frozen=True)
class _Measured:
    """What was measured of a file on a target; nothing where its runtime is not there."""

    latency: Measurement | None = None
    session: SessionRecord | None = None
    energy: tuple[EnergyCheck, Verdict] | None = None


def _measure(
    model: Path,
    measurers: energy.Measurers,
    target: Target,
    scales: Scales,
    limit: ChosenEnergy | None,
    progress: OnProgress,
) -> _Measured:
    """A latency on the scale of the device, how it was measured, and the energy where that is limited."""
    measurer, missing = energy.counting(measurers, target, limit)
    own = measurer.measure(target, {model.name: model}, progress=progress)
    found = scales.put(own)
    quality, environment = found.quality, found.reference.environment
    measured = found[model.name]
    session = SessionRecord(
        found.session,
        len(measured.rounds),
        quality.word,
        quality.reasons,
        environment,
        conditions.notes(quality, measured),
    )
    counted = None if limit is None else energy.checked(limit, own, model.name, missing, session)
    return _Measured(measured, session, counted)


def _check(
    name: str, model: ShippedModel, looked: FileQuality, found: _Measured, asked: BudgetRecord | None
) -> VariantCheck:
    measured, (counted, on_limit) = found.latency, found.energy or (None, None)
    host = runtimes.get(model.runtime).host
    latency_ms = measured.latency_ms if measured else None
    interval_ms = measured.interval_ms if measured else None
    seen: Mapping[str, Any] = measured.rounds[-1].conditions if measured else {}
    verdicts = {
        **looked.checks,
        **looked.known.checks,
        "delegate": None if model.precision in host.delegate_lacks else checks.delegation(seen),
        BUDGET: _on_budget(latency_ms, interval_ms, asked, found.session),
        ENERGY: on_limit,
    }
    return VariantCheck(
        name=name,
        file=model.file,
        bytes=model.bytes,
        value=looked.known.value,
        estimate=looked.known.estimate,
        loss=looked.known.loss,
        further=looked.further,
        measured_ms=latency_ms,
        interval_ms=interval_ms,
        predicted_ms=None if asked is None else asked.predicted_ms,
        budget_ms=None if asked is None else asked.budget_ms,
        conditions=seen,
        checks={name: found for name, found in verdicts.items() if found is not None},
        session=found.session,
        energy=counted,
    )


def _on_budget(
    latency_ms: float | None,
    interval_ms: tuple[float, float] | None,
    asked: BudgetRecord | None,
    session: SessionRecord | None,
) -> Verdict | None:
    """The verdict on a budget; a promise that cannot be measured here is NOT PROVEN."""
    if asked is not None and latency_ms is None:
        target = asked.target
        return Verdict(
            NOT_PROVEN,
            (
                f"the budget of {asked.budget_ms:g} ms on {target} cannot be measured: "
                f"{target.device} has no {target.runtime} now: bring it back (`hwnas devices list` shows "
                "what it has), or search for what it has",
            ),
        )
    return verdict.on_budget(latency_ms, interval_ms, None if asked is None else asked.budget_ms, session)


def _write(path: Path, manifest: Manifest) -> None:
    try:
        files.write_json(path, manifest.to_json())
    except OSError as error:
        raise HwnasError(
            f"the result must be written into {path}, but: {error}: give --no-record to only look"
        ) from error
