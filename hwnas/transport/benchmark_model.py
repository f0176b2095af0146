"""The official ``benchmark_model`` as an agent: its command line, and what its output means.

Two programs share the name, TensorFlow Lite's (interpreter) and LiteRT's (compiled model), in
several generations of output. None prints raw samples: results are marked as aggregated. What it
reports may have run somewhere else than asked: where it says that a delegate did not take the
model, or does not say that one did, that is an error, never a number.
"""

from __future__ import annotations

import math
import re
import secrets
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from hwnas.errors import AgentError
from hwnas.runtimes.litert import LITERT
from hwnas.transport.base import Job, Reply

_NUMBER = r"([-+]?\d+\.?\d*(?:[eE][-+]?\d+)?)"
_PREFIX = re.compile(
    r"^(?:.*?\b[VDIWEF] tflite\s*:\s?|(?:VERBOSE|INFO|WARN|WARNING|ERROR|FATAL):\s*)?(?:\[[\w./]+:\d+\]\s*)?"
)
_TFLITE = re.compile(
    rf"Inference timings in us: Init: {_NUMBER}, First inference: {_NUMBER}, "
    rf"Warmup \(avg\): {_NUMBER}, Inference \(avg\): {_NUMBER}"
)
_FIRST = re.compile(
    rf"Average inference timings in us: Warmup: {_NUMBER}, Init: {_NUMBER}, "
    rf"(?:with stats: {_NUMBER}, )?no stats: {_NUMBER}"
)
_LITERT = re.compile(
    rf"(Model initialization|Warmup \(first\)|Warmup \(avg\)|Inference \((?:avg|min|max|std)\)):\s+{_NUMBER}"
    r"(?: ms)?(?: \((\d+) runs\))?"
)
_REPLACING = re.compile(
    r"Replacing (\d+) out of (\d+) node\(s\) with delegate \((\w+)\) node, yielding (\d+) partitions"
)
_EXECUTED = re.compile(
    r"(?:applied (.+?) delegate, and .*?)?will be (completely|partially) executed by the delegate"
)
_REFUSED = re.compile(r"will not be executed by the delegate")
_UNKNOWN_FLAGS = re.compile(r"Unconsumed cmdline flags:?\s*(.*)")
_LISTED = re.compile(r"--(\w+)=")
_FORCE = "--require_full_delegation"
_PROCESSORS = {"gpu": ("--use_gpu=true",), "npu": ("--use_npu=true", "--use_nnapi=true")}
_WHOLE = (f"{_FORCE}=true", "--use_cpu=false")  # nothing is left to the CPU
_ARITHMETIC = {  # of a GPU: TensorFlow Lite's program computes fp32 in fp16 unless it is told not to
    "fp32": ("--gpu_precision_loss_allowed=false", "--allow_fp16=false"),
    "fp16": ("--gpu_precision_loss_allowed=true", "--allow_fp16=true"),
}
_MIN_S, _MAX_S, _WARMUP_S = 0.5, 20.0, 0.5


@dataclass(frozen=True)
class Spread:
    """What is printed of a series of runs, in microseconds; None where it is not printed."""

    count: int
    mean_us: float | None = None
    min_us: float | None = None
    max_us: float | None = None
    std_us: float | None = None
    p5_us: float | None = None
    median_us: float | None = None
    p95_us: float | None = None


@dataclass(frozen=True)
class Result:
    """What one run of the program printed.

    Attributes:
        generation: "tf1", "interpreter" (TensorFlow Lite from 2.0 on) or "compiled" (LiteRT 2).
        init_us: Loading and preparing the model.
        first_us: First inference, or None.
        warmup: The warm-up runs, or None.
        measured: The measured runs.
        delegates: Name of the delegate, nodes taken, nodes in all, partitions; one a message.
        coverage: How much of the model a delegate other than XNNPACK (which is the CPU's) is said to
            execute: "completely", "partially" (where any is), or "" where nothing is said.
        errors: Lines that the program marks as errors.
    """

    generation: str
    init_us: float
    first_us: float | None
    warmup: Spread | None
    measured: Spread
    delegates: tuple[tuple[str, int, int, int], ...]
    coverage: str
    errors: tuple[str, ...]

    @property
    def latency_us(self) -> float:
        """The median where it is printed, otherwise the mean."""
        value = self.measured.mean_us if self.measured.median_us is None else self.measured.median_us
        if value is None or not math.isfinite(value) or value <= 0:
            raise AgentError(f"a latency must be finite and positive, but benchmark_model printed {value}")
        return value


def parse(text: str) -> Result:
    """Read the output (standard output and error together) of any known generation.

    Raises:
        AgentError: It does not hold a result, or it says that flags were ignored or that a delegate
            did not take the model.
    """
    lines = [_PREFIX.sub("", raw, count=1).strip() for raw in text.replace("\r", "").split("\n")]
    plain = "\n".join(lines)
    errors = tuple(
        line
        for line, raw in zip(lines, text.replace("\r", "").split("\n"), strict=True)
        if re.match(r"\s*(ERROR|FATAL):", raw) or re.search(r"\b[EF] tflite\s*:", raw)
    )
    ignored = _UNKNOWN_FLAGS.search(plain)
    if ignored:
        raise AgentError(
            f"benchmark_model must know every flag, but ignored {ignored[1]!r}: it is of another generation"
        )
    refused = _REFUSED.search(plain)
    if refused:
        line = next(line for line in lines if _REFUSED.search(line))
        raise AgentError(f"a model must run where it is asked to, but benchmark_model says: {line}")
    coverages = {m[2] for m in _EXECUTED.finditer(plain) if not _of_cpu(m[1] or "")}
    delegates = tuple((m[3], int(m[1]), int(m[2]), int(m[4])) for m in _REPLACING.finditer(plain))
    spreads = [spread for line in lines if (spread := _spread(line)) is not None]
    shared = (delegates, max(coverages, default=""), errors)  # "partially" is the larger word, too
    for read in (_tflite, _first_generation, _litert):
        found = read(plain, spreads)
        if found is not None:
            return Result(*found, *shared)
    raise AgentError(
        "benchmark_model must end with its timings, but did not: "
        + ("; ".join(errors[-3:]) or plain.strip()[-300:] or "it printed nothing")
    )


def _of_cpu(delegate: str) -> bool:
    return "xnnpack" in delegate.lower()


_Parts = tuple[str, float, float | None, Spread | None, Spread]


def _tflite(text: str, spreads: Sequence[Spread]) -> _Parts | None:
    """TensorFlow Lite from 2.0 on."""
    match = _TFLITE.search(text)
    if match is None:
        return None
    init, first, _, mean = (float(value) for value in match.groups())
    warmup, measured = _last_two(spreads, mean)
    return "interpreter", init, first, warmup, measured


def _first_generation(text: str, spreads: Sequence[Spread]) -> _Parts | None:
    """TensorFlow 1."""
    match = _FIRST.search(text)
    if match is None:
        return None
    warmup, measured = _last_two(spreads, float(match[4]))
    return "tf1", float(match[2]), None, warmup, measured


def _litert(text: str, spreads: Sequence[Spread]) -> _Parts | None:
    """LiteRT 2; its own lines have two decimals of a millisecond, the count lines more."""
    found = {m[1]: (float(m[2]) * 1000, m[3]) for m in _LITERT.finditer(text)}
    if "Inference (avg)" not in found:
        return None
    mean, count = found["Inference (avg)"]
    warmup, measured = _last_two(spreads, mean)
    if not spreads:
        extremes = [
            found[f"Inference ({name})"][0] if f"Inference ({name})" in found else None
            for name in ("min", "max", "std")
        ]
        measured = Spread(int(count or 0), mean, *extremes)
    first = found.get("Warmup (first)", (None, None))[0]
    return "compiled", found.get("Model initialization", (0.0, None))[0], first, warmup, measured


def _last_two(spreads: Sequence[Spread], mean_us: float) -> tuple[Spread | None, Spread]:
    """The count lines of the warm-up and of the measured runs; the summary's mean where none is there."""
    if not spreads:
        return None, Spread(0, mean_us)
    return (spreads[-2] if len(spreads) > 1 else None), spreads[-1]


def _spread(line: str) -> Spread | None:
    """A line such as ``count=50 first=.. curr=.. min=.. max=.. avg=.. std=.. p5=.. median=.. p95=..``.

    Where all runs are equal, or there was one, only ``curr`` is printed for them all.
    """
    match = re.match(r"count=(\d+)\b(.*)$", line)
    if match is None:
        return None
    found = {name: float(value) for name, value in re.findall(rf"\b(\w+)={_NUMBER}", match[2])}
    if "avg" not in found and "curr" in found:
        found |= {"avg": found["curr"], "min": found["curr"], "max": found["curr"], "std": 0.0}
    names = ("avg", "min", "max", "std", "p5", "median", "p95")
    return Spread(int(match[1]), *(found.get(name) for name in names))


def hello(program_sha256: str) -> dict[str, Any]:
    """What this agent says of itself."""
    return {
        "protocol": 1,
        "agent": "benchmark_model",
        "runtime": LITERT.name,
        "processors": list(LITERT.processors),
        "runtime_version": None,
        "library_sha256": program_sha256,
    }


def flags_of(usage: str, processor: str, precision: str, given: Sequence[str]) -> tuple[str, ...]:
    """What a program is told, so that it computes where and in what is asked for; the user's own come last.

    Args:
        usage: What it prints when it is asked for help: its flags, which differ from one to the next.
        processor: "cpu", "gpu" or "npu".
        precision: That is to be computed in.
        given: The user's own flags.

    Raises:
        AgentError: Nobody knows how to make it compute so, or the user's flags say otherwise.
    """
    if processor == "cpu":
        return tuple(given)
    known = set(_LISTED.findall(usage))
    own = {_name(flag): flag for flag in given}
    ways = _PROCESSORS[processor]
    found = [next((flag for flag in ways if _name(flag) in known), ways[-1])]
    found += [flag for flag in _WHOLE if _name(flag) in known]
    if processor == "gpu" and precision in _ARITHMETIC:
        fitting = [flag for flag in _ARITHMETIC[precision] if _name(flag) in known][:1]
        if not fitting:
            raise AgentError(
                f"benchmark_model must have a flag that makes a GPU compute in {precision}, but lists none "
                "when it is asked for help: give another version of it"
            )
        said = own.get(_name(fitting[0]), fitting[0])
        if said != fitting[0]:
            raise AgentError(
                f"{precision} must be computed in {precision}, but the flag {said} says otherwise: leave it "
                "out, or measure another precision"
            )
        found += fitting
    return (*(flag for flag in found if _name(flag) not in own), *given)


def _name(flag: str) -> str:
    return flag.removeprefix("--").partition("=")[0]


class Script:
    """The jobs as a script of the device's shell, and its output as replies.

    Args:
        program: Path of ``benchmark_model`` on the device.
        jobs: The plan, of one precision.
        processor: "cpu", "gpu" or "npu".
        flags: All that ``flags_of`` says.
    """

    def __init__(self, program: str, jobs: Sequence[Job], processor: str, flags: Sequence[str]) -> None:
        self._program = program
        self._jobs = list(jobs)
        self._processor = processor
        self._flags = tuple(flags)
        self._marker = secrets.token_hex(8)
        self._output: list[str] = []
        self._answered = 0

    def command(self) -> list[str]:
        """Words that run all jobs, each line of output marked, each job closed by its status."""
        one = "{words} >log 2>&1 </dev/null; status=$?; sed 's/^/|/' log; echo \"<{marker}:$status>\""
        steps = (one.format(words=shlex.join(self._words(job)), marker=self._marker) for job in self._jobs)
        return ["sh", "-c", "\n".join(steps)]

    def _words(self, job: Job) -> list[str]:
        mask = sum(1 << cpu for cpu in job.get("cpus") or ())
        return [
            *(("taskset", f"{mask:x}") if mask else ()),
            self._program,
            f"--graph={job['model']}",
            f"--num_threads={job['threads']}",
            f"--num_runs={job['samples']}",
            f"--min_secs={_MIN_S}",
            f"--max_secs={_MAX_S}",
            f"--warmup_min_secs={_WARMUP_S}",
            *self._flags,
        ]

    def take(self, line: bytes) -> Iterator[Reply]:
        """The reply that this line of output completes, if it completes one."""
        text = line.decode(errors="replace")
        end = re.fullmatch(rf"<{self._marker}:(\d+)>", text)
        if end is None:
            self._output.append(text.removeprefix("|"))
            return
        job, output = self._jobs[self._answered], "\n".join(self._output)
        self._answered, self._output = self._answered + 1, []
        try:
            if int(end[1]):
                said = output.strip()[-300:] or "it printed nothing"
                raise AgentError(f"benchmark_model must end with status 0, but ended with {end[1]}: {said}")
            yield {"job": job["job"], **self._reply(parse(output), job)}
        except AgentError as error:
            yield {"job": job["job"], "error": str(error), "stage": "run"}

    def _reply(self, result: Result, job: Job) -> Mapping[str, Any]:
        others = [d for d in result.delegates if not _of_cpu(d[0])]
        if self._processor != "cpu":
            self._require_delegated(result, any(d[1] for d in others))
        taken = others or list(result.delegates)
        spread = asdict(result.measured)
        return {
            "samples_ns": [round(result.latency_us * 1000)],
            "inner": 1,
            "aggregated": spread | {"statistic": "mean" if spread["median_us"] is None else "median"},
            "warmup_runs": result.warmup.count if result.warmup else None,
            "load_ns": round(result.init_us * 1000),
            "first_run_ns": None if result.first_us is None else round(result.first_us * 1000),
            "processor": self._processor,
            "threads": job["threads"],
            "nodes": taken[0][2] if taken else None,
            "delegate_partitions": taken[0][3] if taken else None,
            "delegated_nodes": sum(d[1] for d in taken) if taken else None,
            "delegate": taken[0][0] if taken else None,
        }

    def _require_delegated(self, result: Result, counted: bool) -> None:
        """Refuse a number of which it is not known how much of it is the asked processor's.

        Where nodes were counted the reply says how many were taken, so that a part is seen as one.
        """
        if counted or result.coverage == "completely" or (result.generation == "compiled" and self._forced()):
            return
        said = "only that a part was, and not which" if result.coverage else "nothing"
        raise AgentError(
            f"benchmark_model must say that the {self._processor} took the model, but says {said}: it "
            "may have run on the CPU (LiteRT's needs the flag --require_full_delegation=true)"
        )

    def _forced(self) -> bool:
        """Whether the program ends with an error unless everything is delegated; the last flag holds."""
        values = [f.partition("=") for f in self._flags if f.partition("=")[0] == _FORCE]
        return bool(values) and (not values[-1][1] or values[-1][2].lower() in ("true", "1"))
