"""What the supernet benches share beside ``_bench``: CIFAR-10, NAS-Bench-Macro, and a proxy."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import _bench
import numpy as np
import torch
from _bench import say

from hwnas import data, spaces
from hwnas.data import Dataset
from hwnas.evaluators import tabular
from hwnas.evaluators.supernet.config import OneShotConfig
from hwnas.evaluators.supernet.oneshot import OneShot
from hwnas.evaluators.supernet.warm_up import warm_up
from hwnas.evaluators.tabular import Benchmark
from hwnas.latency.base import Cost
from hwnas.space import SearchSpace
from hwnas.spaces.canonical import Canonical

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
VAL_SHARE = 0.1


def parser(description: str | None, seeds: Sequence[int], rows: str = "") -> argparse.ArgumentParser:
    """The options that the benches on CIFAR-10 have."""
    found = _bench.parser(description, seeds=seeds, rows=rows)
    found.add_argument("--data", default=str(SHARED / "cifar10"), help="CIFAR-10, as a folder of parquet")
    found.add_argument(
        "--benchmark", type=Path, default=SHARED / "nas_bench_macro/nas-bench-macro_cifar10.json"
    )
    found.add_argument("--width", type=float, default=0.5, help="of the proxy")
    found.add_argument("--resolution", type=int, default=16, help="of the proxy")
    found.add_argument("--batch-size", type=int, default=128)
    found.add_argument("--crop", type=float, default=0.0, help="padding before random crops, over the side")
    found.add_argument(
        "--validation-images", type=int, default=5000, help="an architecture is scored on; all held out"
    )
    found.add_argument("--recalibration-images", type=int, default=1024, help="batch norm is estimated on")
    found.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    found.add_argument("--threads", type=int, default=2)
    found.add_argument(
        "--keep", type=Path, help="folder where trained supernets stay: used again, and gone on from"
    )
    return found


def config_of(options: argparse.Namespace, seed: int) -> OneShotConfig:
    """The proxy that the options ask for."""
    return OneShotConfig(
        width=options.width,
        resolution=options.resolution,
        batch_size=options.batch_size,
        crop=options.crop,
        validation_images=options.validation_images,
        recalibration_images=options.recalibration_images,
        seed=seed,
        device=options.device,
    )


def load(options: argparse.Namespace) -> tuple[SearchSpace, Dataset, Benchmark]:
    """The space, its images with 5,000 held out, and the truth."""
    torch.set_num_threads(options.threads)
    space = spaces.load("macro")
    dataset = data.load(options.data, resolution=32, seed=0, val_share=VAL_SHARE)
    return space, dataset, tabular.load(options.benchmark, space)


def macs_costs(space: SearchSpace) -> Cost:
    """Millions of MACs in the place of milliseconds."""
    fixed, choices = space.macs_table()
    return Cost(fixed / 1e6, tuple(np.asarray(c) / 1e6 for c in choices))


def distinct(space: SearchSpace, count: int, seed: int) -> list[tuple[int, ...]]:
    """Uniformly random architectures of different networks."""
    canonical, rng = Canonical(space), np.random.default_rng(seed)
    drawn = (canonical.key(space.sample(rng).indices) for _ in range(100 * count))
    return canonical.distinct(drawn, count)


def trained(
    space: SearchSpace, dataset: Dataset, options: argparse.Namespace, seed: int, steps: int
) -> tuple[OneShot, float]:
    """A supernet after so many steps on uniform single paths, and the CPU seconds that took now.

    The learning rate falls to 0 at the end, so that each length is a training of its own.
    """
    oneshot = OneShot(space, dataset, config_of(options, seed))
    checkpoint = options.keep and options.keep / f"supernet-{seed}-{steps}.safetensors"
    if checkpoint:
        options.keep.mkdir(parents=True, exist_ok=True)
    return oneshot, train(oneshot, steps, f"seed {seed}, {steps} steps", checkpoint)


def train(oneshot: OneShot, steps: int, name: str, checkpoint: Path | None = None) -> float:
    """Warm up to so many steps; CPU seconds, which a neighbour on the machine changes least."""
    began = time.process_time()

    def tell(record: Any) -> None:
        if record["step"] % 200 == 0:
            say(f"{name}: step {record['step']}/{record['steps']}, {record['eta_s']:.0f} s left")

    warm_up(oneshot, steps, on_step=tell, checkpoint=checkpoint)
    return time.process_time() - began


def environment(options: argparse.Namespace) -> dict[str, Any]:
    """Where the numbers are from, and what trained."""
    device = torch.cuda.get_device_name() if options.device == "cuda" else "cpu"
    return _bench.environment("numpy", "torch", threads=options.threads, device=device)
