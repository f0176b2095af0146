"""What a search may want little of beside latency: MACs, parameters, bytes of the model, energy.

Each is a sum over the blocks of a network, as predicted latency is. So it serves in two ways:
as an objective, which the Pareto front and multi-objective strategies look at, and as the costs
of a ``Constraint``, which every strategy keeps.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from hwnas.errors import LatencyModelError, SpaceError
from hwnas.latency.base import Cost, LatencyModel
from hwnas.space import Architecture, SearchSpace, Workload
from hwnas.tables import places

WEIGHT_BYTES = {"fp32": 4, "tf32": 4, "fp16": 2, "bf16": 2, "int8": 1, "16x8": 1}
"""Bytes that one weight takes where a model of a precision runs; files of fp16 and bf16 are those of fp32."""

_CHANNEL_BYTES = {"fp32": 4, "tf32": 4, "fp16": 2, "bf16": 2, "int8": 28, "16x8": 32}
"""Bytes of an output channel: its bias (64 bits in 16x8), and in whole numbers scale (4) and zero point (8)
of both the weights and the bias as well."""


@dataclass(frozen=True)
class Objective:
    """Something to have little of.

    Attributes:
        name: What it is called.
        costs: What stem and head, and each candidate, add to it.
    """

    name: str
    costs: Cost


def objective(
    name: str, space: SearchSpace, precision: str = "fp32", energy: LatencyModel | None = None
) -> Objective:
    """The objective of a name in a space.

    Args:
        name: "macs", "params" or "bytes": multiply-adds, trainable parameters, and what the
            weights take in an exported model (the file has a few kB of structure around them); or
            "energy_mj".
        space: The space.
        precision: What the model computes in, for "bytes".
        energy: Predicts millijoules, for "energy_mj"; see ``energy_model``.

    Raises:
        SpaceError: The name or the precision is unknown.
        LatencyModelError: There is no model of energy where one is needed.
    """
    require_objective(name)
    if precision not in WEIGHT_BYTES:
        raise SpaceError(f"a precision must be one of {sorted(WEIGHT_BYTES)}, but got {precision!r}")
    if name != ENERGY:
        unit, cost = OBJECTIVES[name]
        fixed, tables = space.summed(lambda workload: cost(workload, precision))
        return Objective(name, Cost(float(fixed), tables, unit))
    if energy is None:
        raise LatencyModelError(f"{ENERGY} must be known of a target, but no model of it was given")
    return Objective(ENERGY, replace(energy.costs(space), unit="mJ"))


def energy_model(models: Sequence[LatencyModel], space: SearchSpace) -> LatencyModel:
    """The model of energy of a search: that which came with one of its latency models.

    Args:
        models: Of the search.
        space: What it is for.

    Raises:
        LatencyModelError: None has one, or several have.
    """
    found: list[LatencyModel] = [m for model in models if (m := getattr(model, "energy", None)) is not None]
    if len(found) == 1:
        return found[0]
    names = ", ".join(str(model.target) for model in (found or models))
    if found:
        raise LatencyModelError(f"{ENERGY} must be of one target, but is known of {names}: search for one")
    command = places.profile_command(models[0].target, space.typed_name, energy=True)
    raise LatencyModelError(
        f"{ENERGY} must have been measured on a target of the search, but what is known of {names} holds no "
        f"energy of {space.name}: {command} counts "
        "it where the device has a counter (a latency model that is given as a file is then fitted again)"
    )


def require_objective(name: str) -> None:
    """Raise SpaceError where there is no objective of this name."""
    if name not in NAMES:
        raise SpaceError(f"an objective must be one of {sorted(NAMES)}, but got {name!r}")


def limit(text: str) -> tuple[str, float]:
    """The name and the number of a limit as it is typed: ``bytes=4e6``.

    Raises:
        SpaceError: It is not of this form, or there is no objective of this name.
    """
    name, _, number = text.partition("=")
    try:
        value = float(number)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise SpaceError(f"a limit must be a name and a number over 0 as bytes=4e6, but got {text!r}")
    require_objective(name.strip())
    return name.strip(), value


def sizes(architecture: Architecture, precision: str) -> dict[str, float]:
    """Every size of one architecture, by name; bytes in a precision."""
    return {
        name: float(sum(cost(workload, precision) for workload in architecture.workloads))
        for name, (_, cost) in OBJECTIVES.items()
    }


def _stored(workload: Workload, precision: str) -> int:
    """Bytes of a block's weights once its batch norms are folded into its convolutions."""
    weight, channel = WEIGHT_BYTES[precision], _CHANNEL_BYTES[precision]
    return sum(op.weights * weight + op.biases * channel for op in workload.ops)


OBJECTIVES: dict[str, tuple[str, Callable[[Workload, str], int]]] = {
    "macs": ("MACs", lambda workload, _: workload.macs),
    "params": ("parameters", lambda workload, _: workload.block.params()),
    "bytes": ("bytes", _stored),
}
"""Unit, and what a block counts in a precision."""

ENERGY = "energy_mj"
"""Energy of an inference, as measured on the one target whose table holds it."""

NAMES = (*OBJECTIVES, ENERGY)
