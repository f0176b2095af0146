"""One model alone in a process of its own: whether it runs there, where, its memory, and how it lasts.

Nothing of this is a latency: those are measured beside anchors (``engine``), whose memory would count here,
and whose pauses let a device cool.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import median

from hwnas import runtimes
from hwnas.device import Target
from hwnas.errors import AgentError
from hwnas.measure.engine import Given, plan_line, require_proven, samples_ms
from hwnas.measure.options import ProfileOptions
from hwnas.transport.base import Reply, Transport

_POINT_S = 1.0  # of running for one point of a curve
_STRETCH = 5  # samples in it, of which the median counts
_LEFT_OUT = "an agent must answer each job before it says goodbye, but did not"


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
) -> list[tuple[float, float]]:
    """Run a model without a pause.

    Args:
        transport: An open way to the device.
        target: Runtime and processor.
        path: Where the model is on the device.
        given: What it reads; paths are the device's.
        options: How long a silence may be.
        seconds: How long it runs.
        told: Given the seconds so far.

    Returns:
        About once a second: seconds since the first run, and milliseconds a run.

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
    began = None
    for reply in transport.run(runtime.agent, lines, silence_s=options.silence_s):
        if "job" in reply:
            ms = median(samples_ms(reply))
            require_proven(target, reply)
            start_ns = reply.get("start_ns")
            if not isinstance(start_ns, int):
                raise AgentError("an agent must say when a job began to be measured over time, but does not")
            began = start_ns if began is None else began
            found.append(((start_ns - began) / 1e9, ms))
            told(found[-1][0])
    if len(found) < len(lines):
        raise AgentError(_LEFT_OUT)
    return found
