"""What every Python agent shares: the protocol, the timing loop and what the machine says.

It runs on the device and uses the standard library and numpy only. An agent offers a *runtime*,
an object with

* ``identity()``: the fields of the hello that are its own (agent, runtime, version, library);
* ``open(path, threads)``: a loaded model with ``allocate()``, ``fill(rng)``, ``invoke()``,
  ``outputs()`` (bytes, one a tensor) and ``coverage()`` (nodes and what the delegate took);
* ``processors`` (optional): where it runs models; the CPU alone if it does not say;
* ``precisions`` (optional): what it can be told to compute in, where files do not say that; then it is
  ``open(path, threads, processor, precision)``, and its models have ``check()``: one more run, and in
  "error" and "nonfinite" how its output compares with that of fp32 on the CPU;
* ``refuses(processor)`` (optional): those of them that it cannot be told there, each with a sentence why;
* ``conditions()`` (optional): what else bears on measuring, now;
* ``counter(processor)`` (optional): an energy counter like ``Rapl``, or None for that of the CPU;
* ``takes`` (optional): "shapes" where its models have ``reshape(shapes)``, called before ``allocate``,
  "inputs" where they have ``give(arrays)``, called in the place of ``fill``;
* models with ``cache(folder)``, called before ``allocate``, may take there what an earlier process of the
  session made of the same file, and say so in ``is_from_cache``;
* ``open_profiled(path, threads)`` (optional): the same model with ``operations(runs)`` beside, the time of
  each operation in so many runs after the first;

A model whose work is not done by the thread that calls it says ``is_elsewhere``, and may have
``device_ns(runs)``, times of single runs by the processor's own clock, and ``peak_memory_bytes()``,
of its memory.

The agent calls ``main(runtime)``. The protocol is described in ``README.md`` beside this file.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import hashlib
import json
import os
import platform
import resource
import sys
import threading
import time
from math import ceil
from pathlib import Path

import numpy as np

PROTOCOL = 1
CPU = "cpu"
CPU_FOLDER = Path("/sys/devices/system/cpu")
_AGREE = 0.03  # two warm-up windows agree where their mean times differ by less
_WINDOWS = 4  # windows that the shortest warm-up is cut into
_LENGTHENED = 3  # times at most that samples are found too short and taken again
_POWERCAP = "HWNAS_POWERCAP"  # names another folder of energy counters than the kernel's
_WATCHED, _WATCH_NS = 20, 2_000_000_000  # steps that a counter is watched for, and how long at most
_IDLE_WINDOWS, _IDLE_STEPS, _IDLE_NS = 5, 10, 20_000_000  # pauses; each so many steps, and as long at least
_ENERGY_NS = 10_000_000_000  # samples are not made longer than this together for a counter's sake


class JobError(Exception):
    """A job cannot be done; carries the stage that failed."""

    def __init__(self, stage: str, message: str) -> None:
        super().__init__(message)
        self.stage = stage


class Model:
    """A loaded model, kept or dropped after its job."""

    def __init__(self, path: str, threads: int, runtime, *how: str) -> None:
        started = time.perf_counter_ns()
        self.loaded = runtime.open(path, threads, *how)
        self.load_ns = time.perf_counter_ns() - started
        self.compile_ns = 0
        self.first_run_ns = None

    def prepare(self, job: dict) -> None:
        """Allocate, fill the inputs and run for the first time, once."""
        if self.first_run_ns is None:
            self.compile_ns = _fill(self.loaded, job)
            with _stage("warmup"):
                started = time.perf_counter_ns()
                self.loaded.invoke()
                self.first_run_ns = time.perf_counter_ns() - started


def _fill(loaded, job: dict) -> int:
    """Allocate a loaded model and fill its inputs; nanoseconds that allocating took."""
    shapes, arrays = job.get("shapes"), job.get("inputs")
    started = time.perf_counter_ns()
    with _stage("allocate"):
        if job.get("cache") and hasattr(loaded, "cache"):
            loaded.cache(job["cache"])
        if shapes:
            loaded.reshape(shapes)
        loaded.allocate()
    took = time.perf_counter_ns() - started
    with _stage("input"):
        if arrays:
            with np.load(arrays, allow_pickle=False) as file:
                loaded.give(dict(file))
        else:
            loaded.fill(np.random.default_rng(int(job.get("seed", 0))))
    return took


def _require_taken(job: dict, runtime) -> None:
    """Refuse what a model is given to read where this agent would leave it aside."""
    for name in ("shapes", "inputs"):
        if job.get(name) and name not in getattr(runtime, "takes", ()):
            raise JobError("plan", f"this agent must be given no {name}: it cannot use them")


class _Memory:
    """What the first model of a process takes on top of what was there; the host gives it a process alone."""

    def __init__(self) -> None:
        self._used = False

    def begin(self) -> None:
        """Forget the peak so far, where the system lets one, and note what is there."""
        self._is_first, self._used = not self._used, True
        if self._is_first:
            with contextlib.suppress(OSError):
                Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")
            self._now, self._peak = _resident("VmRSS"), _resident("VmHWM")

    def peak(self) -> int | None:
        """Bytes; None for later models, and where an earlier peak hides that of this one."""
        peak = _resident("VmHWM")
        if not self._is_first or None in (peak, self._now, self._peak):
            return None
        return peak - self._now if peak > self._peak or self._peak <= self._now else None


_MEMORY = _Memory()
np.random.default_rng(0)  # loads what draws: it is no model's memory


def _resident(name: str) -> int | None:
    """Bytes of this process in memory: "VmRSS" now, "VmHWM" at most so far."""
    for line in (_read(Path("/proc/self/status")) or "").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    return None


class CounterError(Exception):
    """An energy counter cannot be read; says what was looked for."""


class Rapl:
    """Energy of the processor's packages, all together, from the kernel's counters.

    All that runs on them counts, and what they take when idle; memory counts where it is in the package.
    """

    def __init__(self, root: Path | None = None) -> None:
        root = root or Path(os.environ.get(_POWERCAP, "/sys/class/powercap"))
        zones = [(zone, _read(zone / "name") or "") for zone in sorted(root.glob("intel-rapl:*"))]
        packages = {name: zone for zone, name in zones if name.startswith("package")}
        if not packages:
            raise CounterError(f"{root} has no intel-rapl:* that is a package of a processor")
        self.source = f"rapl:{'+'.join(packages)}"
        self._files = [zone / "energy_uj" for zone in packages.values()]
        self._ranges = [_number(zone / "max_energy_range_uj") for zone in packages.values()]
        self._last, self._total = [self._value(file) for file in self._files], 0

    def read_uj(self) -> int:
        """Microjoules since this was made; one that has begun anew since the last reading is counted on."""
        found = [self._value(file) for file in self._files]
        for before, after, most in zip(self._last, found, self._ranges, strict=True):
            if after < before and not most:
                raise CounterError(f"a counter of {self.source} began anew, and does not say at what")
            self._total += after - before if after >= before else after + most - before
        self._last = found
        return self._total

    def step(self) -> int:
        """The number that one of the counters shows: it changes when that steps."""
        return self._value(self._files[0])

    @staticmethod
    def _value(file: Path) -> int:
        try:
            return int(file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or "it holds no number"
            raise CounterError(f"{file} cannot be read ({why})") from error


class _Meter:
    """An energy counter, how often it steps, and what it counts while this process rests."""

    def __init__(self, counter) -> None:
        self._counter = counter
        self.source = counter.source
        self.period_ns, self.resolution_uj = _watched(counter)
        self._idle_uw = [self._idle() for _ in range(_IDLE_WINDOWS)] if self.period_ns else []

    def _idle(self) -> int:
        """Microwatts while this process sleeps."""
        began = self.read()
        time.sleep(max(_IDLE_NS, _IDLE_STEPS * self.period_ns) / 1e9)
        (start_ns, start_uj), (end_ns, end_uj) = began, self.read()
        return round((end_uj - start_uj) * 10**9 / (end_ns - start_ns))

    def read(self) -> tuple[int, int]:
        """Nanoseconds, and microjoules."""
        return time.perf_counter_ns(), self._counter.read_uj()

    def told(self, began: tuple[int, int], inferences: int) -> dict:
        """What the counter rose by since then, as a reply has it."""
        now_ns, now_uj = self.read()
        elapsed_ns, uj = now_ns - began[0], now_uj - began[1]
        steps = min(elapsed_ns // self.period_ns, uj // self.resolution_uj) if self.period_ns else 0
        return {
            "energy": {
                "source": self.source,
                "uj": uj,
                "elapsed_ns": elapsed_ns,
                "inferences": inferences,
                "steps": steps,
                "resolution_uj": self.resolution_uj,
                "idle_uw": self._idle_uw,
            }
        }


def _watched(counter) -> tuple[int, int]:
    """Nanoseconds from step to step of a counter, and its smallest step; zeros where it hardly steps."""
    steps: list[tuple[int, int]] = []
    began = now = time.perf_counter_ns()
    last = counter.step()
    while len(steps) < _WATCHED and now - began < _WATCH_NS:
        value, now = counter.step(), time.perf_counter_ns()
        if value != last:
            steps.append((now, value - last))
            last = value
    rises = [rise for _, rise in steps if rise > 0]  # one that begins anew falls
    if len(steps) < 3 or not rises:
        return 0, 0
    return (steps[-1][0] - steps[0][0]) // (len(steps) - 1), min(rises)


_METERS: dict[str, _Meter] = {}


def _counter(runtime, processor: str):
    """The energy counter of a processor; raises CounterError where there is none that can be read."""
    own = runtime.counter(processor) if hasattr(runtime, "counter") else None
    if own is None and processor != CPU:
        raise CounterError(f"this agent knows no energy counter of the {processor}")
    return own or Rapl()


def _counters(runtime) -> dict:
    """By processor, which energy counter there is, or what is missing."""
    found = {}
    for processor in _processors(runtime):
        try:
            found[processor] = {"source": _counter(runtime, processor).source}
        except CounterError as error:
            found[processor] = {"missing": str(error)}
    return found


def _meter(job: dict, runtime) -> _Meter | None:
    """What a job's energy is read with; None where nobody asked for it."""
    if not job.get("energy_steps"):
        return None
    processor = job.get("processor", CPU)
    try:
        if processor not in _METERS:
            _METERS[processor] = _Meter(_counter(runtime, processor))
    except CounterError as error:
        raise JobError("plan", f"energy must be counted, but {error}") from error
    return _METERS[processor]


class _stage:
    """Name the stage in whatever a runtime raises there."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind, error, trace) -> None:
        if isinstance(error, Exception) and not isinstance(error, JobError):
            raise JobError(self.name, f"{type(error).__name__}: {error}") from error


def answer(job: dict, runtime, kept: dict) -> dict:
    """Do one job and return its reply."""
    with _stage("plan"):
        path, threads, cpus = job["model"], int(job["threads"]), job["cpus"]
        samples, least_ns = int(job["samples"]), int(job["min_sample_ns"])
        if samples < 1 or threads < 1:
            raise JobError("plan", f"samples and threads must be at least 1, but got {samples}, {threads}")
        _require_processor(job.get("processor", CPU), runtime)
        _require_taken(job, runtime)
        how = _how(job, runtime)
        pinned = _pin(cpus)
        meter = _meter(job, runtime)
    start_ns = time.monotonic_ns()
    key = (path, threads, *how, json.dumps(job.get("shapes")), job.get("inputs"))
    model = kept.get(key)
    is_new = model is None
    if is_new:
        _MEMORY.begin()
        with _stage("load"):
            model = Model(path, threads, runtime, *how)
    if job.get("keep"):
        kept[key] = model
    model.prepare(job)
    found = _measured(model.loaded, job, samples, least_ns, meter)
    _require_stayed(pinned)
    return {
        **found,
        "start_ns": start_ns,
        "load_ns": model.load_ns,
        "compile_ns": None if getattr(model.loaded, "is_from_cache", False) else model.compile_ns,
        "first_run_ns": model.first_run_ns if is_new else None,
        "peak_memory_bytes": found["peak_memory_bytes"] if is_new else None,
        "affinity": sorted(os.sched_getaffinity(0)),
        "freq_khz": _per_cpu("cpufreq/scaling_cur_freq"),
        "thermal_mc": _thermal(),
        "threads": threads,
        **model.loaded.coverage(),
        **_operations(job, runtime, path, threads),
    }


def _measured(loaded, job: dict, samples: int, least_ns: int, meter: _Meter | None) -> dict:
    """Warm up and time a model that has run; where it can check its output, before and after that."""
    checks, peak = [], None
    if hasattr(loaded, "check"):
        peak = _peak(loaded)  # a check has a model of its own
        with _stage("check"):
            checks.append(loaded.check())
    with _stage("warmup"):
        runs, each_ns = _warm_up(loaded.invoke, job["warmup_min_ns"], job["warmup_max_ns"])
    with _stage("run"):
        if meter:  # samples long enough together for the counter to step as often as is asked for
            span_ns = min(_ENERGY_NS, int(job["energy_steps"]) * meter.period_ns)
            least_ns = max(least_ns, ceil(span_ns / samples))
        timed = _time(loaded.invoke, samples, least_ns, each_ns, meter)
        timed |= {"warmup_runs": runs, "peak_memory_bytes": peak or _peak(loaded)}
        timed |= _elsewhere(loaded, samples)
    with _stage("check"):
        timed |= _compared([*checks, loaded.check()]) if checks else {}
        return timed | {"output_sha256": hashlib.sha256(b"".join(loaded.outputs())).hexdigest()}


def _operations(job: dict, runtime, path: str, threads: int) -> dict:
    """The time of each operation, in a copy of the model: the timed one is without a profiler."""
    runs = int(job.get("op_profile") or 0)
    if not runs or not hasattr(runtime, "open_profiled"):
        return {}
    with _stage("profile"):
        loaded = runtime.open_profiled(path, threads)
        _fill(loaded, job)
        for _ in range(runs + 1):
            loaded.invoke()
        return {"op_profile": {"runs": runs, "operations": loaded.operations(runs)}}


def _how(job: dict, runtime) -> tuple[str, ...]:
    """Processor and precision, for a runtime that is told them."""
    known = getattr(runtime, "precisions", ())
    precision = job.get("precision", "fp32")
    if known and precision not in known:
        raise JobError("plan", f"precision must be one of {list(known)}, but got {precision!r}")
    return (job.get("processor", CPU), precision) if known else ()


def _peak(loaded) -> int | None:
    return loaded.peak_memory_bytes() if hasattr(loaded, "peak_memory_bytes") else _MEMORY.peak()


def difference(found: list[np.ndarray], expected: list[np.ndarray]) -> dict:
    """What ``check`` says of outputs: the worst norm of a difference over that of what was expected."""
    pairs = [(f.astype(np.float64), e.astype(np.float64)) for f, e in zip(found, expected, strict=True)]
    nonfinite = sum(int((~np.isfinite(f)).sum()) for f, _ in pairs)
    least = np.finfo(np.float32).tiny
    errors = [float(np.linalg.norm(f - e) / max(np.linalg.norm(e), least)) for f, e in pairs]
    return {"error": None if nonfinite else max(errors), "nonfinite": nonfinite}


def _compared(checks: list[dict]) -> dict:
    """What came of the checks before the first and after the last sample."""
    first, last = checks
    nonfinite = max(first["nonfinite"], last["nonfinite"])
    said = {"against": "cpu-fp32", "first": first["error"], "last": last["error"], "nonfinite": nonfinite}
    return {"check": said}


def _elsewhere(loaded, runs: int) -> dict:
    """Of work that the calling thread only waits for: its CPU time, and who preempted it, say nothing."""
    if not getattr(loaded, "is_elsewhere", False):
        return {}
    device_ns = loaded.device_ns(runs) if hasattr(loaded, "device_ns") else None
    return {"thread_ns": None, "preempted": None, "device_ns": device_ns}


def _processors(runtime) -> list[str]:
    return list(getattr(runtime, "processors", (CPU,)))


def _require_processor(wanted: str, runtime) -> None:
    if wanted not in _processors(runtime):
        raise JobError("plan", f"processor must be one of {_processors(runtime)}, but got {wanted!r}")


def _pin(cpus: list | None) -> set:
    """Run on these CPUs, or on all that are allowed at all; returns which."""
    wanted = set(_ALLOWED if cpus is None else cpus)
    if wanted != os.sched_getaffinity(0):
        os.sched_setaffinity(0, wanted)
    return os.sched_getaffinity(0)  # what the system made of it


def _require_stayed(wanted: set) -> None:
    """Refuse what was timed elsewhere: some runtimes keep to the CPUs of their first model in a process."""
    if (found := os.sched_getaffinity(0)) != wanted:
        said = f"the runtime must stay on the CPUs {sorted(wanted)}, but went to {sorted(found)}: "
        raise JobError("run", said + "ask for other CPUs in another run of the agent")


_ALLOWED = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()


def _warm_up(invoke, min_ns: int, max_ns: int) -> tuple[int, int]:
    """Run until two successive windows agree; return the runs, and the time of one at its best."""
    window_ns = max(1, min_ns // _WINDOWS)
    began = time.perf_counter_ns()
    runs, before, best = 0, 0.0, float("inf")
    while True:
        count, start = 0, time.perf_counter_ns()
        while (now := time.perf_counter_ns()) - start < window_ns or not count:
            invoke()
            count += 1
        now = time.perf_counter_ns()
        runs, each = runs + count, (now - start) / count
        best = min(best, each)
        settled = now - began >= min_ns and abs(each - before) <= _AGREE * each
        if settled or now - began >= max_ns:
            return runs, round(best)
        before = each


def _time(invoke, samples: int, least_ns: int, each_ns: int, meter: _Meter | None = None) -> dict:
    """Time samples of at least ``least_ns``; ``each_ns`` says how long one run was before."""
    timed: dict = {}
    inner = 1
    for _ in range(_LENGTHENED):
        inner = max(inner, -(-least_ns // max(1, each_ns)))
        timed = _sample(invoke, samples, inner, meter)
        each_ns = min(timed["samples_ns"]) // inner
        if each_ns * inner >= 0.9 * least_ns:  # a clock that sped up may shorten them a little
            break
    return timed


def _sample(invoke, samples: int, inner: int, meter: _Meter | None) -> dict:
    """Time samples of ``inner`` runs each, what this thread had of the CPU meanwhile, and their energy."""
    elapsed, busy, cpus, switches, where = [], [], [], [], _cpu_number()
    clock, thread_clock = time.perf_counter_ns, time.thread_time_ns
    steal, switched = _steal_ticks(), _preemptions()
    gc.disable()
    try:
        began = meter.read() if meter else None
        for _ in range(samples):
            thread_start, start = thread_clock(), clock()
            for _ in range(inner):
                invoke()
            elapsed.append(clock() - start)
            busy.append(thread_clock() - thread_start)
            cpus.append(where())
            before, switched = switched, _preemptions()
            switches.append(switched - before)
        energy = meter.told(began, samples * inner) if meter else {}
    finally:
        gc.enable()
    steal_after = _steal_ticks()
    return {
        "samples_ns": elapsed,
        "inner": inner,
        "thread_ns": busy,
        "cpu_ids": cpus,
        "preemptions": sum(switches),
        "preempted": switches,
        "steal_ticks": None if steal is None or steal_after is None else steal_after - steal,
        **energy,
    }


def _preemptions() -> int:
    """Times that the system took a CPU away from this process."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw


def _cpu_number():
    """A function that gives the CPU that the caller runs on, or None where nothing tells."""
    try:
        import ctypes

        getcpu = ctypes.CDLL(None).sched_getcpu
    except (ImportError, OSError, AttributeError):
        return lambda: None
    return getcpu


def _ticks() -> list[int] | None:
    """Ticks of all CPUs since boot: user, nice, system, idle, iowait, irq, softirq, steal."""
    text = _read(Path("/proc/stat"))
    fields = text.split("\n", 1)[0].split() if text else []
    return [int(field) for field in fields[1:9]] if len(fields) > 8 else None


def _steal_ticks() -> int | None:
    """Ticks that the hypervisor kept from all CPUs since boot."""
    ticks = _ticks()
    return ticks[7] if ticks else None


def _conditions(runtime) -> dict:
    """What bears on measuring, now: the difference of two of these tells what went on between."""
    ticks = _ticks()
    load = _read(Path("/proc/loadavg"))
    return {
        "monotonic_ns": time.monotonic_ns(),
        "tick_ns": 10**9 // os.sysconf("SC_CLK_TCK"),
        "busy_ticks": sum(ticks[:3]) + sum(ticks[5:7]) if ticks else None,
        "idle_ticks": ticks[3] + ticks[4] if ticks else None,
        "steal_ticks": ticks[7] if ticks else None,
        "own_cpu_ns": time.process_time_ns(),
        "load_1min": float(load.split()[0]) if load else None,
        "affinity": sorted(os.sched_getaffinity(0)),
        "governor": [_read(folder / "cpufreq/scaling_governor") for folder in _cpu_folders()],
        "freq_khz": _per_cpu("cpufreq/scaling_cur_freq"),
        "max_khz": _per_cpu("cpufreq/scaling_max_freq"),
        "thermal_mc": _thermal(),
        **(runtime.conditions() if hasattr(runtime, "conditions") else {}),
    }


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return None


def _number(path: Path) -> int | None:
    text = _read(path)
    return int(text) if text and text.lstrip("-").isdigit() else None


def _traits() -> dict:
    """What harms measuring and does not change while it goes on."""
    flags = _read(Path("/proc/cpuinfo")) or ""
    no_turbo = _number(CPU_FOLDER / "intel_pstate/no_turbo")
    boost = _number(CPU_FOLDER / "cpufreq/boost") if no_turbo is None else 1 - no_turbo
    supplies = [_read(folder / "status") for folder in sorted(Path("/sys/class/power_supply").glob("*"))]
    return {
        "boost": None if boost is None else bool(boost),
        "hypervisor": " hypervisor" in flags if flags else None,
        "siblings": [_cpu_list(_read(f / "topology/thread_siblings_list")) for f in _cpu_folders()],
        "capacity": _per_cpu("cpu_capacity"),
        "on_battery": "Discharging" in supplies if any(supplies) else None,
        "cpu_quota": _cpu_quota(),
    }


def _cpu_quota() -> float | None:
    """How many CPUs' worth of time the control groups of this process allow; None where all of it."""
    found = []
    for line in (_read(Path("/proc/self/cgroup")) or "").splitlines():
        number, controllers, name = line.split(":", 2)
        if number == "0":  # version 2
            tops = [Path("/sys/fs/cgroup")]
        elif "cpu" in controllers.split(","):
            tops = [Path("/sys/fs/cgroup/cpu"), Path("/sys/fs/cgroup") / controllers]
        else:
            continue
        for top in tops:
            group = top / name.lstrip("/")
            found += [_quota_of(folder) for folder in (group, *group.parents) if folder.is_relative_to(top)]
    return min((quota for quota in found if quota), default=None)


def _quota_of(group: Path) -> float | None:
    """The quota of one control group over its period; None where there is none."""
    both = (_read(group / "cpu.max") or "").split()
    quota = both[0] if both else _read(group / "cpu.cfs_quota_us")
    period = both[1] if len(both) > 1 else _read(group / "cpu.cfs_period_us")
    if quota is None or period is None or not quota.isdecimal() or not int(period):
        return None  # "max" and -1 are no bound
    return int(quota) / int(period)


def _cpu_folders() -> list[Path]:
    return sorted(CPU_FOLDER.glob("cpu[0-9]*"), key=lambda folder: int(folder.name[3:]))


def _per_cpu(name: str) -> list[int | None]:
    return [_number(folder / name) for folder in _cpu_folders()]


def _thermal() -> dict[str, int]:
    """Millidegrees Celsius of the zones that can be read."""
    zones = {}
    for folder in sorted(Path("/sys/class/thermal").glob("thermal_zone*")):
        value = _number(folder / "temp")
        if value is not None:
            zones[f"{folder.name[12:]}:{_read(folder / 'type')}"] = value
    return zones


def _cpu_list(text: str | None) -> list[int] | None:
    """Numbers of a list such as ``0-3,6``."""
    if not text:
        return None
    numbers: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        numbers += range(int(first), int(last or first) + 1)
    return numbers


def _cpu_model() -> str | None:
    for line in (_read(Path("/proc/cpuinfo")) or "").splitlines():
        name, _, value = line.partition(":")
        if name.strip() in ("model name", "Hardware", "Processor"):
            return value.strip()
    return None


def random_input(rng: np.random.Generator, shape, kind) -> np.ndarray:
    """Inputs that every model takes: [0, 1) for floats, the whole range for int8 and uint8."""
    kind = np.dtype(kind)
    if kind in (np.int8, np.uint8):
        low, high = np.iinfo(kind).min, np.iinfo(kind).max
        return rng.integers(low, high, shape, dtype=kind, endpoint=True)
    if kind.kind == "f":
        return rng.random(shape, dtype=np.float32).astype(kind)
    return np.zeros(shape, kind)  # may be an index: 0 is always legal


def library_sha256(path: Path) -> str:
    """Digest of the library that does the work: runtimes have no reliable version of their own."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _hello(runtime) -> dict:
    return {
        "protocol": PROTOCOL,
        **runtime.identity(),
        "processors": _processors(runtime),
        **_refused(runtime),
        "takes": list(getattr(runtime, "takes", ())),
        "energy": _counters(runtime),
        "machine": platform.machine(),
        "cpu_model": _cpu_model(),
        "cpus_online": _cpu_list(_read(CPU_FOLDER / "online")),
    }


def _refused(runtime) -> dict:
    """Precisions that a runtime cannot be told on its processors; nothing of one that is not told any."""
    if not hasattr(runtime, "refuses"):
        return {}
    return {"refuses": {name: runtime.refuses(name) for name in _processors(runtime)}}


def _watch_lifeline() -> None:
    """End at once when standard input closes: whoever wanted the answers is gone."""

    def wait() -> None:
        while os.read(0, 1024):
            pass
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def _plan_lines(path: str):
    if path == "-":
        yield from sys.stdin
    else:
        with Path(path).open(encoding="utf-8") as file:
            yield from file


def main(runtime) -> int:
    """Read the plan, answer each job, say goodbye."""
    parser = argparse.ArgumentParser(description="Times models; see README.md.")
    parser.add_argument("--plan", required=True, help='file with one job a line, or "-"')
    parser.add_argument("--lifeline", action="store_true", help="end when standard input closes")
    options = parser.parse_args()
    if options.lifeline:
        _watch_lifeline()
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a library prints must not mix with the replies

    def say(data: dict) -> None:
        replies.write(json.dumps(data, separators=(",", ":"), allow_nan=False) + "\n")
        replies.flush()

    say({"hello": {**_hello(runtime), "traits": _traits(), "conditions": _conditions(runtime)}})
    kept: dict = {}
    jobs = 0
    for line in _plan_lines(options.plan):
        if not line.strip():
            continue
        jobs += 1
        name = None
        try:
            with _stage("plan"):
                job = json.loads(line)
                name = job["job"]
            say({"job": name, **answer(job, runtime, kept)})
        except JobError as error:
            say({"job": name, "error": str(error), "stage": error.stage})
    say({"bye": {"jobs": jobs, "conditions": _conditions(runtime)}})
    return 0
