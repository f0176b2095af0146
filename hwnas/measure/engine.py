"""Runs jobs on a device, the anchors between them, and gives back finished rounds.

The agent answers in order. Each job has the anchors before and after it, so near that bursts of
load meet all or none; it is finished when those after it have answered. Where the agent dies, hangs or
talks nonsense, the job that it was at is blamed, and what is not finished is sent again to a
fresh agent. The second time a model is blamed it has failed, and the rest goes on without it.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from hwnas import runtimes
from hwnas.device import Target
from hwnas.errors import AgentError, DeviceError, TransportTimeout, UnstableMeasurement
from hwnas.measure import energy
from hwnas.measure.options import ProfileOptions
from hwnas.runtimes.base import CPU
from hwnas.tables.rounds import Energy, Round
from hwnas.transport.base import Reply, Transport

_ATTEMPTS = 2
_ANCHORS = ("anchor", "heavy")  # names in the plan; also prefixes of what their replies tell
ANCHOR_SAMPLES = 4
"""Of each anchor beside a job."""

_KEPT = (  # fields of a reply that stay with its row
    "inner",
    "warmup_runs",
    "start_ns",
    "load_ns",
    "compile_ns",
    "first_run_ns",
    "affinity",
    "freq_khz",
    "thermal_mc",
    "steal_ticks",
    "preemptions",
    "nodes",
    "delegate_partitions",
    "delegated_nodes",
    "output_sha256",
    "check",
    "device_ns",
    "throttling",
    "aggregated",
    "op_profile",
)


@dataclass(frozen=True)
class Given:
    """What a model is given to read, where that is not random values of the shapes in its file.

    Attributes:
        shapes: By the name of an input.
        inputs: Path of an ``.npz`` with an array for each input; empty for random ones.
    """

    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    inputs: str = ""

    def fields(self) -> dict[str, Any]:
        """Of a line of the plan: only what is given, since not every agent takes it."""
        said = {"shapes": {name: list(shape) for name, shape in self.shapes.items()}, "inputs": self.inputs}
        return {name: value for name, value in said.items() if value}


@dataclass(frozen=True)
class Job:
    """A model to time in one round.

    Attributes:
        model: Name of the model.
        path: Where it is on the device.
        number: The round that this is for.
        given: What it reads; the paths are the device's.
    """

    model: str
    path: str
    number: int
    given: Given = field(default_factory=Given)

    @property
    def name(self) -> str:
        """Identifier in the plan."""
        return f"{self.number}:{self.model}"


@dataclass(frozen=True)
class JobResult:
    """What came of a job: samples, or the reason why there are none."""

    job: Job
    samples_ms: tuple[float, ...] = ()
    anchor_ms: tuple[float, ...] = ()
    heavy_ms: tuple[float, ...] = ()
    conditions: Mapping[str, Any] = field(default_factory=dict)
    failed: str = ""
    energy: Energy | None = None

    def round(self, key: str, kind: str, session: str) -> Round:
        """The row of one of the keys that the model stands for."""
        return Round(
            key,
            kind,
            session,
            self.job.number,
            self.samples_ms,
            self.anchor_ms,
            self.conditions,
            self.failed,
            self.heavy_ms,
            self.energy,
        )


@dataclass(frozen=True)
class _Blame:
    """A job that went wrong."""

    name: str
    reason: str


def greet(transport: Transport, target: Target, options: ProfileOptions) -> Mapping[str, Any]:
    """Start the agent without a job, to learn who it is and whether it can do what is asked.

    Raises:
        AgentError: The agent cannot run, or is of another runtime than the target's.
        DeviceError: The runtime cannot do what the target asks, or is to run on CPUs that are not there, or
            there is no energy counter where one is asked for.
    """
    runtime = runtimes.get(target.runtime)
    runtime.require(target.precision, target.processor)
    replies = transport.run(runtime.agent, [], silence_s=options.silence_s)
    hello = next((dict(reply["hello"]) for reply in list(replies) if "hello" in reply), {})
    if hello.get("runtime") != target.runtime:
        raise AgentError(
            f"the agent on {target.device} must run {target.runtime}, "
            f"but found {hello.get('runtime')!r}: install it there or ask for that one"
        )
    processors = hello.get("processors") or [CPU]
    if target.processor not in processors:
        why = hello.get("no_gpu") or "ask for that, or give an agent that can"
        raise AgentError(
            f"the agent must run on the {target.processor} of {target.device}, but it runs on "
            f"{', '.join(map(str, processors))} only: {why}"
        ).see("guides/gpus.md")
    _require_precision(target, hello)
    online, cpus = hello.get("cpus_online"), options.cpus
    if cpus is not None and online is not None and not set(cpus) <= set(online):
        raise DeviceError(
            f"cpus must be online, but {sorted(set(cpus) - set(online))} are not: online are {online}"
        )
    _require_cpus(target, hello, cpus)
    if options.energy:
        energy.require_counter(target, hello)
    return hello


def _require_precision(target: Target, hello: Mapping[str, Any]) -> None:
    """Refuse a precision that the agent says cannot be computed there, before models are made for it."""
    refused: Any = (hello.get("refuses") or {}).get(target.processor) or {}
    if target.precision in refused:
        raise DeviceError(
            f"a precision must be one that {target.runtime} computes in there, but {target} is not: "
            f"{refused[target.precision]}: ask for another precision, or device"
        )


def _require_cpus(target: Target, hello: Mapping[str, Any], cpus: Sequence[int] | None) -> None:
    """Refuse more threads than there are CPUs for them: such a number is of the waiting, not of the model."""
    allowed = cpus or (hello.get("conditions") or {}).get("affinity") or hello.get("cpus_online")
    quota = (hello.get("traits") or {}).get("cpu_quota")
    usable = min(len(allowed) if allowed else math.inf, quota or math.inf)
    if target.processor == CPU and target.threads > usable:
        raise DeviceError(
            f"threads must have a CPU each on {target.device}, but got {target.threads} threads for "
            f"{usable:g} usable CPUs: threads that wait for each other measure the waiting; ask for fewer"
        )


class Engine:
    """Times models on one target.

    Args:
        transport: An open way to the device.
        target: What is measured.
        anchors: Paths of the anchor models on the device: the light one, and the heavy one if
            there is to be one.
        options: How well to measure.
    """

    def __init__(
        self, transport: Transport, target: Target, anchors: Sequence[str], options: ProfileOptions
    ) -> None:
        self._transport = transport
        self._runtime = runtimes.get(target.runtime)
        self._target = target
        self._anchors = dict(zip(_ANCHORS, anchors, strict=False))
        self._options = options
        self._hello: Mapping[str, Any] = {}
        self._next = 0.0
        self._spans: list[tuple[Mapping[str, Any], Mapping[str, Any]]] = []

    def take_spans(self) -> list[tuple[Mapping[str, Any], Mapping[str, Any]]]:
        """The agent's conditions at both ends of each of its runs since this was last asked."""
        taken, self._spans = self._spans, []
        return taken

    def run(self, jobs: Sequence[Job]) -> Iterator[JobResult]:
        """Time the jobs in order and yield each as soon as it is finished.

        Begins ``min_round_s`` after the last time this was called, or later.

        Raises:
            AgentError: The agent cannot start, or an anchor fails twice in a row.
            TransportError: The way to the device is lost.
        """
        time.sleep(max(0.0, self._next - time.monotonic()))
        self._next = time.monotonic() + self._options.min_round_s
        pending = {job.name: job for job in jobs}
        blamed: Counter[str] = Counter()
        while pending:
            for event in self._attempt(list(pending.values())):
                if isinstance(event, JobResult):
                    for anchor in self._anchors:
                        blamed.pop(anchor, None)
                    if pending.pop(event.job.name, None):
                        yield event
                    continue
                job = pending.get(event.name)
                if job is None and event.name not in self._anchors:
                    continue  # its model has failed already
                culprit = job.model if job else event.name
                blamed[culprit] += 1
                if blamed[culprit] < _ATTEMPTS:
                    continue
                if job is None:
                    raise AgentError(f"the anchor must run on {self._target}, but: {event.reason}")
                pending = {name: other for name, other in pending.items() if other.model != culprit}
                yield JobResult(job, failed=event.reason)

    def _attempt(self, jobs: Sequence[Job]) -> Iterator[JobResult | _Blame]:
        """One run of the agent; always finishes or blames at least one job."""
        by_name = {job.name: job for job in jobs}
        expected = [*(name for job in by_name for name in (*self._anchors, job)), *self._anchors]
        before: list[Reply] = []
        after: list[Reply] = []
        waiting: tuple[Job, Reply] | None = None
        position, self._hello = 0, {}
        try:
            for reply in self._replies([self._line(name, by_name.get(name)) for name in expected]):
                if "job" not in reply:
                    continue
                if position == len(expected) or reply["job"] != expected[position]:
                    raise AgentError(f"an agent must answer in order, but answered {reply['job']!r} now")
                name, position = expected[position], position + 1
                try:
                    samples_ms(reply)
                    require_proven(self._target, reply)
                except AgentError as error:
                    yield _Blame(name, str(error))
                    if name in self._anchors:
                        return
                    continue
                if name not in self._anchors:
                    waiting = by_name[name], reply
                    continue
                after.append(reply)
                if len(after) < len(self._anchors):
                    continue
                if waiting is not None:
                    yield self._outcome(*waiting, list(zip(before, after, strict=True)))
                before, after, waiting = after, [], None
            if position < len(expected):
                yield _Blame(expected[position], "the agent said goodbye before it answered")
        except (AgentError, TransportTimeout) as error:
            if not self._hello:
                raise
            if position < len(expected):
                yield _Blame(expected[position], str(error))

    def _replies(self, lines: Sequence[Mapping[str, Any]]) -> Iterator[Reply]:
        """Replies of one run of the agent; takes note of its hello and its goodbye."""
        began: Mapping[str, Any] = {}
        for reply in self._transport.run(self._runtime.agent, lines, silence_s=self._options.silence_s):
            if "hello" in reply:
                self._hello = dict(reply["hello"])
                began = self._hello.get("conditions") or {}
            elif "bye" in reply:
                self._spans.append((began, reply["bye"].get("conditions") or {}))
            yield reply

    def _line(self, name: str, job: Job | None) -> dict[str, Any]:
        """A line of the plan, of a job or of an anchor."""
        path = job.path if job else self._anchors[name]
        line = plan_line(name, path, self._target, self._options) | {"keep": job is None}
        line |= {"cache": self._transport.cache} if self._transport.cache else {}
        return line | (job.given.fields() if job else {"samples": ANCHOR_SAMPLES})

    def _outcome(self, job: Job, reply: Reply, anchors: Sequence[tuple[Reply, Reply]]) -> JobResult:
        """A finished job; with its energy where that was asked for, or why there is none."""
        found = _outcome(job, reply, anchors)
        if not self._options.energy:
            return found
        try:
            return replace(found, energy=energy.energy_of(reply, anchors))
        except UnstableMeasurement as error:
            return replace(found, conditions={**found.conditions, **energy.refused(error)})


def plan_line(name: str, path: str, target: Target, options: ProfileOptions) -> dict[str, Any]:
    """A line of the plan: a model on a target, timed as the options say."""
    return {
        "job": name,
        "model": path,
        "processor": target.processor,
        "precision": target.precision,
        "threads": target.threads,
        "cpus": None if options.cpus is None else list(options.cpus),
        "samples": options.samples,
        "min_sample_ns": round(options.min_sample_ms * 1e6),
        "warmup_min_ns": round(options.warmup_min_ms * 1e6),
        "warmup_max_ns": round(options.warmup_max_ms * 1e6),
        "keep": False,
        "seed": 0,
        **({"energy_steps": energy.STEPS} if options.energy else {}),
    }


def require_proven(target: Target, reply: Reply) -> None:
    """Refuse a reply that leaves open where, or in what, its model was computed; raises AgentError."""
    runtime = runtimes.get(target.runtime)
    runtime.require_delegated(target.processor, reply)
    runtime.require_precise(target.precision, target.processor, reply)


def samples_ms(reply: Reply) -> tuple[float, ...]:
    """Milliseconds an inference; raises AgentError for an error or for what cannot be a time."""
    if "error" in reply:
        raise AgentError(f"{reply.get('stage', 'job')}: {reply['error']}")
    samples, inner = reply.get("samples_ns"), reply.get("inner")
    if not (isinstance(samples, list) and samples and isinstance(inner, int) and inner >= 1):
        raise AgentError(f"a reply must hold samples_ns and inner, but holds {sorted(reply)}")
    for value in samples:
        if not (isinstance(value, int | float) and math.isfinite(value) and value > 0):
            raise AgentError(f"a sample must be a positive number of ns, but got {value!r}")
    return tuple(round(value / inner / 1e6, 6) for value in samples)


def _outcome(job: Job, reply: Reply, anchors: Sequence[tuple[Reply, Reply]]) -> JobResult:
    """A finished job, with the samples of each anchor before and after it."""
    conditions = {name: reply[name] for name in _KEPT if reply.get(name) not in (None, {}, [])}
    if all(khz is None for khz in conditions.get("freq_khz", ())):
        conditions.pop("freq_khz", None)
    if "output_sha256" in conditions:
        conditions["output_sha256"] = str(conditions["output_sha256"])[:16]
    if reply.get("cpu_ids"):
        conditions["cpus"] = sorted(set(reply["cpu_ids"]) - {None})
    named = {f"{name}_": replies for name, replies in zip(_ANCHORS, anchors, strict=False)}
    for name, replies in {"": (reply,), **named}.items():
        preempted = [flag for answer in replies for flag in _flags(answer)]
        if any(preempted):
            conditions[f"{name}preempted"] = preempted
            thread_ms = [value for answer in replies for value in _thread_ms(answer)]
            if len(thread_ms) == len(preempted):
                conditions[f"{name}thread_ms"] = thread_ms
    beside = {
        name: tuple(sample for answer in replies for sample in samples_ms(answer))
        for name, replies in zip(_ANCHORS, anchors, strict=False)
    }
    return JobResult(job, samples_ms(reply), beside["anchor"], beside.get("heavy", ()), conditions)


def _flags(reply: Reply) -> list[int]:
    """Which samples another process had a share in; none where the agent does not say."""
    flags = reply.get("preempted") or ()
    count = len(reply["samples_ns"])
    return [int(bool(flag)) for flag in flags] if len(flags) == count else [0] * count


def _thread_ms(reply: Reply) -> list[float]:
    """What the one thread had of the CPU in each sample, a run; empty where that is not known."""
    times = reply.get("thread_ns") or ()
    if reply.get("threads") != 1 or not all(isinstance(t, int) and t > 0 for t in times):
        return []
    return [round(t / reply["inner"] / 1e6, 6) for t in times]
