"""Whether models keep a limit on energy: counted on the device beside their latency, or not proven."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from functools import cache

from hwnas.device import Device, Target
from hwnas.errors import DeviceError, TransportError
from hwnas.measure import Measurer, ProfileOptions, why_refused
from hwnas.runs.energy import EnergyCheck
from hwnas.runs.finalists import ChosenEnergy
from hwnas.statistics.verdict import NOT_PROVEN, PASS, Quality, Verdict, on_budget
from hwnas.tables.table import LatencyTable

Measurers = Callable[[bool], Measurer]
"""The way to a device, which counts energy or does not."""


def measurers(stack: ExitStack, device: Device, options: ProfileOptions) -> Measurers:
    """The ways to a device, each opened when it is first needed and closed with the stack."""

    def connected(is_counting: bool) -> Measurer:
        return stack.enter_context(Measurer(device, replace(options, energy=is_counting)))

    return cache(connected)


def counting(measurers: Measurers, target: Target, limit: ChosenEnergy | None) -> tuple[Measurer, str]:
    """Who measures a target, and why energy is not counted there; empty where it is, or nobody wants it.

    Args:
        measurers: The ways to its device.
        target: What is measured.
        limit: On its energy; None where that is not wanted.

    Raises:
        DeviceError: The device or the agent cannot be used at all.
    """
    if limit is None:
        return measurers(False), ""
    try:
        measurer = measurers(True)
        measurer.environment(target)
    except TransportError:
        raise
    except DeviceError as error:
        measurer = measurers(False)
        measurer.environment(target)  # else it is not about the counter
        return measurer, str(error)
    return measurer, ""


def checked(
    limit: ChosenEnergy, own: LatencyTable | None, key: str, missing: str, quality: Quality | None
) -> tuple[EnergyCheck, Verdict]:
    """What was counted of a model, and the verdict on its limit.

    Args:
        limit: What was asked, of a limit, and predicted.
        own: The session; None where there was none.
        key: Of the model in it.
        missing: Why nothing was counted, where that was known before.
        quality: Of the session.
    """
    asked_mj = limit.asked_mj or 0.0
    found = None if own is None else own.energies.measurements.get(key)
    if found is None:
        refused = [why_refused(item) for item in own.rounds if item.key == key] if own else []
        why = missing or next(filter(None, reversed(refused)), "its target was not measured")
        said = f"the limit of {asked_mj:.4g} mJ on {limit.name} cannot be proven: {why}"
        return EnergyCheck(asked_mj, limit.predicted_mj), Verdict(NOT_PROVEN, (said,))
    mj, interval_mj = found.latency_ms, found.interval_ms  # of this table, they are mJ
    verdict = on_budget(mj, interval_mj, asked_mj, quality, unit="mJ") or Verdict(PASS)
    return EnergyCheck(asked_mj, limit.predicted_mj, mj, interval_mj), verdict
