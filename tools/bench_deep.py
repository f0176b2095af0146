"""Does the supernet of a deep space learn? Uniform paths against anchored ones, on digits.

    python tools/bench_deep.py                           # about 8 minutes on one core
    python tools/bench_deep.py --spaces fbnet-r96 --steps 300

Prints one JSON object. For each space and seed one supernet is trained on uniformly random paths
(``release`` 0) and one as the space's depth asks for; both are scored on the same random
architectures, batch norm recalibrated. Guessing is right in a tenth of the images. Needs no data
beside what comes with scikit-learn.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from typing import Any

import numpy as np
import torch
from _bench import parser, report, say, target
from _macro import environment

from hwnas import data, spaces
from hwnas.evaluators.supernet.config import OneShotConfig
from hwnas.evaluators.supernet.oneshot import OneShot
from hwnas.evaluators.supernet.warm_up import warm_up

RELEASES = {"uniform": 0.0, "by depth": None}


def main() -> None:
    """Measure, then print."""
    options = _options()
    torch.set_num_threads(options.threads)
    rows = [
        _run(space, seed, name, options)
        for space in options.spaces
        for seed in options.seeds
        for name in RELEASES
    ]
    report(
        options,
        {"runs": rows},
        [
            target(
                f"{space}: mean accuracy by depth over that of uniform paths",
                _mean(rows, space, "by depth") / _mean(rows, space, "uniform"),
                ">=",
                2.0,
            )
            for space in options.spaces
        ],
        environment(options),
    )


def _options() -> argparse.Namespace:
    found = parser(__doc__, seeds=[0, 1])
    found.add_argument("--spaces", nargs="+", default=["fbnet-r96", "proxylessnas-r96"])
    found.add_argument("--steps", type=int, default=1500)
    found.add_argument("--batch-size", type=int, default=64)
    found.add_argument("--width", type=float, default=0.25, help="of the proxy")
    found.add_argument("--resolution", type=int, default=32, help="of the proxy")
    found.add_argument("--architectures", type=int, default=16, help="that are scored")
    found.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    found.add_argument("--threads", type=int, default=2)
    return found.parse_args()


def _run(name: str, seed: int, paths: str, options: argparse.Namespace) -> dict[str, Any]:
    """One supernet: its accuracies on random architectures, and what it cost."""
    space = spaces.load(name, num_classes=10)
    images = data.load("digits", resolution=space.input_shape[1], seed=0)
    config = OneShotConfig(
        width=options.width,
        resolution=options.resolution,
        batch_size=options.batch_size,
        release=RELEASES[paths],
        seed=seed,
        device=options.device,
    )
    oneshot = OneShot(space, images, config)
    began = time.process_time()
    warm_up(oneshot, options.steps)
    seconds = time.process_time() - began
    rng = np.random.default_rng(seed)
    scores = [oneshot.score(space.sample(rng).indices) for _ in range(options.architectures)]
    row = {
        "space": name,
        "seed": seed,
        "paths": paths,
        "cpu_seconds": seconds,
        "mean_accuracy": statistics.fmean(score.value for score in scores),
        "accuracies": [score.value for score in scores],
        "mean_loss": statistics.fmean(score.loss for score in scores),
    }
    say(json.dumps(row))
    return row


def _mean(rows: list[dict[str, Any]], space: str, paths: str) -> float:
    return statistics.fmean(r["mean_accuracy"] for r in rows if (r["space"], r["paths"]) == (space, paths))


if __name__ == "__main__":
    main()
