"""What of a folder cannot be verified on a device, or was not: missing models, runtimes, images, devices."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

from hwnas import release, runtimes
from hwnas.device import Device
from hwnas.release import Manifest
from hwnas.verify.folder import CheckedFolder
from hwnas.verify.quality import Earlier

if TYPE_CHECKING:
    from hwnas.data import Dataset, Split


def missing(manifest: Manifest, device: Device) -> Iterator[str]:
    """Promised on the device, and not in the folder: nothing can prove it."""
    for budget in manifest.budgets:
        target = budget.target
        is_there = any(release.is_for(target, model) for model in manifest.models)
        if target.device == device.name and not is_there and target.runtime in runtimes.RUNTIMES:
            yield (
                f"a shipping folder must have a model for each budget, but the one for {target} "
                f"({budget.budget_ms:g} ms) is missing: export again"
            )


def beyond(manifest: Manifest, device: Device) -> Iterator[str]:
    """Promised on the device for a runtime that hwnas cannot measure: nothing here can prove it."""
    for budget in manifest.budgets:
        target = budget.target
        if target.device == device.name and target.runtime not in runtimes.RUNTIMES:
            yield (
                f"the budget of {budget.budget_ms:g} ms on {target} cannot be measured: hwnas has no "
                f"agent for {target.runtime}: measure what ships there by other means"
            )


def left_out(
    checked: CheckedFolder,
    device: Device,
    devices: Collection[str],
    dataset: Dataset | None,
    further: tuple[str, Split] | None,
) -> list[str]:
    """What a verification on a device says nothing of, and why.

    Args:
        checked: The folder.
        device: Where it is verified.
        devices: Names of all that it is verified on now.
        dataset: The network's own images; None where they are not looked at.
        further: Name and images of another test set, if there is one.
    """
    manifest, metric, notes = checked.manifest, checked.task.metric, []
    if dataset is None:
        when = Earlier(manifest).when
        notes.append(
            f"the test images were not looked at: no {metric.name} was checked"
            if when is None
            else f"the test images were not looked at: values of {metric.name} are those verified before "
            f"({when})"
        )
    if further is not None:
        notes.append(
            f"{further[0]} ({len(further[1])} images) is a further test set: its {metric.name} says "
            "something only if none of its images were trained on"
        )
    runtimes_left = sorted({m.runtime for m in manifest.models if not device.runs(m.runtime)})
    if runtimes_left:
        notes.append(f"{device.name} does not have {', '.join(runtimes_left)}: not measured there")
    budgets = [budget.target.device for budget in manifest.budgets]
    if device.name not in budgets:
        notes.append(
            f"no budget was asked for on {device.name}: latencies are only reported, without a verdict"
        )
    targets = [budget.target for budget in manifest.budgets if budget.target.device == device.name]
    otherwise = sorted(str(target) for target in targets if target.precision != target.file_precision)
    if otherwise:
        notes.append(
            f"{metric.name} was not looked at in the precision of {', '.join(otherwise)}: it is the file's, "
            "and outputs there are compared with fp32 on one random input"
        )
    known = {found.device for found in manifest.verifications}
    elsewhere = sorted(set(budgets) - {device.name, *devices, *known})
    if elsewhere:
        notes.append(f"the budgets on {', '.join(elsewhere)} were not looked at: verify them there")
    return notes
