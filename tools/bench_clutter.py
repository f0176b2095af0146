"""Does the drawn set tell networks apart? Random networks of `macro`, trained alike.

    python tools/bench_clutter.py --rows rows.jsonl > clutter.json      # an hour and a half of one core
    python tools/bench_clutter.py --networks 4 --repeated 2 --source clutter:2000     # a quick look

Distinct random architectures are trained from scratch with the same settings and looked at on the
test split once. *Spread*: distance between the 10th and the 90th percentile of their accuracies.
*Repeatability*: the first of them are trained again from other seeds, on the same images; standard
deviation of the accuracy of one network, pooled over them. Networks are proxies: narrower than
those of the space, so that thirty can be trained on a CPU.

One JSON object on standard output, progress on standard error. With ``--rows`` finished trainings
are kept in a file, and a bench that was cut off goes on from there.
"""

from __future__ import annotations

import argparse
import statistics
import time
from typing import Any

import numpy as np
import torch
from _bench import Rows, parser, report, target
from _macro import distinct, environment

from hwnas import data, spaces
from hwnas.data import Dataset
from hwnas.evaluators.supernet.network import proxy_space
from hwnas.space import SearchSpace
from hwnas.train import TrainConfig, fit, new_network
from hwnas.train.scoring import evaluate


def main() -> None:
    """Train, look, print."""
    options = _options()
    torch.set_num_threads(options.threads)
    dataset = data.load(options.source, resolution=options.resolution, seed=options.data_seed)
    space = spaces.load(f"macro-r{options.resolution}", num_classes=dataset.num_classes)
    proxy = proxy_space(space, width=options.width)
    rows = Rows(options.rows)

    def trained(indices: tuple[int, ...], seed: int) -> dict[str, Any]:
        made_by = [options.source, options.resolution, options.data_seed, options.width, options.epochs]
        made_by += [options.batch_size, options.learning_rate]
        key = "/".join(map(str, [*made_by, "".join(map(str, indices)), seed]))
        return rows.get(key, lambda: _train(proxy, indices, dataset, options, seed))

    networks = distinct(space, options.networks, options.seed)
    first = [trained(indices, 0) for indices in networks]
    again = [
        [row, *(trained(indices, seed) for seed in range(1, options.trainings))]
        for row, indices in zip(first[: options.repeated], networks, strict=False)
    ]
    accuracies = [row["accuracy"] for row in first]
    low, high = (float(q) for q in np.quantile(accuracies, (0.1, 0.9)))
    variances = [statistics.variance(row["accuracy"] for row in group) for group in again]
    deviation = statistics.fmean(variances) ** 0.5 if variances else None
    report(
        options,
        {
            "data": dataset.describe(),
            "accuracies": accuracies,
            "quantiles": {q: float(np.quantile(accuracies, float(q))) for q in ("0", ".1", ".5", ".9", "1")},
            "standard_error_of_one": float(
                np.sqrt(np.mean([a * (1 - a) for a in accuracies]) / len(dataset.test))
            ),
            "repeated": [[row["accuracy"] for row in group] for group in again],
            "deviations": [variance**0.5 for variance in variances],
            "networks": [{"indices": list(i), **row} for i, row in zip(networks, first, strict=True)],
            "cpu_seconds": sum(row["cpu_seconds"] for row in rows.found.values()),
        },
        [
            target("10th to 90th percentile of the accuracies", high - low, ">=", 0.1),
            target("standard deviation between trainings of a network", deviation, "<=", 0.015),
        ],
        environment(options),
    )


def _train(
    proxy: SearchSpace, indices: tuple[int, ...], dataset: Dataset, options: argparse.Namespace, seed: int
) -> dict[str, Any]:
    """One training: accuracy on the test split, and what it cost."""
    config = TrainConfig(
        epochs=options.epochs,
        batch_size=options.batch_size,
        learning_rate=options.learning_rate,
        augment=options.epochs > 1,  # no image is seen twice in one pass
        seed=seed,
    )
    arch = proxy.architecture(indices)
    model = new_network(arch, seed)
    began = time.process_time()
    result = fit(model, dataset, config)
    return {
        "accuracy": evaluate(model, dataset, "test").value,
        "val_accuracy": result.val.value,
        "macs": arch.macs,
        "cpu_seconds": time.process_time() - began,
    }


def _options() -> argparse.Namespace:
    found = parser(__doc__, seed=0, rows="trainings")
    found.add_argument("--source", default="clutter-hard:78000")
    found.add_argument("--resolution", type=int, default=32)
    found.add_argument("--networks", type=int, default=30)
    found.add_argument("--repeated", type=int, default=6, help="networks that are trained several times")
    found.add_argument("--trainings", type=int, default=3, help="of each of those")
    found.add_argument("--width", type=float, default=0.25, help="channels over those of the space")
    found.add_argument("--epochs", type=int, default=1)
    found.add_argument("--batch-size", type=int, default=32)
    found.add_argument("--learning-rate", type=float, default=0.1)
    found.add_argument("--data-seed", type=int, default=0)
    found.add_argument("--threads", type=int, default=1)
    found.add_argument("--device", default="cpu", choices=("cpu",))
    return found.parse_args()


if __name__ == "__main__":
    main()
