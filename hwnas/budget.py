"""Budgets: at most so much on a target, as people write them: ``pixel=20``, ``host/litert-int8=60%``.

Threads other than the device's own follow the precision: ``host/litert-int8-t2=60%``. In the place of a
runtime, ``auto`` is the fastest that is there, found by measuring: ``host/auto-int8=60%``, or shorter
``host=auto:60%``. ``host=auto`` alone limits nothing else: that is the whole range, 100 %.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from hwnas import device as devices
from hwnas.device import AUTO, AutoTarget, Device, Target
from hwnas.errors import DeviceError, LatencyModelError

_FORM = re.compile(
    r"(?P<device>[^=/\s]+)"
    r"(/(?P<runtime>[^=/\s-]+)-(?P<precision>[^=/\s-]+)(-t(?P<threads>\d+))?)?=(?P<budget>[^=]+)"
)
_AMOUNT = re.compile(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*(%|ms)?\s*")
_SHARE = "%"
_AUTO = re.compile(rf"{AUTO}(\s*:(?P<budget>.+))?")
_WHOLE_RANGE = "100%"


@dataclass(frozen=True)
class Budget:
    """At most so much on a target.

    A share of the range becomes milliseconds as soon as that range is known: see ``within``.

    Attributes:
        target: What it is on: a target, one whose runtime is yet to be chosen, or the name of what else is
            limited, as "bytes"; empty for any target.
        limit: What must not be exceeded.
        unit: What that counts: "ms"; "%" of the range from the fastest network (0) to the slowest; or what
            else costs are in, as "MACs".
        margin: Kept free below the limit, for what a prediction may be wrong by.
        asked: As it was typed, if it was.
    """

    target: Target | AutoTarget | str
    limit: float
    unit: str = "ms"
    margin: float = 0.0
    asked: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        given: object = self.limit
        if not isinstance(given, int | float | np.number) or math.isnan(given):
            raise LatencyModelError(
                f"the limit of a budget must be a number, but got {self.limit!r}: give text to Budget.read"
            )

    @classmethod
    def read(cls, text: str, target: Target | AutoTarget | str = "") -> Budget:
        """The budget of a text: milliseconds, or a share of the range as "60%".

        Raises:
            LatencyModelError: It is neither.
        """
        matched = _AMOUNT.fullmatch(text)
        if not matched:
            raise LatencyModelError(f'a budget must be milliseconds or a share as "60%", but got {text!r}')
        limit, unit = float(matched[1]), matched[2] or "ms"
        if not math.isfinite(limit) or (unit != _SHARE and limit == 0):
            raise LatencyModelError(f"a budget must be finite and over 0 ms, but got {text!r}")
        return cls(target, limit, unit, asked=text)

    @property
    def name(self) -> str:
        """What it is on, for people and in files."""
        return str(self.target)

    @property
    def text(self) -> str:
        """The limit as it was typed, or would be."""
        if self.asked:
            return self.asked
        return np.format_float_positional(self.limit, trim="-") + (_SHARE if self.unit == _SHARE else "")

    @property
    def is_share(self) -> bool:
        """Whether it was asked for as a share of the range."""
        return is_share(self.text)

    @property
    def usable(self) -> float:
        """What a prediction must not exceed: the limit without the margin."""
        return self.limit - self.margin

    def within(self, low_ms: float, high_ms: float) -> Budget:
        """The same in milliseconds, where latencies range from the fastest to the slowest as given."""
        if self.unit != _SHARE:
            return self
        limit_ms = low_ms + self.limit / 100 * (high_ms - low_ms)
        return replace(self, limit=limit_ms, unit="ms", asked=self.text)

    @property
    def with_threads(self) -> str:
        """As it is typed for a search where the threads are not the device's own."""
        target = self.target
        if isinstance(target, Target):
            kind = f"{target.runtime}-{target.precision}-t{target.threads}"
            return f"{target.device}/{kind}={self.text}"
        return str(self)

    def __str__(self) -> str:
        """As it is typed for a search, with everything that need not be; on the device's own threads."""
        target = self.target
        if isinstance(target, Target):
            return f"{target.device}/{target.runtime}-{target.precision}={self.text}"
        return f"{target}={self.text}" if target else self.text


def is_share(text: str) -> bool:
    """Whether a budget is typed as a share of the range."""
    return text.strip().endswith(_SHARE)


def parse(
    texts: Sequence[str], runtimes: Sequence[str] = (), precisions: Sequence[str] = ()
) -> tuple[Budget, ...]:
    """The budgets of texts ``DEVICE=BUDGET`` or ``DEVICE/RUNTIME-PRECISION=BUDGET``, each on a target.

    Args:
        texts: One or more.
        runtimes: Where the text names none; the device's preferred one if there are none. With "auto", those
            to choose from.
        precisions: The same; int8 if there are none.

    Raises:
        DeviceError: A text is of another form, a device or runtime is unknown, or a target is
            named twice.
        LatencyModelError: What is asked for is neither milliseconds nor a share.
    """
    found: dict[Target | AutoTarget, Budget] = {}
    for text in texts:
        matched = _FORM.fullmatch(text.strip())
        if not matched:
            raise DeviceError(
                "a budget for a device must be written NAME=BUDGET or NAME/RUNTIME-PRECISION=BUDGET "
                f"(pixel=20, host=60%, host/litert-int8=8), but got {text!r}"
            )
        described, asked = devices.load(matched["device"]), matched["budget"].strip()
        kinds = (matched["precision"],) if matched["precision"] else tuple(precisions) or ("int8",)
        own = (matched["runtime"],) if matched["runtime"] else tuple(runtimes)
        if (auto := _AUTO.fullmatch(asked)) and not matched["runtime"]:
            asked, own = (auto["budget"] or _WHOLE_RANGE).strip(), (AUTO, *own)
        threads = int(matched["threads"]) if matched["threads"] else None
        for target in targets(described, own, kinds, threads):
            if target in found:
                raise DeviceError(f"a target must have one budget, but {target} has two")
            found[target] = Budget.read(asked, target)
    return tuple(found.values())


def targets(
    device: Device, names: Sequence[str], precisions: Sequence[str], threads: int | None = None
) -> list[Target | AutoTarget]:
    """One for each runtime and precision, runtime by runtime.

    Args:
        device: What they are of.
        names: Of runtimes; the preferred one if there are none. After ``AUTO``, those to choose from.
        precisions: One or more.
        threads: Of the runtime; the device's own by default.

    Raises:
        DeviceError: A runtime cannot run on the device.
    """
    if names and names[0] == AUTO:
        return [device.auto(kind, among=names[1:], threads=threads) for kind in precisions]
    own = names or device.runtimes[:1]
    return [device.target(name, kind, threads=threads) for name in own for kind in precisions]
