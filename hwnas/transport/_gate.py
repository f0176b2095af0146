"""Waits until a phone is cool and rested enough to be measured; bounded, and it says so."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from hwnas.errors import DeviceError

_PAUSE_S = 5.0


@dataclass(frozen=True)
class Gate:
    """Limits for the start of a run.

    Attributes:
        thermal_status: Highest status that Android may report (0 none, 1 light, ...).
        battery_c: Highest temperature of the battery, degrees Celsius.
        skin_c: Highest temperature of what is called skin, degrees Celsius.
        battery_percent: Lowest charge.
        wait_s: Longest wait; after it the run starts all the same, and its conditions say so.
    """

    thermal_status: int = 0
    battery_c: float = 38.0
    skin_c: float = 38.0
    battery_percent: int = 20
    wait_s: float = 300.0

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Gate:
        """The gate of a device's options; raises DeviceError for an unknown or non-numeric limit."""
        given = options.get("gate", {})
        odd = sorted(set(given) - set(cls.__dataclass_fields__)) if isinstance(given, Mapping) else [given]
        odd += [
            k for k in cls.__dataclass_fields__ if not odd and not isinstance(given.get(k, 0), int | float)
        ]
        if odd:
            raise DeviceError(
                f"the option gate must hold numbers for {tuple(cls.__dataclass_fields__)}, but got {odd}"
            )
        return cls(**given)

    def reasons(self, conditions: Mapping[str, Any]) -> list[str]:
        """Why a run should not start now; empty where it may. What is unknown is no reason."""
        skin = {n: c for n, c in conditions.get("temperatures_c", {}).items() if "skin" in n.lower()}
        found = []
        if conditions.get("thermal_status", 0) > self.thermal_status:
            found.append(f"thermal status {conditions['thermal_status']} > {self.thermal_status}")
        if conditions.get("battery_c", 0.0) > self.battery_c:
            found.append(f"battery {conditions['battery_c']:g} °C > {self.battery_c:g} °C")
        found += [f"{n} {c:g} °C > {self.skin_c:g} °C" for n, c in skin.items() if c > self.skin_c]
        charge = conditions.get("battery_percent", 100)
        if charge < self.battery_percent:
            found.append(f"battery {charge} % < {self.battery_percent} %")
        return found


def wait(
    gate: Gate,
    read: Callable[[], dict[str, Any]],
    say: Callable[[str], None],
    *,
    sleep: Callable[[float], None] = time.sleep,
) -> dict[str, Any]:
    """Wait for the gate and return the conditions at its end, with ``gate`` saying how it went."""
    waited_s = 0.0
    while True:
        conditions = read()
        reasons = gate.reasons(conditions)
        if not reasons or waited_s >= gate.wait_s:
            break
        if waited_s == 0:
            say(f"waiting up to {gate.wait_s:g} s for the phone: {'; '.join(reasons)}")
        pause_s = min(_PAUSE_S, gate.wait_s - waited_s)
        sleep(pause_s)
        waited_s += pause_s
    if reasons:
        say(f"starting all the same after {waited_s:g} s: {'; '.join(reasons)}")
    return conditions | {"gate": {"waited_s": waited_s, "open": not reasons, "reasons": reasons}}
