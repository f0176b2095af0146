"""A new device from a few measured networks: rank correlation and errors, beside two baselines.

    python tools/bench_transfer.py FILE --sources a,b,c --targets x,y --samples 10,20 --trials 20

FILE holds architectures and their latency on devices (CSV or Parquet: a column ``arch`` of
candidate numbers, a column a device). Of a target, nothing is used but the sampled rows; all
other rows are predicted. One JSON object on standard output.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from _bench import environment, names, parser, report, say, target

from hwnas import spaces
from hwnas.latency.base import Prediction
from hwnas.latency.bayes.active import CANDIDATES, Doubt, choose_rows
from hwnas.latency.bayes.device_prior import DevicePrior, Known, learn_sizes, network_matrix
from hwnas.latency.bayes.entries import Entries
from hwnas.latency.bayes.interactions import ResidualProcess
from hwnas.latency.bayes.known_devices import learn_device
from hwnas.latency.bayes.mixture import FORMS, SUM
from hwnas.latency.bayes.transfer import transfer
from hwnas.latency.evaluate import score
from hwnas.latency.imports.readers import LatencyFile, read_networks

METRICS = ("spearman", "kendall", "mape", "within_10", "coverage_90")
PUBLISHED_SPACE = "fbnet-r32-c100-cifar"  # the networks of the published FBNet latencies
GPU_SOURCES = frozenset(("1080ti_1", "1080ti_32", "1080ti_64"))
PHONES = frozenset(("samsung_a50", "pixel3", "essential_ph_1", "samsung_s7"))
DEFAULT_SOURCES = GPU_SOURCES | PHONES | {"silver_4114", "silver_4210r"}
DEFAULT_TARGETS = frozenset(("fpga", "raspi4", "eyeriss"))
GPU_TARGETS = frozenset(("samsung_s7", "essential_ph_1", "samsung_a50", "silver_4114"))


@dataclass(frozen=True)
class Bench:
    """What does not depend on the target.

    Attributes:
        file: All networks.
        entries: What is known of the candidates.
        known: Cost vectors of the sources.
        residuals: What sums cannot explain of them.
        sizes: What was learnt from them.
        matrix: The networks' equations.
    """

    file: LatencyFile
    entries: Entries
    known: Known
    residuals: dict[str, ResidualProcess]
    sizes: dict[str, tuple[float, float]]
    matrix: np.ndarray


def main() -> None:
    """Run all trials and print the report."""
    options = parse()
    file, targets = read_networks(options.file), names(options.targets)
    sources = names(options.sources) or [device for device in file.latency_ms if device not in targets]
    bench = prepare(file, [] if options.no_sources else sources, options.space)
    results: dict[str, Any] = {}
    for count in [int(c) for c in names(options.samples)]:
        rows = [sample(bench, count, [options.seed, t], options.active) for t in range(options.trials)]
        per_target = {}
        for device in targets:
            per_target[device] = summarise([one_trial(bench, device, chosen) for chosen in rows])
            shown = per_target[device]["hwnas"]["spearman"]
            say(f"{count} samples, {device}: spearman {shown['mean']:.4f} ± {shown['std']:.4f}")
        results[str(count)] = {"targets": per_target, "mean": average(per_target)}
    judged = judge(options, list(bench.known), targets, results)
    report(config_of(options, bench, targets), results, judged, environment("numpy"))


def parse() -> argparse.Namespace:
    """Read the command line."""
    found = parser(__doc__, seed=0)
    found.add_argument("file", type=Path)
    found.add_argument("--sources", default="", help="known devices; all that are no target by default")
    found.add_argument("--targets", required=True, help="devices to predict, joined by commas")
    found.add_argument("--samples", default="10", help="measured networks, joined by commas")
    found.add_argument("--trials", type=int, default=20)
    found.add_argument("--active", action="store_true", help="choose the networks instead of drawing them")
    found.add_argument("--no-sources", action="store_true", help="no device is known")
    found.add_argument("--space", default="fbnet", help='"fbnet", a full name, or "none": indices only')
    return found.parse_args()


def prepare(file: LatencyFile, sources: list[str], space: str) -> Bench:
    """Learn the sources from all their networks."""
    if space == "none":
        entries = Entries.of_sizes((file.indices.max(axis=0) + 1).tolist())
    else:
        entries = Entries.of_space(spaces.load(PUBLISHED_SPACE if space == "fbnet" else space))
    known, residuals = {}, {}
    for name in sources:
        say(f"learning {name} from {len(file.lines)} networks")
        known[name], residual = learn_device(entries, file.indices, file.latency_ms[name])
        if residual is not None:
            residuals[name] = residual
    sizes = learn_sizes(entries, known, residuals)
    return Bench(
        file, entries, known, residuals, sizes, network_matrix(entries, file.indices, known, residuals)
    )


def sample(bench: Bench, count: int, seed: list[int], active: bool) -> np.ndarray:
    """Rows to measure: drawn, or chosen from drawn four fifths of the file."""
    rng, total = np.random.default_rng(seed), len(bench.matrix)
    if not active:
        return rng.choice(total, count, replace=False)
    pool = rng.choice(total, max(count, min(CANDIDATES, total * 4 // 5)), replace=False)
    prior = DevicePrior(1.0, bench.known, bench.sizes, tuple(bench.residuals)).over(bench.entries)
    return pool[choose_rows(Doubt.of_prior(prior, 1.0), bench.matrix[pool], count)]


def one_trial(bench: Bench, target: str, rows: np.ndarray) -> dict[str, dict[str, float | None]]:
    """Metrics of the model and of the baselines on all other rows."""
    latency_ms = bench.file.latency_ms[target]
    rest = np.setdiff1d(np.arange(len(bench.matrix)), rows)
    found = transfer(
        bench.entries, bench.file.indices[rows], latency_ms[rows], bench.known, bench.sizes, bench.residuals
    )
    predictions = {"hwnas": found.predict(bench.file.indices[rest])}
    for name, mean in baselines(bench, latency_ms, rows, rest).items():
        predictions[name] = Prediction(mean, np.zeros(len(rest)))
    scores = {}
    for name, prediction in predictions.items():
        summary = score(prediction, latency_ms[rest], ()).summary
        scores[name] = {metric: summary[metric] for metric in METRICS}
        if name != "hwnas":
            scores[name].pop("coverage_90")
    scores["hwnas"]["known_used"] = float(bool(found.prior.known))
    for name in (SUM, *FORMS):
        scores["hwnas"][f"share as {name}"] = found.shares.get(name, 0.0)
    return scores


def baselines(
    bench: Bench, latency_ms: np.ndarray, rows: np.ndarray, rest: np.ndarray
) -> dict[str, np.ndarray]:
    """MACs times the factor that fits best; the sources' own latencies, combined without minus signs."""
    from scipy.optimize import nnls

    found, layout = {}, bench.entries.layout
    if bench.entries.features is not None:
        macs = bench.matrix[:, : layout.entries] @ bench.entries.macs
        found["macs"] = macs[rest] * float(np.mean(latency_ms[rows] / macs[rows]))
    if bench.known:
        measured = [bench.file.latency_ms[name] for name in bench.known]
        columns = np.stack([*measured, np.ones(len(latency_ms))], axis=1)
        weights, _ = nnls(columns[rows], latency_ms[rows])
        found["sources"] = columns[rest] @ weights
    return found


def summarise(trials: list[dict[str, dict[str, float | None]]]) -> dict[str, dict[str, dict[str, Any]]]:
    """Mean and standard deviation over trials, and in how many a metric was not defined, if in any.

    A rank correlation is not defined where a baseline predicts the same for all networks.
    """
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for name, metrics in trials[0].items():
        found[name] = {}
        for metric in metrics:
            values = [v for trial in trials if (v := trial[name][metric]) is not None]
            defined = (
                {"mean": float(np.mean(values)), "std": float(np.std(values))} if values else {"mean": None}
            )
            missing = len(trials) - len(values)
            found[name][metric] = defined | ({"undefined": missing} if missing else {})
    return found


def average(per_target: dict[str, Any]) -> dict[str, dict[str, float | None]]:
    """Mean over targets of the means over trials."""
    first = next(iter(per_target.values()))
    found: dict[str, dict[str, float | None]] = {}
    for name in first:
        found[name] = {}
        for metric in first[name]:
            values = [target[name][metric]["mean"] for target in per_target.values()]
            found[name][metric] = None if any(v is None for v in values) else float(np.mean(values))
    return found


def config_of(options: argparse.Namespace, bench: Bench, targets: list[str]) -> dict[str, Any]:
    """The options, and what they came to."""
    return vars(options) | {
        "sources": list(bench.known),
        "targets": targets,
        "networks": len(bench.file.lines),
        "sources_with_remainder": list(bench.residuals),
    }


def judge(
    options: argparse.Namespace, sources: list[str], targets: list[str], results: dict[str, Any]
) -> list[dict[str, Any]]:
    """The targets that were set for this run: one of the two published splits, or indices alone."""
    if "10" not in results:
        return []
    if options.space == "none":
        return judge_proportions(results["10"]["targets"]) if sources else []
    found, split = results["10"], (frozenset(sources), frozenset(targets))
    judged = []
    if split == (DEFAULT_SOURCES, DEFAULT_TARGETS):
        least = 0.985 if options.active else 0.975
        judged.append(("default split, 10 samples: mean Spearman", found["mean"]["hwnas"]["spearman"], least))
    if split == (GPU_SOURCES, GPU_TARGETS):
        judged.append(("GPU sources, 10 samples: mean Spearman", found["mean"]["hwnas"]["spearman"], 0.75))
        for name, seen in found["targets"].items():
            gain = seen["hwnas"]["spearman"]["mean"] - seen["macs"]["spearman"]["mean"]
            judged.append((f"GPU sources, 10 samples: {name}, Spearman above MACs alone", gain, -0.01))
    return [target(name, value, ">=", least) for name, value, least in judged]


def judge_proportions(targets: dict[str, Any]) -> list[dict[str, Any]]:
    """No worse than known devices combined, in rank (to .01) and in proportion; intervals that hold."""
    judged: list[tuple[str, float, str, float]] = []
    for name, found in targets.items():
        mean = {model: {metric: v["mean"] for metric, v in found[model].items()} for model in found}
        ours, simplest = mean["hwnas"], mean["sources"]
        if ours["spearman"] is not None and simplest["spearman"] is not None:
            gain = ours["spearman"] - simplest["spearman"]
            judged.append((f"{name}: Spearman above known devices combined", gain, ">=", -0.01))
        judged.append(
            (f"{name}: MAPE below known devices combined", ours["mape"] - simplest["mape"], "<=", 0.01)
        )
        judged.append((f"{name}: coverage of 90 % intervals", ours["coverage_90"], ">=", 0.85))
        judged.append((f"{name}: coverage of 90 % intervals", ours["coverage_90"], "<=", 0.95))
    return [target(f"10 samples, {what}", value, op, bound) for what, value, op, bound in judged]


if __name__ == "__main__":
    main()
