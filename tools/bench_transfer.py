"""A new device from a few measured networks: rank correlation and errors, beside two baselines.

    python tools/bench_transfer.py FILE --sources a,b,c --targets x,y --samples 10,20 --trials 20

FILE holds architectures and their latency on devices (CSV or Parquet: a column ``arch`` of
candidate numbers, a column a device). Of a target, nothing is used but the sampled rows. All
other rows are predicted. One JSON object on standard output.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
from pathlib import Path
from typing import Any

import numpy as np

from hwnas import __version__, spaces
from hwnas.latency.active import CANDIDATES, Doubt, choose_rows
from hwnas.latency.base import Prediction
from hwnas.latency.device_prior import DevicePrior, believed_costs, learn_sizes
from hwnas.latency.entries import Entries
from hwnas.latency.evaluate import score
from hwnas.latency.evidence import believe, infer_variances
from hwnas.latency.gaussian import Equations
from hwnas.latency.quadratic import Variance
from hwnas.latency.readers import LatencyFile, read_networks
from hwnas.latency.transfer import transfer

METRICS = ("spearman", "kendall", "mape", "within_10", "coverage_90")
PUBLISHED_SPACE = "fbnet-r32-c100-cifar"  # the networks of the published FBNet latencies
GPU_SOURCES = frozenset(("1080ti_1", "1080ti_32", "1080ti_64"))
PHONES = frozenset(("samsung_a50", "pixel3", "essential_ph_1", "samsung_s7"))
DEFAULT_SOURCES = GPU_SOURCES | PHONES | {"silver_4114", "silver_4210r"}
DEFAULT_TARGETS = frozenset(("fpga", "raspi4", "eyeriss"))
GPU_TARGETS = frozenset(("samsung_s7", "essential_ph_1", "samsung_a50", "silver_4114"))


def main() -> None:
    """Run all trials and print the report."""
    options = parse()
    file = read_networks(options.file)
    targets = names(options.targets)
    sources = (
        []
        if options.no_sources
        else names(options.sources) or [d for d in file.latency_ms if d not in targets]
    )
    entries = describe(options.space, file)
    matrix = entries.layout.matrix(file.indices)
    known = {}
    for name in sources:
        say(f"table of {name} from {len(file.lines)} networks")
        known[name] = source_costs(entries, matrix, file.latency_ms[name])
    sizes = learn_sizes(entries, known)
    results: dict[str, Any] = {}
    for count in [int(c) for c in names(options.samples)]:
        rows = []
        for trial in range(options.trials):
            rng = np.random.default_rng([options.seed, trial])
            rows.append(sample(rng, entries, matrix, known, sizes, count, active=options.active))
        per_target = {}
        for target in targets:
            trials = [one_trial(entries, matrix, file, known, sizes, target, chosen) for chosen in rows]
            per_target[target] = summarise(trials)
            shown = per_target[target]["hwnas"]["spearman"]
            say(f"{count} samples, {target}: spearman {shown['mean']:.4f} ± {shown['std']:.4f}")
        results[str(count)] = {"targets": per_target, "mean": average(per_target)}
    print(json.dumps(report(options, sources, targets, file, results), indent=2, allow_nan=False))


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file", type=Path)
    parser.add_argument("--sources", default="", help="known devices; all that are no target by default")
    parser.add_argument("--targets", required=True, help="devices to predict, joined by commas")
    parser.add_argument("--samples", default="10", help="measured networks, joined by commas")
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--active", action="store_true", help="choose the networks instead of drawing them")
    parser.add_argument("--no-sources", action="store_true", help="no device is known")
    parser.add_argument("--space", default="fbnet", help='"fbnet", a full name, or "none": indices only')
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def names(text: str) -> list[str]:
    """Parts of a list joined by commas."""
    return [part.strip() for part in text.split(",") if part.strip()]


def say(text: str) -> None:
    """Tell how far it is."""
    print(text, file=sys.stderr, flush=True)


def describe(space: str, file: LatencyFile) -> Entries:
    """What is known of the candidates."""
    if space == "none":
        return Entries.of_sizes((file.indices.max(axis=0) + 1).tolist())
    return Entries.of_space(spaces.load(PUBLISHED_SPACE if space == "fbnet" else space))


def source_costs(entries: Entries, matrix: np.ndarray, latency_ms: np.ndarray) -> tuple[float, ...]:
    """A known device's table, from all its networks."""
    prior = DevicePrior(float(latency_ms.mean())).over(entries)
    equations = Equations.of(prior, matrix, latency_ms)
    belief = believe(prior, infer_variances(prior, equations, integrate=False), equations)
    return tuple(believed_costs(entries, belief).tolist())


def sample(
    rng: np.random.Generator,
    entries: Entries,
    matrix: np.ndarray,
    known: dict[str, tuple[float, ...]],
    sizes: dict[str, tuple[float, float]],
    count: int,
    *,
    active: bool,
) -> np.ndarray:
    """Rows to measure: drawn, or chosen from drawn four fifths of the file."""
    if not active:
        return rng.choice(len(matrix), count, replace=False)
    pool = rng.choice(len(matrix), max(count, min(CANDIDATES, len(matrix) * 4 // 5)), replace=False)
    prior = DevicePrior(1.0, known, sizes).over(entries)
    return pool[choose_rows(Doubt.of_prior(prior, 1.0), matrix[pool], count)]


def one_trial(
    entries: Entries,
    matrix: np.ndarray,
    file: LatencyFile,
    known: dict[str, tuple[float, ...]],
    sizes: dict[str, tuple[float, float]],
    target: str,
    rows: np.ndarray,
) -> dict[str, dict[str, float | None]]:
    """Metrics of the model and of the baselines on all other rows."""
    seen = file.latency_ms[target][rows]
    rest = np.setdiff1d(np.arange(len(matrix)), rows)
    found = transfer(entries, file.indices[rows], seen, known, sizes)
    mean = matrix[rest] @ found.costs_ms
    variance = Variance(entries.layout, found.belief.covariance)(file.indices[rest])
    predictions = {"hwnas": Prediction(mean, np.sqrt(variance + (found.belief.noise * mean) ** 2))}
    for name, mean in baselines(entries, matrix, file, list(known), rows, rest, seen).items():
        predictions[name] = Prediction(mean, np.zeros(len(rest)))
    measured = file.latency_ms[target][rest]
    scores = {}
    for name, prediction in predictions.items():
        summary = score(prediction, measured, ()).summary
        scores[name] = {metric: summary[metric] for metric in METRICS}
        if name != "hwnas":
            scores[name].pop("coverage_90")
    scores["hwnas"]["known_used"] = float(bool(found.prior.known))
    return scores


def baselines(
    entries: Entries,
    matrix: np.ndarray,
    file: LatencyFile,
    sources: list[str],
    rows: np.ndarray,
    rest: np.ndarray,
    seen: np.ndarray,
) -> dict[str, np.ndarray]:
    """MACs times the factor that fits best, and the sources' own latencies combined."""
    from scipy.optimize import nnls

    found = {}
    if entries.features is not None:
        macs = matrix @ entries.macs
        found["macs"] = macs[rest] * float(np.mean(seen / macs[rows]))
    if sources:
        columns = np.stack([file.latency_ms[name] for name in sources] + [np.ones(len(matrix))], axis=1)
        weights, _ = nnls(columns[rows], seen)
        found["sources"] = columns[rest] @ weights
    return found


def summarise(
    trials: list[dict[str, dict[str, float | None]]],
) -> dict[str, dict[str, dict[str, float | None]]]:
    """Mean and standard deviation over trials; None where a metric is undefined in a trial."""
    found: dict[str, dict[str, dict[str, float | None]]] = {}
    for name, metrics in trials[0].items():
        found[name] = {}
        for metric in metrics:
            values = [trial[name][metric] for trial in trials]
            if any(v is None for v in values):
                found[name][metric] = {"mean": None, "std": None}
            else:
                found[name][metric] = {"mean": float(np.mean(values)), "std": float(np.std(values))}
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


def report(
    options: argparse.Namespace,
    sources: list[str],
    targets: list[str],
    file: LatencyFile,
    results: dict[str, Any],
) -> dict[str, Any]:
    """The JSON object that is printed."""
    config = {key: str(value) if isinstance(value, Path) else value for key, value in vars(options).items()}
    return {
        "config": config | {"sources": sources, "targets": targets, "networks": len(file.lines)},
        "environment": {
            "hwnas": __version__,
            "python": platform.python_version(),
            "numpy": np.__version__,
            "machine": platform.machine(),
        },
        "results": results,
        "targets": judge(options, sources, targets, results),
    }


def judge(
    options: argparse.Namespace, sources: list[str], targets: list[str], results: dict[str, Any]
) -> list[dict[str, Any]]:
    """The targets that were set for the two published splits, where this run is one of them."""
    if "10" not in results or options.space == "none":
        return []
    found, split = results["10"], (frozenset(sources), frozenset(targets))
    judged = []
    if split == (DEFAULT_SOURCES, DEFAULT_TARGETS):
        least = 0.985 if options.active else 0.975
        judged.append(("default split, 10 samples: mean Spearman", found["mean"]["hwnas"]["spearman"], least))
    if split == (GPU_SOURCES, GPU_TARGETS):
        judged.append(("GPU sources, 10 samples: mean Spearman", found["mean"]["hwnas"]["spearman"], 0.75))
        for name, target in found["targets"].items():
            gain = target["hwnas"]["spearman"]["mean"] - target["macs"]["spearman"]["mean"]
            judged.append((f"GPU sources, 10 samples: {name}, Spearman above MACs alone", gain, -0.01))
    return [
        {"name": name, "value": value, "op": ">=", "target": least, "met": bool(value >= least)}
        for name, value, least in judged
    ]


if __name__ == "__main__":
    main()
