"""One model alone in a process of its own: whether it runs there, where, its memory, and how it lasts.

Nothing of this is a latency: those are measured beside anchors (``engine``), whose memory would count here,
and whose pauses let a device cool.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

from hwnas import runtimes
from hwnas.device import Target
from hwnas.errors import AgentError
from hwnas.measure import energy
from hwnas.measure.engine import Given, plan_line, require_proven, samples_ms
from hwnas.measure.options import ProfileOptions
from hwnas.transport.base import Reply, Transport

_POINT_S = 1.0  # of running for one point of a curve
_STRETCH = 5  # samples in it, of which the median counts
_LEFT_OUT = "an agent must answer each job before it says goodbye, but did not"


@dataclass(frozen=True)
class WithoutPause:
    """What became of a model that ran without a pause.

    Attributes:
        points: About once a second: seconds since the first run, and milliseconds a run.
        inferences: How often it ran, warm-ups included.
        before: Conditions of the device just before, as far as it tells.
        after: The same just after.
        busy: Share of the time in which it had its CPU, in the median of the points; None where that is not
            known, as of several threads.
    """

    points: tuple[tuple[float, float], ...]
    inferences: int
    before: Mapping[str, Any]
    after: Mapping[str, Any]
    busy: float | None = None

    @property
    def seconds(self) -> float:
        """How long it ran, the last second left out."""
        return self.points[-1][0]


def look(
    transport: Transport,
    target: Target,
    path: str,
    given: Given,
    options: ProfileOptions,
    operations: int = 0,
) -> Reply:
    """The reply to a plan with one job.

    Args:
        transport: An open way to the device.
        target: Runtime and processor.
        path: Where the model is on the device.
        given: What it reads; paths are the device's.
        options: How long it runs.
        operations: Runs in which each operation is timed, where the agent can; 0 for none.

    Raises:
        AgentError: The model does not run there, or it is not proven to run on the target's processor.
        TransportError: The way to the device is lost.
    """
    runtime = runtimes.get(target.runtime)
    line = plan_line("alone", path, target, options) | given.fields()
    line |= {"op_profile": operations} if operations else {}
    for reply in list(transport.run(runtime.agent, [line], silence_s=options.silence_s)):
        if reply.get("job") == "alone":
            samples_ms(reply)
            require_proven(target, reply)
            return reply
    raise AgentError(_LEFT_OUT)


def run_on(
    transport: Transport,
    target: Target,
    path: str,
    given: Given,
    options: ProfileOptions,
    seconds: float,
    told: Callable[[float], None] = lambda _: None,
) -> WithoutPause:
    """Run a model without a pause.

    Args:
        transport: An open way to the device.
        target: Runtime and processor.
        path: Where the model is on the device.
        given: What it reads; paths are the device's.
        options: How long a silence may be.
        seconds: How long it runs.
        told: Given the seconds so far.

    Raises:
        AgentError: The model does not run there, or it is not proven to run on the target's processor.
        TransportError: The way to the device is lost.
    """
    runtime = runtimes.get(target.runtime)
    each = plan_line("on", path, target, options) | given.fields()
    each |= {"keep": True, "samples": _STRETCH, "min_sample_ns": round(_POINT_S / _STRETCH * 1e9)}
    each |= {"warmup_min_ns": 1, "warmup_max_ns": 1}
    lines = [{**each, "job": f"on {number}"} for number in range(math.ceil(seconds / _POINT_S))]
    found: list[tuple[float, float]] = []
    ends: dict[str, Mapping[str, Any]] = {}
    began, inferences = None, 0
    shares: list[float] = []
    for reply in transport.run(runtime.agent, lines, silence_s=options.silence_s):
        if "job" in reply:
            ms = median(samples_ms(reply))
            require_proven(target, reply)
            start_ns = reply.get("start_ns")
            if not isinstance(start_ns, int):
                raise AgentError("an agent must say when a job began to be measured over time, but does not")
            began = start_ns if began is None else began
            found.append(((start_ns - began) / 1e9, ms))
            if (share := energy.busy_share(reply)) is not None:
                shares.append(share)
            inferences += len(reply["samples_ns"]) * reply["inner"] + (reply.get("warmup_runs") or 0)
            told(found[-1][0])
        ends |= {name: reply[name].get("conditions") or {} for name in ("hello", "bye") if name in reply}
    if len(found) < len(lines):
        raise AgentError(_LEFT_OUT)
    busy = median(shares) if shares else None
    return WithoutPause(tuple(found), inferences, ends.get("hello", {}), ends.get("bye", {}), busy)
