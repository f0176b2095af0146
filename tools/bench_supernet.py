"""What a supernet costs, and how well it ranks: the macro space on CIFAR-10.

    python tools/bench_supernet.py                                  # about 25 minutes on 2 cores
    python tools/bench_supernet.py --minutes 0.2 --architectures 20 # a first impression

Prints one JSON object. *Cost*: time and peak memory of one training step of a single path, of
FBNet's soft mixture and of ProxylessNAS's two steps, interleaved (memory: one process each),
and of a single path in channels-first memory. *Rank*: Kendall's tau between what the supernet
says after so many minutes of training and the true accuracy of NAS-Bench-Macro, beside what
costs nothing: MACs, parameters, the number of layers that are not identities, and what is measured
of random weights (``--minutes`` without a number ranks by those alone). Minutes are counted in
images: at the pace that is measured first, or at ``--images-per-second`` where
that was measured before, as on a machine that has other work now.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import multiprocessing
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _bench import report, say, target
from _macro import config_of, distinct, environment, load, macs_costs, parser, train, trained
from scipy.stats import kendalltau

from hwnas import data, spaces
from hwnas.budget import Budget
from hwnas.data import Dataset
from hwnas.evaluators.supernet.oneshot import OneShot
from hwnas.evaluators.zero_cost.config import CALLED, ZeroCostConfig
from hwnas.evaluators.zero_cost.untrained import Untrained
from hwnas.search.oneshot.fbnet import FBNet
from hwnas.search.oneshot.loop import OneShotStrategy
from hwnas.search.oneshot.proxylessnas import ProxylessNAS
from hwnas.search.problem import Constraint, Problem, relative_budget
from hwnas.search.session import Session
from hwnas.space import SearchSpace

TAU_BY_LOSS = {2.0: 0.68, 5.0: 0.76, 10.0: 0.80}
STEPS = ("single path", "fbnet weights", "fbnet gates", "proxylessnas weights", "proxylessnas gates")


def main() -> None:
    """Measure, then print."""
    options = _options()
    results: dict[str, Any] = {}
    if options.step_rounds:
        results["step"] = _cost(options)
    if options.minutes or not options.no_controls:
        results["rank"] = _rank(options)
    report(options, results, _targets(options, results), environment(options))


def _options() -> argparse.Namespace:
    found = parser(__doc__, [0])
    found.add_argument(
        "--minutes", type=float, nargs="*", default=[2.0, 5.0, 10.0], help="of training, one run each"
    )
    found.add_argument("--images-per-second", type=float, help="what a minute of training is worth")
    found.add_argument("--architectures", type=int, default=150, help="that are ranked")
    found.add_argument("--sample-seed", type=int, default=123, help="of the ranked architectures")
    found.add_argument("--no-controls", action="store_true", help="leave out what needs no training")
    found.add_argument("--step-rounds", type=int, default=5, help="of timing; 0 leaves cost out")
    found.add_argument("--step-width", type=float, default=0.5, help="of the supernet whose steps are timed")
    found.add_argument("--step-resolution", type=int, default=16)
    return found.parse_args()


# Cost of a step -----------------------------------------------------------------------------


def _cost(options: argparse.Namespace) -> dict[str, Any]:
    """Seconds of each kind of step, interleaved, and its memory in a process of its own."""
    runners = {name: _runner(name, options) for name in STEPS}
    runners["single path, channels first"] = _runner("single path", options, channels_last=False)
    seconds: dict[str, list[float]] = {name: [] for name in runners}
    for run in runners.values():
        run(0)
    for number in range(1, options.step_rounds + 1):
        for name, run in runners.items():
            began = time.perf_counter()
            for inner in range(5):  # the same random paths for each kind
                run(5 * number + inner)
            seconds[name].append((time.perf_counter() - began) / 5)
        say(f"step cost: round {number}/{options.step_rounds}")
    found = {}
    for name, values in seconds.items():
        found[name] = {"seconds": values, "median_s": statistics.median(values)}
    base = found["single path"]
    for entry in found.values():
        entry["time_ratio"] = entry["median_s"] / base["median_s"]
    if options.device == "cpu":
        peaks = {name: _peak_mib(name, options) for name in STEPS}
        for name, peak in peaks.items():
            if peak is not None:
                found[name] |= {"peak_mib": peak, "memory_ratio": peak / peaks["single path"]}
    return found


def _runner(name: str, options: argparse.Namespace, *, channels_last: bool = True) -> Callable[[int], None]:
    """A function that runs one training step of a kind, on random images."""
    space = spaces.load("macro")
    config = dataclasses.replace(
        config_of(options, 0), width=options.step_width, resolution=options.step_resolution
    )
    oneshot = OneShot(space, _noise(options.batch_size), config)
    if not channels_last:
        oneshot.supernet.to(memory_format=torch.contiguous_format)
        take = oneshot.batches.step

        def contiguous(*arguments: Any) -> tuple[torch.Tensor, torch.Tensor]:
            images, labels = take(*arguments)
            return images.contiguous(), labels

        oneshot.batches.step = contiguous  # type: ignore[method-assign]
    costs = macs_costs(space)
    problem = Problem(space, (Constraint(Budget("macs", relative_budget(costs, 0.5)), costs),))
    strategy: OneShotStrategy = FBNet() if name.startswith("fbnet") else ProxylessNAS()
    state = strategy._start(problem, oneshot, 0, Session())

    def run(step: int) -> None:
        if name == "single path":
            oneshot.weight_step(oneshot.paths.uniform(step), 0.01)
        elif name.endswith("weights"):
            oneshot.weight_step(strategy.weight_gates(state, step), 0.01)
        else:
            strategy.gate_step(state, step)
        if options.device == "cuda":
            torch.cuda.synchronize()

    return run


def _noise(batch_size: int) -> Dataset:
    rng = np.random.default_rng(0)
    split = data.Split(
        rng.integers(0, 256, (2 * batch_size, 3, 32, 32), dtype=np.uint8), rng.integers(0, 10, 2 * batch_size)
    )
    names = tuple(str(n) for n in range(10))
    half = (0.5,) * 3
    return Dataset("noise", names, split, split, split, half, half, True, 0, 0.5, 0.5)


def _peak_mib(name: str, options: argparse.Namespace) -> float | None:
    """Peak resident memory of 8 steps above what the process held before them; Linux only."""
    if not Path("/proc/self/clear_refs").exists():
        return None
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        return pool.apply(_child, (name, options))


def _child(name: str, options: argparse.Namespace) -> float:
    torch.set_num_threads(options.threads)
    run = _runner(name, options)
    before = _memory_mib("VmRSS")
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")  # forgets the peak so far
    for step in range(8):
        run(step)
    return _memory_mib("VmHWM") - before


def _memory_mib(field: str) -> float:
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith(field):
            return int(line.split()[1]) / 1024
    raise LookupError(field)


# Ranking ------------------------------------------------------------------------------------


def _rank(options: argparse.Namespace) -> dict[str, Any]:
    space, dataset, benchmark = load(options)
    sample = distinct(space, options.architectures, options.sample_seed)
    truth = [benchmark.accuracy(indices) for indices in sample]
    free = {} if options.no_controls else _controls(space, dataset, sample)
    controls = {name: _tau(values, truth) for name, values in free.items()}
    if not options.minutes:
        return {"architectures": len(sample), "controls": controls}
    pace = options.images_per_second or _pace(space, dataset, options)
    runs = [
        _ranked(space, dataset, sample, truth, (minutes, round(60 * minutes * pace), seed), options)
        for minutes in options.minutes
        for seed in options.seeds
    ]
    return {
        "architectures": len(sample),
        "images_per_second": pace,
        "controls": controls,
        "supernets": runs,
    }


def _ranked(
    space: SearchSpace,
    dataset: Dataset,
    sample: list[tuple[int, ...]],
    truth: list[float],
    training: tuple[float, int, int],
    options: argparse.Namespace,
) -> dict[str, Any]:
    """How well a supernet ranks after one training: minutes, what they are in images, seed."""
    minutes, images, seed = training
    steps = images // options.batch_size
    oneshot, seconds = trained(space, dataset, options, seed, steps)
    began = time.process_time()
    scores = [oneshot.score(indices) for indices in sample]
    found = {
        "minutes": minutes,
        "seed": seed,
        "images": steps * options.batch_size,
        "cpu_seconds": seconds,
        "scoring_cpu_seconds": time.process_time() - began,
        "tau_by_loss": _tau([-s.loss for s in scores], truth),
        "tau_by_accuracy": _tau([s.value for s in scores], truth),
    }
    say(json.dumps(found))
    return found


def _pace(space: SearchSpace, dataset: Dataset, options: argparse.Namespace) -> float:
    """Images a second, of a supernet that is thrown away."""
    oneshot = OneShot(space, dataset, config_of(options, 99))
    train(oneshot, 5, "pace")
    began = time.perf_counter()
    train(oneshot, 45, "pace")
    return 40 * options.batch_size / (time.perf_counter() - began)


def _controls(space: SearchSpace, dataset: Dataset, sample: list[tuple[int, ...]]) -> dict[str, list[float]]:
    """What needs no training, larger is better."""
    networks = [space.architecture(indices) for indices in sample]
    layers = [sum(w.block.kind != "skip" for w in network.workloads) for network in networks]
    largest = max(network.macs for network in networks)
    return {
        "MACs": [float(n.macs) for n in networks],
        "parameters": [float(n.params) for n in networks],
        "layers that are not skipped, then MACs": [
            depth + n.macs / largest / 2 for depth, n in zip(layers, networks, strict=True)
        ],
        **dict(_measures(space, dataset, sample)),
    }


def _measures(
    space: SearchSpace, dataset: Dataset, sample: list[tuple[int, ...]]
) -> Iterator[tuple[str, list[float]]]:
    """What random weights say at full size (``hwnas search --evaluate``), and how long each network took."""
    for measure, name in CALLED.items():
        evaluate = Untrained(space, dataset, ZeroCostConfig(measure=measure))
        yield name, [evaluate.value(indices) for indices in sample]
        say(f"{name}: {evaluate.traits.seconds:.2f} s a network")


def _tau(values: list[float], truth: list[float]) -> dict[str, float]:
    """Kendall's tau and its standard error over the architectures, by bootstrap."""
    rng = np.random.default_rng(0)
    one, two = np.array(values), np.array(truth)
    rows = [rng.integers(0, len(one), len(one)) for _ in range(200)]
    again = [float(kendalltau(one[r], two[r]).statistic) for r in rows]
    return {"tau": float(kendalltau(one, two).statistic), "se": float(np.nanstd(again))}


def _targets(options: argparse.Namespace, results: dict[str, Any]) -> list[dict[str, Any]]:
    found = []
    if "step" in results:
        step = results["step"]
        for kind in ("weights", "gates"):
            entry = step[f"proxylessnas {kind}"]
            found.append(
                target(f"proxylessnas {kind} step, time over single path", entry["time_ratio"], "<=", 1.3)
            )
            if "memory_ratio" in entry:
                name = f"proxylessnas {kind} step, memory over single path"
                found.append(target(name, entry["memory_ratio"], "<=", 1.3))
        if options.device == "cpu":
            gain = step["single path, channels first"]["time_ratio"]
            found.append(target("channels first over channels last, time of a step", gain, ">=", 1.7))
    runs = results.get("rank", {}).get("supernets", [])
    for minutes, bound in TAU_BY_LOSS.items():
        taus = [run["tau_by_loss"]["tau"] for run in runs if run["minutes"] == minutes]
        if taus:
            name = f"mean tau by held-out loss after {minutes:g} minutes, {len(taus)} seeds"
            found.append(target(name, statistics.fmean(taus), ">=", bound))
    return found


if __name__ == "__main__":
    main()
