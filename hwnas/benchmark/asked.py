"""What a benchmark is asked for."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hwnas import runtimes
from hwnas.annotations import require_fields
from hwnas.device import Device
from hwnas.errors import HwnasError
from hwnas.runtimes import PRECISIONS

NETWORK_PRECISIONS = ("fp32", "int8")
"""That known networks are made in unless others are asked for."""

_LEAST_REPEAT_S = 10.0
_TIME = re.compile(r"(?P<count>[0-9]+(?:\.[0-9]+)?)\s*(?P<unit>s|min|h)?")
_SECONDS = {None: 1, "s": 1, "min": 60, "h": 3600}
_SHAPE = re.compile(r"(?P<name>.+)=(?P<sizes>[0-9]+(?:x[0-9]+)*)")


@dataclass(frozen=True)
class Asked:
    """What is measured, where, and what is said of it.

    Attributes:
        files: Model files, each once.
        devices: Where.
        runtimes: With what; all that a device has by default.
        threads: Of the runtime, one session each; those of the device by default.
        shapes: Of inputs that leave dimensions open, by their names.
        inputs: An ``.npz`` file with an array for each input; random values by default.
        compare: Whether differences are told.
        per_op: Whether each operation is timed as well.
        budget_ms: The most that each model may take, everywhere.
        networks: Names of known networks, which are made with random weights in every format.
        precisions: To compute in, where a runtime can; by default each file's own, and ``NETWORK_PRECISIONS``
            of known networks.
        repeat_s: How long each model runs without a pause as well, after it was measured; None: not at all.
    """

    files: Sequence[Path]
    devices: Sequence[Device]
    runtimes: Sequence[str] = ()
    threads: Sequence[int] = ()
    shapes: Mapping[str, Sequence[int]] = field(default_factory=dict)
    inputs: Path | None = None
    compare: bool = False
    per_op: bool = False
    budget_ms: float | None = None
    networks: Sequence[str] = ()
    precisions: Sequence[str] = ()
    repeat_s: float | None = None

    def __post_init__(self) -> None:
        require_fields(self, HwnasError)
        _require(
            bool([*self.files, *self.networks]) and bool(self.devices),
            "a benchmark must have files and devices, but lacks them",
        )
        for what, values in (
            ("files must be named once", [_whole(path) for path in self.files]),
            ("networks must be named once", self.networks),
            ("devices must be named once", [device.name for device in self.devices]),
            ("runtimes must be named once", self.runtimes),
            ("threads must be named once", self.threads),
            ("precisions must be named once", self.precisions),
        ):
            twice = sorted({value for value in values if list(values).count(value) > 1}, key=str)
            _require(not twice, f"{what}, but {', '.join(map(str, twice))} is there twice: leave one out")
        for name in self.runtimes:
            runtimes.get(name)
            _require(
                any(device.runs(name) for device in self.devices),
                f"runtimes must be there on one of the devices, but {name} is not: "
                + "; ".join(f"{device.name} has {', '.join(device.all_runtimes)}" for device in self.devices),
            )
        _require(
            all(count >= 1 for count in self.threads), f"threads must be at least 1, but got {self.threads}"
        )
        self._require_precisions()
        for name, shape in self.shapes.items():
            said = "x".join(map(str, shape))
            _require(
                bool(shape) and all(size >= 1 for size in shape),
                f"a shape must have sizes of at least 1, but that of {name} is {said or 'empty'}",
            )
        repeat_s = self.repeat_s
        _require(
            repeat_s is None or (math.isfinite(repeat_s) and repeat_s >= _LEAST_REPEAT_S),
            f"a model must run for at least {_LEAST_REPEAT_S:g} s to show how it lasts, but got {repeat_s}",
        )
        budget = self.budget_ms
        _require(
            budget is None or (math.isfinite(budget) and budget > 0),
            f"a budget must be finite and over 0 ms, but got {budget}",
        )

    def _require_precisions(self) -> None:
        """Refuse precisions that nothing can be measured in, whatever the files are."""
        said = ", ".join(self.precisions)
        _require(
            set(self.precisions) <= set(PRECISIONS),
            f"precisions must be of {', '.join(PRECISIONS)}, but got {said}",
        )
        able = {
            f"{device.name}/{name}": runtimes.RUNTIMES[name].precisions_on(device.processor)
            for device in self.devices
            for name in self.runtimes or device.all_runtimes
            if device.runs(name) and name in runtimes.RUNTIMES
        }
        _require(
            not self.precisions or any(set(self.precisions) & set(names) for names in able.values()),
            f"a runtime must compute in one of the precisions, but none does in {said}: "
            + "; ".join(f"{where} has {', '.join(names)}" for where, names in able.items()),
        )

    @property
    def names(self) -> tuple[str, ...]:
        """What each file is called: with as many of its folders as tell it from the others."""
        return _told_apart([_whole(path) for path in self.files])


def _whole(path: Path) -> Path:
    """A path from the root on; links stay, as they are what was typed."""
    return Path(os.path.normpath(path.absolute()))


def _told_apart(paths: Sequence[Path]) -> tuple[str, ...]:
    """The shortest end of each path that no other one has."""

    def ends(path: Path, count: int) -> tuple[str, ...]:
        return path.parts[-count:]

    found = []
    for path in paths:
        others = [other for other in paths if other != path]
        count = 1
        while any(ends(other, count) == ends(path, count) for other in others):
            count += 1
        found.append("/".join(ends(path, count)))
    return tuple(found)


def shape_of(text: str) -> tuple[str, tuple[int, ...]]:
    """The input and the shape of a text such as ``image=1x3x224x224``.

    Raises:
        HwnasError: It is of another form.
    """
    found = _SHAPE.fullmatch(text.strip())
    if found is None:
        raise HwnasError(f"a shape must be written NAME=1x3x224x224, but got {text!r}")
    return found["name"], tuple(int(size) for size in found["sizes"].split("x"))


def seconds_of(text: str) -> float:
    """The seconds of a text such as ``10min``, ``90s`` or ``90``.

    Raises:
        HwnasError: It is of another form.
    """
    found = _TIME.fullmatch(text.strip())
    if found is None:
        raise HwnasError(f"a time must be written 90s, 10min or 1h, but got {text!r}")
    return float(found["count"]) * _SECONDS[found["unit"]]


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise HwnasError(message)
