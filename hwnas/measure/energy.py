"""Energy as agents count it: taken where the counter can tell, refused where it cannot, never made up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from hwnas.device import Target
from hwnas.errors import DeviceError, UnstableMeasurement
from hwnas.tables.rounds import Energy, Round
from hwnas.transport.base import Reply

STEPS = 60
"""Steps of its counter that an agent is asked to make the samples of a job span."""

_LEAST_STEPS = 50  # both ends of a span may lie anywhere between two steps: up to 2 % each
_LEAST_BUSY = 0.9  # share of the span that the one thread of a model must have had a CPU
_REFUSED = "energy_refused"  # of a row's conditions: why it has no energy


def require_counter(target: Target, hello: Mapping[str, Any]) -> None:
    """Refuse a device that counts no energy, before anything is measured; raises DeviceError."""
    counters = hello.get("energy")
    found = counters.get(target.processor) if isinstance(counters, Mapping) else None
    if isinstance(found, Mapping) and found.get("source"):
        return
    missing = found.get("missing") if isinstance(found, Mapping) else None
    raise DeviceError(
        f"the {target.processor} of {target.device} must have an energy counter that can be read, but "
        f"{missing or f'the agent of {target.runtime} there tells of none'}: leave energy out, or allow "
        "reading the counter there (as root, by chmod a+r); the gauge of a phone's battery is for "
        "hwnas measure --repeat-over alone"
    )


def energy_of(reply: Reply, anchors: Sequence[Sequence[Reply]]) -> Energy:
    """What a job took, beside what the anchors before and after it took.

    Args:
        reply: Of the job.
        anchors: Of the light anchor, and of the heavy one if there is one.

    Raises:
        UnstableMeasurement: The counter is too coarse for one of them, or the machine too restless.
    """
    light, heavy = ([_energy_mj(item) for item in replies] for replies in (*anchors, (), ())[:2])
    mj = _energy_mj(reply)
    return Energy(reply["energy"]["source"], mj, tuple(light), tuple(heavy))


def refused(error: UnstableMeasurement) -> dict[str, str]:
    """Of the conditions of a row: why it has no energy."""
    return {_REFUSED: str(error)}


def why_refused(item: Round) -> str:
    """Why a row has no energy; empty where it has, and where nobody asked."""
    return str(item.conditions.get(_REFUSED, ""))


def was_asked(item: Round) -> bool:
    """Whether the energy of a row was asked for, whatever came of it."""
    return item.energy is not None or bool(why_refused(item))


def _energy_mj(reply: Reply) -> float:
    """Millijoules per inference."""
    names = ("uj", "elapsed_ns", "inferences", "steps", "resolution_uj")
    told = reply.get("energy")
    told = told if isinstance(told, Mapping) else {}
    values: list[Any] = [told.get(name) for name in names]
    idle, source = told.get("idle_uw"), told.get("source")
    if not (all(map(_is_count, values)) and isinstance(idle, list) and all(map(_is_number, idle)) and source):
        raise UnstableMeasurement(
            f"an agent must tell the energy that it was asked for (source, {', '.join(names)}, idle_uw), "
            f"but told {dict(told)}"
        )
    uj, elapsed_ns, inferences, steps, resolution_uj = values
    if steps < _LEAST_STEPS or not (uj and inferences):
        raise UnstableMeasurement(
            f"an energy counter must step {_LEAST_STEPS} times while samples are taken, but {source} "
            f"stepped {steps} times in {elapsed_ns / 1e6:.0f} ms (smallest step {resolution_uj} uJ)"
        )
    noise_uj = (max(idle) - min(idle)) * elapsed_ns / 1e9 if idle else 0.0
    if noise_uj >= uj:
        raise UnstableMeasurement(
            f"an energy must be more than an idle machine's noise, but {uj / 1e3:.0f} mJ were counted in "
            f"{elapsed_ns / 1e6:.0f} ms, in which {source} varies by {noise_uj / 1e3:.0f} mJ when idle: "
            "stop what else runs there"
        )
    if (busy := busy_share(reply)) is not None and busy < _LEAST_BUSY:
        raise UnstableMeasurement(
            f"a model must have its CPU while {source} counts, which counts all that runs there, but had it "
            f"for {busy:.0%} of the time: stop what else runs there"
        )
    return float(uj / inferences / 1e3)


def busy_share(reply: Reply) -> float | None:
    """Share of its samples that the one thread had a CPU in; None where that is not known."""
    times, samples = reply.get("thread_ns"), reply.get("samples_ns")
    if reply.get("threads") != 1 or not samples or not times or not all(map(_is_count, times)):
        return None
    return float(sum(times) / sum(samples))


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_count(value: object) -> bool:
    return _is_number(value) and cast(int, value) >= 0
