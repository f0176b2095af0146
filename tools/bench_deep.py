"""Does the supernet of a deep space learn? Uniform paths, anchored ones, and blocks that a teacher teaches.

    python tools/bench_deep.py --rows rows.jsonl         # about half an hour of one core
    python tools/bench_deep.py --spaces fbnet-r96 --steps 300 --taught-steps 100

For each space and seed one supernet is trained on uniformly random paths (``release`` 0), one as the space's
depth asks for, and one *blockwise*: its largest network first, then all other candidates from that one's
features. All are scored on the same random architectures, batch norm recalibrated; guessing is right in a
tenth of the images. With ``--trained`` the first of those architectures are trained on their own too, and
*tau* is Kendall's of their losses and of each supernet's. Needs no data beside what comes with scikit-learn.

Prints one JSON object; with ``--rows`` finished trainings are kept.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _bench import Rows, parser, report, target
from _macro import environment
from scipy.stats import kendalltau

from hwnas import data, spaces
from hwnas.data.batches import steps_per_epoch
from hwnas.evaluators.blockwise import Blockwise
from hwnas.evaluators.supernet.config import OneShotConfig
from hwnas.evaluators.supernet.network import proxy_space
from hwnas.evaluators.supernet.oneshot import OneShot
from hwnas.space import SearchSpace
from hwnas.train import TrainConfig, fit, new_network

WAYS: dict[str, dict[str, Any]] = {
    "uniform": {"release": 0.0},
    "by depth": {},
    "blockwise": {"training": "blockwise"},
}


def main() -> None:
    """Measure, then print."""
    options = _options()
    torch.set_num_threads(options.threads)
    kept = Rows(options.rows)
    rows, alone, taus = [], [], []
    for space in options.spaces:
        for seed in options.seeds:
            made_by = [options.data, space, seed, options.width, options.resolution, options.batch_size]
            key = "/".join(map(str, [*made_by, options.architectures]))
            own = [
                kept.get(f"{key}/{options.steps}/alone {n}", partial(_alone, space, seed, n, options))
                for n in range(options.trained)
            ]
            alone.append({"space": space, "seed": seed, "trained": own})
            for way in options.ways:
                row = kept.get(
                    f"{key}/{_steps(way, options)}/{way}", partial(_run, space, seed, way, options)
                )
                rows.append(row)
                losses = row["losses"][: len(own)]
                tau = float(kendalltau(losses, [one["loss"] for one in own])[0]) if len(own) > 1 else None
                taus.append({"space": space, "seed": seed, "way": way, "tau": tau})
    report(
        options,
        {"runs": rows, "alone": alone, "taus": taus},
        [
            target(
                f"{space}: mean accuracy {way} over that of uniform paths",
                _mean(rows, space, way) / _mean(rows, space, "uniform"),
                ">=",
                2.0,
            )
            for space in options.spaces
            for way in options.ways
            if "uniform" in options.ways and way != "uniform"
        ],
        environment(options),
    )


def _options() -> argparse.Namespace:
    found = parser(__doc__, seeds=[0, 1], rows="trainings")
    found.add_argument("--data", default="digits")
    found.add_argument("--ways", nargs="+", default=list(WAYS), choices=tuple(WAYS))
    found.add_argument("--spaces", nargs="+", default=["fbnet-r96", "proxylessnas-r96"])
    found.add_argument("--steps", type=int, default=1500)
    found.add_argument("--taught-steps", type=int, default=600, help="of a teacher and its pupils")
    found.add_argument("--batch-size", type=int, default=64)
    found.add_argument("--width", type=float, default=0.25, help="of the proxy")
    found.add_argument("--resolution", type=int, default=32, help="of the proxy")
    found.add_argument("--architectures", type=int, default=16, help="that are scored")
    found.add_argument("--trained", type=int, default=0, help="of them, on their own too")
    found.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    found.add_argument("--threads", type=int, default=2)
    return found.parse_args()


def _steps(way: str, options: argparse.Namespace) -> int:
    return options.taught_steps if way == "blockwise" else options.steps


def _asked(space: SearchSpace, seed: int, options: argparse.Namespace) -> list[tuple[int, ...]]:
    rng = np.random.default_rng(seed)
    return [space.sample(rng).indices for _ in range(options.architectures)]


def _run(name: str, seed: int, way: str, options: argparse.Namespace) -> dict[str, Any]:
    """One supernet: its accuracies on random architectures, and what it cost."""
    space = spaces.load(name, num_classes=10)
    images = data.load(options.data, resolution=space.input_shape[1], seed=0)
    config = OneShotConfig(
        width=options.width,
        resolution=options.resolution,
        batch_size=options.batch_size,
        seed=seed,
        device=options.device,
        **WAYS[way],
    )
    oneshot = (Blockwise if way == "blockwise" else OneShot)(space, images, config)
    began = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        oneshot.prepare(_steps(way, options), on_step=lambda _: None, checkpoint=Path(folder) / "checkpoint")
    seconds = time.process_time() - began
    scores = [oneshot.score(indices) for indices in _asked(space, seed, options)]
    return {
        "space": name,
        "seed": seed,
        "way": way,
        "cpu_seconds": seconds,
        "mean_accuracy": statistics.fmean(score.value for score in scores),
        "accuracies": [score.value for score in scores],
        "losses": [score.loss for score in scores],
    }


def _alone(name: str, seed: int, number: int, options: argparse.Namespace) -> dict[str, Any]:
    """One of the architectures, trained on its own for as many steps as a supernet."""
    space = spaces.load(name, num_classes=10)
    proxy = proxy_space(space, width=options.width, resolution=options.resolution)
    arch = proxy.architecture(_asked(space, seed, options)[number])
    images = data.load(options.data, resolution=options.resolution, seed=0)
    epochs = max(1, round(options.steps / steps_per_epoch(len(images.train), options.batch_size)))
    model = new_network(arch, seed)
    found = fit(model, images, TrainConfig(epochs=epochs, batch_size=options.batch_size, seed=seed))
    return {"accuracy": found.val.value, "loss": found.val.loss, "macs": arch.macs}


def _mean(rows: list[dict[str, Any]], space: str, way: str) -> float:
    return statistics.fmean(r["mean_accuracy"] for r in rows if (r["space"], r["way"]) == (space, way))


if __name__ == "__main__":
    main()
