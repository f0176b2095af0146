"""What does the search of the quickstart gain over random? Paired by seed, on its own data.

    python tools/bench_quickstart.py --rows rows.jsonl > quickstart.json  # minutes a seed on two cores
    python tools/bench_quickstart.py --full --work DIR --rows full.jsonl  # the whole quickstart

For each seed, with the settings of ``hwnas quickstart``: one search; random search over the same
supernet under the same budgets (the quickstart's baseline); and one random network of equal cost,
drawn uniformly from those that keep the budgets and use at least 95 % of the tightest. Each is
trained alike and looked at on the test split once. The seed decides the images as well.

Without ``--full`` nothing is measured on the device: latencies are those that the tables in
``--tables`` (or one's own, or those that came with hwnas) predict, no finalist is measured or
repaired, and nothing is exported or verified; the random network is left out with ``--full``.
Results are means over seeds with 95 % intervals (Student's t over the seeds); of one seed there is
no interval. One JSON object on standard output. With ``--rows`` finished seeds are kept in a file,
and a bench that was cut off goes on from there.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _bench import Rows, made_folder, parser, report, say, target
from _macro import environment

from hwnas import data, device, files, latency, spaces
from hwnas.data import Dataset
from hwnas.pipeline import Config, quickstart
from hwnas.search.constraints import constraints_of
from hwnas.search.feasible import FeasibleSampler, near_budget
from hwnas.search.problem import Problem
from hwnas.search.request import SearchRequest
from hwnas.search.searching import search_run
from hwnas.settings import requests
from hwnas.space import Architecture
from hwnas.train import TrainConfig, fit, new_network
from hwnas.train.scoring import evaluate

FOUND, SEARCHED, DRAWN = "found", "random search", "random network"
EQUAL = 0.95  # of the tightest budget that a random network of equal cost uses at least


def main() -> None:
    """Search, train, print."""
    options = _options()
    torch.set_num_threads(options.threads)
    rows = Rows(options.rows)
    made_by = (
        f"{'full' if options.full else 'predicted'}/{options.data}/{options.budget}/{_settings(options)}"
    )
    with tempfile.TemporaryDirectory() as name:
        folder = options.work or Path(name)
        run = _whole if options.full else _predicted
        found = [
            rows.get(f"{made_by}/{seed}", lambda seed=seed: run(seed, folder / str(seed), options))
            for seed in options.seeds
        ]
    accuracies = {name: [row["accuracy"][name] for row in found] for name in found[0]["accuracy"]}
    gains = {name: _gain(accuracies[FOUND], other) for name, other in accuracies.items() if name != FOUND}
    report(
        options,
        {
            "measured": options.full,
            "mean_accuracy": {name: statistics.fmean(values) for name, values in accuracies.items()},
            "gain_over": gains,
            "seeds": dict(zip(map(str, options.seeds), found, strict=True)),
        },
        [
            target(f"gain over a {name}: low end of the 95 % interval", gain["interval"][0], ">=", 0.0)
            for name, gain in gains.items()
            if name == DRAWN and gain["interval"]
        ],
        environment(options),
    )


def _gain(found: Sequence[float], other: Sequence[float]) -> dict[str, Any]:
    """Mean of the paired differences, and its 95 % interval where there are several seeds."""
    from scipy import stats

    differences = [a - b for a, b in zip(found, other, strict=True)]
    mean, count = statistics.fmean(differences), len(differences)
    if count < 2:
        return {"mean": mean, "interval": None, "differences": differences}
    half = float(stats.t.ppf(0.975, count - 1)) * statistics.stdev(differences) / count**0.5
    return {"mean": mean, "interval": [mean - half, mean + half], "differences": differences}


def _settings(options: argparse.Namespace) -> str:
    """The quickstart's settings as a short hash, so that rows of other settings are not mixed."""
    values = {k: v for k, v in _config(0, Path("run"), options).values.items() if k}
    return hashlib.sha256(json.dumps(values, sort_keys=True, default=str).encode()).hexdigest()[:12]


def _config(seed: int, folder: Path, options: argparse.Namespace) -> Config:
    return quickstart.config_of(folder, "host", _asked(seed, options))


def _asked(seed: int, options: argparse.Namespace) -> quickstart.QuickstartOptions:
    return quickstart.QuickstartOptions(
        data=options.data, budget=options.budget, epochs=options.epochs, seed=seed
    )


def _whole(seed: int, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """One quickstart: everything is measured."""
    began = time.monotonic()
    summary = quickstart.run(
        folder,
        device.load("host"),
        _asked(seed, options),
        tell=lambda stage, text: say(f"seed {seed}: {stage}: {text}") if text else None,
    )
    accuracy = summary.quality
    return {
        "accuracy": {FOUND: accuracy[quickstart.STRATEGY], SEARCHED: accuracy[quickstart.BASELINE]},
        "summary": summary.to_json(),
        "seconds": time.monotonic() - began,
    }


def _predicted(seed: int, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """One search with its controls, by predicted latencies."""
    began, config = time.monotonic(), _config(seed, folder, options)
    dataset = data.load(config.data, resolution=spaces.load("macro").input_shape[1], seed=seed)
    models = _models(config, dataset, folder, options)
    found = requests.search(config, space=config.basics.space, data=config.data, latencies=models)
    runs = {FOUND: folder / "found", SEARCHED: folder / "random"}
    _search(found, runs[FOUND], dataset)
    again = {
        "strategy": quickstart.BASELINE,
        "settings": dict(config.values["baseline.settings"]),
        "supernet": runs[FOUND] / "supernet.safetensors",
    }
    _search(replace(found, **again), runs[SEARCHED], dataset)
    searched = time.monotonic() - began
    archs = {
        name: spaces.architecture_from_json(files.read_json(run / "arch.json", "the found architecture"))
        for name, run in runs.items()
    }
    task = _task(found)
    near = FeasibleSampler(near_budget(task, EQUAL)).sample(1, np.random.default_rng([seed, 17]))
    archs[DRAWN] = task.space.architecture(near[0])
    accuracy = _trained(archs, dataset, config)
    limits = [constraint.usable for constraint in task.constraints]
    return {
        "accuracy": accuracy,
        "indices": {name: list(arch.indices) for name, arch in archs.items()},
        "use_of_tightest": {
            name: float((task.costs(np.array([arch.indices]))[0] / limits).max())
            for name, arch in archs.items()
        },
        "seconds": {"search": searched, "all": time.monotonic() - began},
    }


def _models(config: Config, dataset: Dataset, folder: Path, options: argparse.Namespace) -> tuple[Path, ...]:
    """Latency models of every target of this machine, fitted to tables that are there."""
    space, host = spaces.load("macro", num_classes=dataset.num_classes), device.load("host")
    found = []
    for runtime in host.runtimes:
        for precision in config.targets.precisions:
            source = latency.find_table(host.target(runtime, precision), space, options.tables)
            found.append(latency.fitted(source, folder / f"{runtime}-{precision}.json"))
    return tuple(found)


def _search(request: SearchRequest, out: Path, dataset: Dataset) -> None:
    """Search, unless that was done before the bench was cut off."""
    if not (out / "search.json").exists():
        search_run(request, out, dataset=dataset)


def _task(request: SearchRequest) -> Problem:
    """The budgets of a search, to draw random networks under."""
    models = [latency.load(path) for path in request.latencies]
    space = spaces.load(request.space, num_classes=10)
    limits = constraints_of(models, request.budgets, space, request.confidence)
    return Problem(space, limits)


def _trained(archs: dict[str, Architecture], dataset: Dataset, config: Config) -> dict[str, float]:
    """Test accuracy of each; a network that is there twice is trained once."""
    values = config.train[1] | {"seed": config.basics.seed, "device": "cpu"}
    known: dict[str, float] = {}
    for name, arch in archs.items():
        if arch.id not in known:
            model = new_network(arch, config.basics.seed)
            fit(model, dataset, TrainConfig(**values))
            known[arch.id] = evaluate(model, dataset, "test").value
        say(f"seed {config.basics.seed}: {name} {arch.indices}: {known[arch.id]:.4f}")
    return {name: known[arch.id] for name, arch in archs.items()}


def _options() -> argparse.Namespace:
    found = parser(__doc__, seeds=[0, 1, 2, 3, 4], rows="seeds")
    found.add_argument("--data", default=quickstart.QuickstartOptions.data)
    found.add_argument("--budget", default=quickstart.QuickstartOptions.budget)
    found.add_argument("--epochs", type=int, help="of every training; those of the quickstart by default")
    found.add_argument("--full", action="store_true", help="whole quickstarts, with measuring")
    found.add_argument("--tables", type=Path, help="folder of latency tables; one's own by default")
    found.add_argument("--work", type=made_folder, help="folder to keep runs in")
    found.add_argument("--threads", type=int, default=2)
    found.add_argument("--device", default="cpu", choices=("cpu",))
    return found.parse_args()


if __name__ == "__main__":
    main()
