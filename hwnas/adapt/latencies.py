"""What networks take on a target: each is lowered as it would ship, and all are measured in one session.

Sessions are kept until the end of a climb: one that is cut off measures nothing twice when it goes on.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from torch import nn

from hwnas import files
from hwnas.device import Device, Target
from hwnas.errors import HwnasError
from hwnas.export import for_timing
from hwnas.measure import Measurer, ProfileOptions, in_rounds, measured
from hwnas.runs.parts import interval_of
from hwnas.space import Shape
from hwnas.tables.operations import IDENTITY


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

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Latency:
        """Rebuild what ``asdict`` made."""
        return cls(float(data["ms"]), interval_of(data, "interval_ms"), str(data["word"]))


class Stopwatch(Measurer):
    """A device that is ready to measure models, and remembers what they took.

    A budget that is a share of what was measured stays the same budget.

    Args:
        device: Where to measure.
        options: How well to measure.
        folder: Of the sessions, a file each, made with the first one; None to keep none.
        tell: Told how far a session is.
    """

    def __init__(
        self,
        device: Device,
        options: ProfileOptions | None = None,
        folder: Path | None = None,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        super().__init__(device, options)
        self._kept, self._tell = folder, tell

    def latencies(self, target: Target, models: Mapping[str, Path | bytes]) -> dict[str, Latency]:
        """Latencies of models by name, interleaved with each other; read where such a session is kept.

        Raises:
            DeviceError: The device failed, or a model does not run there.
        """
        path = None if self._kept is None else self._kept / f"{self._name(target, models)}.json"
        if path is not None:
            with suppress(HwnasError, KeyError, TypeError, ValueError):  # not there, or damaged
                kept = files.read_json(path, "a session")
                return {name: Latency.from_json(kept[name]) for name in models}
        progress = in_rounds(self._tell, f"measuring {len(models)} networks on {target}")
        session = measured(self.measure(target, models, progress=progress))
        found = {
            name: Latency(row.latency_ms, row.interval_ms, session.quality.word)
            for name, row in session.items()
        }
        if path is not None:
            files.write_json(path, {name: asdict(latency) for name, latency in found.items()})
        return found

    def _name(self, target: Target, models: Mapping[str, Path | bytes]) -> str:
        """What a session is recognised by: the models, how well they are measured, and on what."""
        known = self.environment(target)
        digests = {
            name: files.sha256(model) if isinstance(model, Path) else sha256(model).hexdigest()
            for name, model in models.items()
        }
        where = {name: known.get(name) for name in IDENTITY}
        identity = [target.to_json(), where, asdict(self.options), digests]
        return sha256(json.dumps(identity, sort_keys=True, default=str).encode()).hexdigest()[:16]


def latencies(
    measurer: Stopwatch, target: Target, networks: Mapping[str, nn.Module], shape: Shape
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
    return measurer.latencies(
        target, {name: lowered(network, shape, target) for name, network in networks.items()}
    )


def lowered(network: nn.Module, shape: Shape, target: Target) -> bytes:
    """A model file of a network with any weights, to be timed on a target."""
    return for_timing(network.eval(), shape, target.runtime, target.file_precision)
