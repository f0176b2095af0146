"""What networks take on a target: each is lowered as it would ship, and all are measured in one session."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from hwnas.device import Target
from hwnas.export import for_timing
from hwnas.measure import Measurer, measured
from hwnas.space import Shape


@dataclass(frozen=True)
class Latency:
    """What was measured.

    Attributes:
        ms: Of one image.
        interval_ms: 95 % interval; None where the rounds carry none.
        word: Whether the session can be believed: "stable", "noisy" or "unusable".
    """

    ms: float
    interval_ms: tuple[float, float] | None
    word: str

    @property
    def at_most_ms(self) -> float:
        """The upper end of what it may be."""
        return self.ms if self.interval_ms is None else self.interval_ms[1]


def latencies(
    measurer: Measurer, target: Target, networks: Mapping[str, nn.Module], shape: Shape
) -> dict[str, Latency]:
    """Latencies of networks by name, interleaved with each other.

    Args:
        measurer: The device, ready.
        target: What they are to run on.
        networks: With any weights.
        shape: Of one image.

    Raises:
        DeviceError: The device failed, or a network does not run there.
        ExportError: A network cannot be lowered.
    """
    return of_models(
        measurer, target, {name: lowered(network, shape, target) for name, network in networks.items()}
    )


def lowered(network: nn.Module, shape: Shape, target: Target) -> bytes:
    """A model file of a network with any weights, to be timed on a target."""
    return for_timing(network.eval(), shape, target.runtime, target.file_precision)


def of_models(measurer: Measurer, target: Target, models: Mapping[str, Path | bytes]) -> dict[str, Latency]:
    """The same of model files."""
    session = measured(measurer.measure(target, models))
    return {
        name: Latency(row.latency_ms, row.interval_ms, session.quality.word) for name, row in session.items()
    }
