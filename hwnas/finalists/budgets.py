"""Budgets for devices, as people write them: ``pixel=20``, ``host=60%``, ``host/litert-int8=8``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hwnas import device as devices
from hwnas import latency
from hwnas.device import PRECISIONS, Target
from hwnas.errors import DeviceError
from hwnas.latency import Source
from hwnas.runs.folder import RunFolder
from hwnas.space import SearchSpace

_FORM = re.compile(
    r"(?P<device>[^=/\s]+)(/(?P<runtime>[^=/\s-]+)-(?P<precision>[^=/\s-]+))?=(?P<budget>[^=]+)"
)


@dataclass(frozen=True)
class Ask:
    """A budget on a target.

    Attributes:
        target: What it is for.
        budget: Milliseconds, or a share of the range as "60%".
    """

    target: Target
    budget: str

    def __str__(self) -> str:
        """As it is typed, with everything that need not be."""
        return f"{self.target.device}/{self.target.runtime}-{self.target.precision}={self.budget}"


def parse(
    texts: Sequence[str], runtimes: Sequence[str] = (), precisions: Sequence[str] = ()
) -> tuple[Ask, ...]:
    """The budgets of texts ``DEVICE=BUDGET`` or ``DEVICE/RUNTIME-PRECISION=BUDGET``.

    Args:
        texts: One or more.
        runtimes: Where the text names none; the device's preferred one if there are none.
        precisions: The same; int8 if there are none.

    Raises:
        DeviceError: A text is of another form, a device or runtime is unknown, or a target is
            named twice.
    """
    asks: dict[Target, Ask] = {}
    for text in texts:
        matched = _FORM.fullmatch(text.strip())
        if not matched:
            raise DeviceError(
                "a budget for a device must be written NAME=BUDGET or NAME/RUNTIME-PRECISION=BUDGET "
                f"(pixel=20, host=60%, host/litert-int8=8), but got {text!r}"
            )
        described = devices.load(matched["device"])
        own = (matched["runtime"],) if matched["runtime"] else tuple(runtimes) or described.runtimes[:1]
        kinds = (matched["precision"],) if matched["precision"] else tuple(precisions) or PRECISIONS[1:]
        for target in (described.target(runtime, kind) for runtime in own for kind in kinds):
            if target in asks:
                raise DeviceError(f"a target must have one budget, but {target} has two")
            asks[target] = Ask(target, matched["budget"].strip())
    return tuple(asks.values())


def sources(asks: Sequence[Ask], space: SearchSpace, tables: Path | None) -> list[Source]:
    """The latency table of each; raises TableError where there is none."""
    return [latency.find_table(ask.target, space, tables) for ask in asks]


def fit(found: Sequence[Source], run: Path) -> tuple[Path, ...]:
    """Fit a latency model to each table, into the run's own folder; done once."""
    folder = RunFolder(run)
    return tuple(latency.fitted(source, folder.latency_model(source.table.target)) for source in found)
