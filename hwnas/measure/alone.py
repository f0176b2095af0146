"""One model alone in a process of its own: whether it runs there, where, and what memory it takes.

Nothing of this is a latency: those are measured beside anchors (``engine``), whose memory would count here.
"""

from __future__ import annotations

from hwnas import runtimes
from hwnas.device import Target
from hwnas.errors import AgentError
from hwnas.measure.engine import Given, plan_line, require_proven, samples_ms
from hwnas.measure.options import ProfileOptions
from hwnas.transport.base import Reply, Transport


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
    raise AgentError("an agent must answer each job before it says goodbye, but did not")
