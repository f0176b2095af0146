"""The found network against MobileNetV2 at equal measured latency, trained alike: CIFAR-10, this host.

    python tools/bench_compare.py --data ../shared/data/cifar10 --out compare     # about 12 minutes
    python tools/bench_compare.py --images 45000 --epochs 30 --seeds 3 --device cuda --out long
    python tools/bench_compare.py --run RUN                        # a run that is there and trained

Prints one JSON object. Without ``--run`` the whole chain is gone through first, on a subset of
the images: profile, fit, search and train. Then MobileNetV2 gets the width whose latency,
measured beside the found network's, is nearest; both are trained on the same images with the
same recipe once a seed, exported, and measured in one interleaved session. Reported is the
difference of test accuracy, seed by seed, in PyTorch and through the runtime that is measured.

Started again with the same ``--out``, it goes on where it was cut off. A small budget decides
little: with few images and epochs the spread over seeds is what to look at first.
"""

from __future__ import annotations

import argparse
import math
import time
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _bench import parser, report, say, target
from _macro import SHARED, VAL_SHARE, environment

from hwnas import compare, data, device, files, latency, measure, search, spaces
from hwnas.budget import Budget
from hwnas.device import Device, Target
from hwnas.evaluators.supernet.config import OneShotConfig
from hwnas.runs.comparison import ComparisonRecord
from hwnas.search.request import SearchRequest
from hwnas.search.searching import search_run
from hwnas.settings import evaluated
from hwnas.tables.table import LatencyTable
from hwnas.train import TrainConfig
from hwnas.train.training import train_run

FAMILY = "mobilenetv2"
_PROFILE = measure.ProfileOptions(
    rounds=6, max_rounds=12, samples=5, calibration_networks=14, heldout_networks=8
)


def main() -> None:
    """Go through the chain, compare, then print."""
    options = _options()
    torch.set_num_threads(options.threads)
    stage = Stages((options.run / "compare" if options.run else options.out) / "seconds.json")
    host = device.load("host")
    runtime, precision = options.target.split("-")
    run = options.run or _run(options, host, host.target(runtime, precision), stage)
    found = compare.compare(
        run,
        host,
        match_latency=[FAMILY],
        seeds=options.seeds,
        variants=[options.target],
        options=measure.ProfileOptions(rounds=options.rounds, max_rounds=3 * options.rounds),
        tell=say,
    )
    stage("compare")
    summary = _summary(found)
    report(
        options,
        {**summary, "seconds": stage.seconds, "comparison": found.to_json()},
        [
            target("seeds", float(len(found.seeds)), ">=", 2.0),
            target(
                "gap of the latencies that are to be equal",
                abs(math.log(summary["latency_ratio"])),
                "<=",
                0.05,
            ),
            target(
                "accuracy above MobileNetV2's, mean of the seeds", summary["difference"]["mean"], ">=", 0.0
            ),
            target(
                f"largest loss of accuracy from PyTorch to {options.target}",
                max(summary["lost_to_runtime"].values()),
                "<=",
                0.01,
            ),
        ],
        environment(options),
    )


def _options() -> argparse.Namespace:
    found = parser(__doc__, seed=0)
    found.add_argument("--run", type=Path, help="a trained run to compare, instead of making one")
    found.add_argument("--data", default=str(SHARED / "cifar10"), help="CIFAR-10, as a folder of parquet")
    found.add_argument("--out", type=Path, default=Path("bench-compare"), help="kept, to go on from")
    found.add_argument("--images", type=int, default=7500, help="training images, validation included")
    found.add_argument("--test-images", type=int, default=4000)
    found.add_argument("--space", default="macro")
    found.add_argument("--resolution", type=int, default=32)
    found.add_argument("--target", default="litert-int8", help="runtime and precision: budget and match")
    found.add_argument("--budget", default="25%", help="ms, or a share of the range")
    found.add_argument("--strategy", default="fbnet")
    found.add_argument("--warmup-steps", type=int, default=300, help="of the supernet, half in size")
    found.add_argument("--steps", type=int, default=100, help="search steps")
    found.add_argument("--epochs", type=int, default=4)
    found.add_argument("--batch-size", type=int, default=32)
    found.add_argument("--learning-rate", type=float, default=0.1)
    found.add_argument("--seeds", type=int, default=2, help="trainings of each network")
    found.add_argument("--rounds", type=int, default=15, help="of measuring")
    found.add_argument("--device", default="cpu", choices=("cpu", "cuda"), help="where to train")
    found.add_argument("--threads", type=int, default=1, help="of training")
    return found.parse_args()


class Stages:
    """Seconds of each stage, summed over the times that the bench was started.

    Args:
        path: Where they are kept; what a killed stage took is not known.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.seconds: dict[str, float] = files.read_json(path, "kept times") if path.exists() else {}
        self._last = time.monotonic()

    def __call__(self, name: str) -> None:
        """What passed since the last call was this stage."""
        now = time.monotonic()
        self.seconds[name] = self.seconds.get(name, 0.0) + now - self._last
        self._last = now
        files.write_json(self._path, self.seconds)
        say(f"{name}: {self.seconds[name]:.0f} s")


def _run(options: argparse.Namespace, host: Device, wanted: Target, stage: Stages) -> Path:
    """Profile, fit, search and train; what is there already is not made again."""
    out: Path = options.out
    source = _subset(options, out / "images.npz")
    stage("images")
    space = spaces.load(options.space, resolution=options.resolution, num_classes=10)
    table = measure.profile(host, space, [wanted], out / "tables", _PROFILE)[wanted]
    stage("profile")
    model = out / "latency.json"
    if not model.exists():
        latency.save(latency.fit(LatencyTable.load(table), space), model)
    stage("fit")
    run = out / "run"
    if not (run / "search.json").exists():
        search_run(_request(options, space.name, source, model), run)
    stage("search")
    if not (run / "train.json").exists():
        config = TrainConfig(
            epochs=options.epochs,
            batch_size=options.batch_size,
            learning_rate=options.learning_rate,
            seed=options.seed,
            device=options.device,
        )
        train_run(run, config, on_epoch=lambda r: say(f"epoch {r.epoch}: validation {r.val_value:.1%}"))
    stage("train")
    return run


def _request(options: argparse.Namespace, space: str, source: Path, model: Path) -> SearchRequest:
    known = {field.name for field in fields(search.strategy(options.strategy))}
    asked = {"warmup_steps": options.warmup_steps, "steps": options.steps}
    proxy = OneShotConfig(
        width=0.5,
        resolution=options.resolution // 2,
        training="blockwise" if evaluated(options.strategy) == "blockwise" else "paths",
        seed=options.seed,
        device=options.device,
    )
    return SearchRequest(
        space=space,
        latencies=(model,),
        budgets=(Budget.read(options.budget),),
        data=str(source),
        strategy=options.strategy,
        seed=options.seed,
        training_steps=options.warmup_steps + options.steps,
        oneshot=proxy,
        settings={name: value for name, value in asked.items() if name in known},
    )


def _subset(options: argparse.Namespace, path: Path) -> Path:
    """Some images of the source, as a file that is read in no time."""
    if not path.exists():
        whole = data.load(options.data, resolution=options.resolution, seed=0, val_share=VAL_SHARE)
        path.parent.mkdir(parents=True, exist_ok=True)
        counts = {"train": options.images, "test": options.test_images}
        arrays: dict[str, np.ndarray] = {}
        for split, count in counts.items():
            part = whole.sample(split, count)
            arrays[f"x_{split}"] = part.images.transpose(0, 2, 3, 1)
            arrays[f"y_{split}"] = part.labels
        part_written = path.with_suffix(".part.npz")
        np.savez(part_written, **arrays)  # type: ignore[arg-type]
        part_written.replace(path)
    return path


def _summary(found: ComparisonRecord) -> dict[str, Any]:
    """The answer in a few numbers; everything else is in the comparison."""
    match = found.matches[0]
    rows = {network.name: network for network in found.networks}
    other = rows[match.chosen]
    pair = (rows[found.found], other)
    there, key, count = other.variants[0], found.metric.key, len(found.seeds)
    difference = there.quality.to_json(key)["found_minus_this"]
    return {
        "opponent": match.chosen,
        "latency_ratio": there.latency_ratio,
        "latency_ms": {n.name: n.variants[0].latency_ms for n in pair},
        "macs": {n.name: n.macs for n in pair},
        "accuracy": {n.name: n.variants[0].quality.to_json(key)[key] for n in pair},
        "difference": difference
        | {"standard_error": None if count < 2 else difference["std"] / math.sqrt(count)},
        "difference_in_pytorch": other.quality.to_json(key)["found_minus_this"],
        "lost_to_runtime": {n.name: n.quality.metric.mean - n.variants[0].quality.metric.mean for n in pair},
    }


if __name__ == "__main__":
    main()
