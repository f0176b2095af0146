"""What a verification would measure; nothing is measured or written for it."""

from __future__ import annotations

from hwnas.device import Device
from hwnas.measure import ProfileOptions
from hwnas.measure.foresight import ForeseenModels, of_models
from hwnas.verify.folder import CheckedFolder
from hwnas.verify.verifying import targets_of


def foreseen(
    checked: CheckedFolder, device: Device, options: ProfileOptions | None = None
) -> list[ForeseenModels]:
    """What ``verify`` would measure of a folder on a device: a session a file and budget.

    Args:
        checked: The folder, which was read and whose files are whole.
        device: Where to measure.
        options: How well to measure.
    """
    options = options or ProfileOptions()
    return [
        of_models(target, [model.file], options)
        for model in checked.manifest.models
        for _, target, _ in targets_of(model, device, checked.manifest.budgets)
        if target is not None and device.runs(target.runtime)
    ]
