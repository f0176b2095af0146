"""What a long run took of a phone's battery, by its gauge at both ends; refused where that cannot tell."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from hwnas.errors import UnstableMeasurement
from hwnas.measure.alone import WithoutPause

_LEAST_S = 300.0
"""Gauges follow some ten seconds behind: of five minutes, that is a few percent."""

_LEAST_STEPS = 50  # of the gauge: as for any energy counter, see ``hwnas.measure.energy``
_MJ = 3.6e-3  # one microampere-hour at one millivolt


def energy_mj(run: WithoutPause) -> float | None:
    """Millijoules per inference, of the whole phone with its screen off; None of what has no battery.

    Raises:
        UnstableMeasurement: The phone charges, its screen is on, or its gauge does not tell or is too coarse.
    """
    before, after = (_phone(ends) for ends in (run.before, run.after))
    if not before and not after:
        return None
    _require_alone(before, after)
    charges: list[Any] = [item.get("charge_uah") for item in (before, after)]
    volts: list[Any] = [item.get("voltage_mv") for item in (before, after)]
    if None in (*charges, *volts):
        raise UnstableMeasurement(
            "a phone must tell charge and voltage of its battery before and after, but its `dumpsys battery` "
            "does not"
        )
    used_uah, resolution_uah = charges[0] - charges[1], max(1, math.gcd(*charges))
    if run.seconds < _LEAST_S or used_uah < _LEAST_STEPS * resolution_uah:
        raise UnstableMeasurement(
            f"a battery's gauge must fall by {_LEAST_STEPS} steps in {_LEAST_S:.0f} s or more to tell an "
            f"energy, but fell by {used_uah} uAh in {run.seconds:.0f} s (its steps may be "
            f"{resolution_uah} uAh): --repeat-over more seconds"
        )
    return float(used_uah * sum(volts) / 2 * _MJ / run.inferences)


def _phone(conditions: Mapping[str, Any]) -> Mapping[str, Any]:
    found = conditions.get("phone")
    return found if isinstance(found, Mapping) else {}


def _require_alone(before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    """Refuse a battery that something else fills or empties."""
    for name, wanted, text in (
        (
            "powered",
            False,
            "run on its battery alone, but is powered: unplug it and reach it over the network",
        ),
        ("screen", "OFF", "have its screen off, but it is not: press its power key"),
    ):
        told = [item.get(name) for item in (before, after)]
        if told != [wanted, wanted]:
            known = "" if None not in told else " (it does not tell)"
            raise UnstableMeasurement(f"a phone whose battery is read must {text}{known}")
