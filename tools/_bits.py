"""Precisions of layers, for ``bench_adapt.py --bits``: what they cost, and what strategies choose.

A network is taken as it is, and once more with two channels that int8 cannot show beside the others: on
purpose, they are large and cancel out. Costs are judged by whole networks of random precisions, all measured
in one session.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _bench import Rows, say
from torch import nn

from hwnas import bits
from hwnas.bits import rows as measuring
from hwnas.bits.costs import PrecisionRows
from hwnas.bits.prices import Prices
from hwnas.data import Dataset
from hwnas.device import Target
from hwnas.export import for_timing, lower
from hwnas.export.mixed import NetworkLayer, layers_of
from hwnas.latency.base import FloatArray
from hwnas.measure import Measurer, measured
from hwnas.release.keeping import Keeper
from hwnas.tables.table import LatencyTable

RUNTIMES = ("litert", "onnxruntime")
_STATES = ("int8", "fp32")
_BEYOND = (
    300.0  # of what all other channels reach: more than int8 has levels, so that nothing of them is left
)
_CALIBRATION = 256


@dataclass(frozen=True)
class Case:
    """A trained network on a device.

    Attributes:
        name: What it is called.
        network: In eval mode, a row of blocks.
        data: What it was trained on.
        folder: For tables.
        measurer: The device.
        random: Networks of random precisions that costs are judged by.
        seed: Of all randomness.
    """

    name: str
    network: nn.Module
    data: Dataset
    folder: Path
    measurer: Measurer
    random: int
    seed: int

    @property
    def layers(self) -> tuple[NetworkLayer, ...]:
        """Of the network."""
        return layers_of(self.network, self.data.image_shape)

    def rows(self, runtime: str) -> PrecisionRows:
        """Measured, once."""
        device = self.measurer.device
        target = Target(device.name, runtime, "int8")
        options, folder = self.measurer.options, self.folder / device.name
        paths = measuring.measured(device, self.layers, target, folder, options, lambda _: None)
        tables = {target.precision: LatencyTable.load(path) for target, path in paths.items()}
        return PrecisionRows(tables)


def judged(case: Case, kept: Rows) -> dict[str, Any]:
    """All that is asked of a network, by runtime."""
    found: dict[str, Any] = {}
    images = case.data.normalize(case.data.sample("train", _CALIBRATION).images)
    networks = {"hostile": (hostile(case.network, images), 0.5), "own": (case.network, 0.0)}
    for runtime in RUNTIMES:
        say(f"{case.name}: rows of layers and switches on {runtime}")
        table = case.rows(runtime)

        def row(what: str, make: Callable[[], dict[str, Any]], runtime: str = runtime) -> dict[str, Any]:
            return kept.get(f"{case.name} bits {runtime} {what}", make)

        found[runtime] = {"costs": row("costs", partial(_costs, case, table, runtime))}
        for kind, (network, allowed) in networks.items():
            found[runtime][kind] = {
                by: row(f"{kind} {by}", partial(_chosen, case, network, table, runtime, by, allowed))
                for by in bits.NAMES
            }
    return found


@torch.no_grad()
def hostile(network: nn.Module, images: np.ndarray) -> nn.Module:
    """The same with two channels after the second block that int8 cannot show beside all others."""
    made = copy.deepcopy(network).eval()
    features = torch.from_numpy(images)
    for name in ("0", "1"):
        features = made.get_submodule(name)(features)
    norm = [layer for layer in made.get_submodule("1").modules() if isinstance(layer, nn.BatchNorm2d)][-1]
    reader = next(layer for layer in made.get_submodule("2").modules() if isinstance(layer, nn.Conv2d))
    norm.weight[:2] = 0
    norm.bias[:2] = _BEYOND * features.abs().max()
    reader.weight[:, 1] = -reader.weight[:, 0]
    return made


def _chosen(
    case: Case, network: nn.Module, table: PrecisionRows, runtime: str, by: str, allowed: float
) -> dict[str, Any]:
    """What a strategy keeps; nothing but layers heals, so that there is something to choose."""
    data, began = case.data, time.monotonic()
    images = data.normalize(data.sample("train", _CALIBRATION).images)
    keeper = Keeper(
        network, network, data.image_shape, data, images, allowed, remedies=((),), by=by, on_step=say
    )

    def prices(layers: Sequence[NetworkLayer]) -> Prices:
        return Prices(table.states, table.costs(layers), "rows of layers and switches")

    found = keeper.find(runtime, prices).to_json()
    return {**found, "seconds": time.monotonic() - began}


def _costs(case: Case, table: PrecisionRows, runtime: str) -> dict[str, Any]:
    """Mean relative errors up to a common factor, with switches and without."""
    layers, rng = case.layers, np.random.default_rng(case.seed)
    indices = np.array([_random(len(layers), rng) for _ in range(case.random)])
    shape, target = case.data.image_shape, Target(case.measurer.device.name, runtime, "int8")
    images = np.asarray(rng.standard_normal((4, *shape)), np.float32)
    models: dict[str, Path | bytes] = {"int8": for_timing(case.network, shape, runtime, "int8")}
    for number, row in enumerate(indices):
        kept = {layer.name: _STATES[n] for layer, n in zip(layers, row, strict=True) if n}
        models[str(number)] = lower(
            case.network, shape, runtime, "int8", calibration=images, kept=kept, check=False
        ).model
    session = measured(case.measurer.measure(target, models))
    taken = np.array([session[str(number)].latency_ms for number in range(len(indices))])
    of_two = PrecisionRows({state: table.tables[state] for state in _STATES})
    return {
        "networks": len(indices),
        "session": session.quality.word,
        "interval": float(np.median([row.relative_ci for row in session.values()])),
        "mape": _error(of_two.costs(layers).of(indices), taken),
        "mape_without_switches": _error(of_two.costs(layers, with_switches=False).of(indices), taken),
    }


def _error(predicted: FloatArray, taken: FloatArray) -> float:
    factor = np.exp(np.log(taken / predicted).mean())
    return float(np.abs(factor * predicted / taken - 1).mean())


def _random(count: int, rng: np.random.Generator) -> list[int]:
    """Single layers in fp32, or runs of them."""
    if rng.random() < 0.5:
        return (rng.random(count) < rng.uniform(0.05, 0.9)).astype(int).tolist()
    row = np.zeros(count, int)
    for _ in range(int(rng.integers(1, 4))):
        start = int(rng.integers(count))
        row[start : start + int(rng.integers(1, 8))] = 1
    return row.tolist()
