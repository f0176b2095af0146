"""A new device from a few whole networks: chosen to tell the most, measured, and fitted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwnas import latency
from hwnas.device import Device, Target
from hwnas.errors import LatencyModelError
from hwnas.latency.fitted import FittedModel
from hwnas.measure import plan
from hwnas.measure.options import OnProgress, ProfileOptions, silent
from hwnas.measure.profiling import profile
from hwnas.measure.store import missing_rounds, to_go_on
from hwnas.runs import outputs
from hwnas.space import Architecture, SearchSpace
from hwnas.tables import places
from hwnas.tables.table import LatencyTable


@dataclass(frozen=True)
class NewDeviceModel:
    """What a few networks taught.

    Attributes:
        table: Where the measurements are.
        path: Where the model is.
        model: Its own errors, each network predicted from the others, stand in its evaluation.
        known: Names of the known devices that it could start from.
        missing: Rounds that were left when the time was up.
        to_go_on: What to do about them.
    """

    table: Path
    path: Path
    model: FittedModel
    known: tuple[str, ...]
    missing: int = 0
    to_go_on: str = ""

    @property
    def errors(self) -> dict[str, Mapping[str, float | None]]:
        """The model's errors by split, without the single networks."""
        return {split: found.summary for split, found in self.model.evaluation.items()}

    def to_json(self) -> dict[str, Any]:
        """A JSON object for a machine."""
        return {
            "target": self.model.target.to_json(),
            "table": str(self.table),
            "model": str(self.path),
            "known": list(self.known),
            "notes": list(self.model.notes),
            "missing": self.missing,
            "evaluation": self.errors,
        }


def profile_few(
    device: Device,
    space: SearchSpace,
    target: Target,
    count: int,
    out: Path | None = None,
    options: ProfileOptions | None = None,
    progress: OnProgress = silent,
) -> NewDeviceModel:
    """Measure the few networks of a space that tell the most of a device, and fit a model to them.

    The model starts from physics and from the tables of other devices that cover the space, the
    user's own and the shipped ones. The same seed and the same known devices choose the same
    networks, so that a run that was cut off goes on.

    Args:
        device: Where to measure.
        space: What the model is for.
        target: Runtime and precision on that device.
        count: How many networks.
        out: Folder of the table and the model; the user's data folder where it is not given.
        options: How well to measure.
        progress: Called often.

    Raises:
        LatencyModelError: The space does not have so many networks, or the time was up before each
            was measured.
        DeviceError: The device cannot be used, or no network could be measured on it.
    """
    options = options or ProfileOptions()
    folder = places.of_device(device.name) if out is None else out
    path = places.few_model(folder, target, space.name)
    outputs.require_file(path, "a latency model")
    known = latency.known_devices(space, target)
    chosen = latency.choose_networks(space, count, known=known, seed=options.seed)
    table = profile(device, space, [target], folder, options, progress, only=chosen)[target]
    measured = LatencyTable.load(table)
    missing = missing_rounds(measured)
    if missing and options.max_minutes is not None:
        _require_all(measured, chosen, options.max_minutes)
    model = latency.fit(measured, space, "transfer", known=known)
    latency.save(model, path)
    return NewDeviceModel(table, path, model, tuple(known), missing, to_go_on(measured) if missing else "")


def _require_all(table: LatencyTable, chosen: Sequence[Architecture], minutes: float) -> None:
    """Raise LatencyModelError where time ran out before each network was measured once."""
    tried = {item.key for item in table.rounds}
    done = sum(item.key in tried for item in plan.network_items(chosen))
    if done < len(chosen):
        raise LatencyModelError(
            f"all {len(chosen)} networks must be measured for a model of the device, but the time "
            f"(max_minutes {minutes:g}) ran out after {done}: what was measured is kept: {to_go_on(table)}"
        )
