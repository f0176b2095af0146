"""Energies of a gallery's networks, where the search had a limit on energy or wanted little of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np

from hwnas import latency
from hwnas.latency import Prediction
from hwnas.runs.finalists import ChosenEnergy
from hwnas.runs.folder import RunFolder
from hwnas.runs.found import SearchRecord
from hwnas.runs.gallery import GalleryRecord
from hwnas.search.objective import ENERGY, energy_model
from hwnas.space import SearchSpace


@dataclass(frozen=True)
class GalleryEnergy:
    """What is known of the energy of each entry of a gallery.

    Attributes:
        name: Of the target that it is of.
        limit_mj: That the search had; None where energy was only to be small.
        predicted: Of each entry, in mJ.
        measured: By number of an entry, what the search measured: as ``finalists.reading`` writes it.
    """

    name: str
    limit_mj: float | None
    predicted: Prediction
    measured: Mapping[int, Mapping[str, Any]]

    def needs_mj(self, number: int, confidence: float) -> float:
        """The smallest limit that an entry keeps."""
        found = self.measured.get(number)
        if found is not None and found["carried"]:
            return float(found["high_mj"])
        quantile = NormalDist().inv_cdf(confidence)
        return float(self.predicted.mean_ms[number] + quantile * self.predicted.std_ms[number])

    def keeps(self, number: int, confidence: float) -> bool:
        """Whether an entry keeps the limit, if there is one."""
        return self.limit_mj is None or self.needs_mj(number, confidence) <= self.limit_mj

    def of(self, number: int) -> ChosenEnergy:
        """What is known of an entry."""
        found = self.measured.get(number)
        return ChosenEnergy.known(
            self.name,
            self.limit_mj,
            float(self.predicted.mean_ms[number]),
            float(self.predicted.std_ms[number]),
            None if found is None else float(found["mj"]),
            (found["low_mj"], found["high_mj"]) if found and found["carried"] else None,
        )


def gallery_energy(
    run: Path, record: SearchRecord, gallery: GalleryRecord, space: SearchSpace
) -> GalleryEnergy | None:
    """Energies of a gallery; None where the search did not ask for energy.

    Raises:
        LatencyModelError: The latency models of the run are gone, or know nothing of energy.
    """
    if ENERGY not in (*record.objectives, *record.limits):
        return None
    paths = {item.target: RunFolder(run).latency_model(item.target) for item in record.budgets}
    model = energy_model([latency.load(path, space.name, to) for to, path in paths.items()], space)
    number = [item.target for item in record.budgets].index(model.target)
    entries = record.finalists.entries if record.finalists else ()
    told = {tuple(entry["indices"]): entry["measured"][number] for entry in entries}
    known = {indices: found["energy"] for indices, found in told.items() if found and found.get("energy")}
    indices = [tuple(entry.indices) for entry in gallery.entries]
    return GalleryEnergy(
        str(model.target),
        record.limits.get(ENERGY),
        model.predict(space, np.array(indices)),
        {at: known[key] for at, key in enumerate(indices) if key in known},
    )
