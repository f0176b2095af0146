"""How long lowering takes, for every workload of FBNet and for whole networks.

    python tools/bench_export.py                # about a minute on an idle machine
    python tools/bench_export.py --networks 0   # blocks alone

Prints one JSON object. Times are milliseconds of ``lower(..., check=False)``, which is what
profiling pays for each workload; the int8 ones include calibration. Targets are about the
wall clock; the CPU time beside it says what a busy machine added. Where litert-torch can be
imported, its conversion of some workloads is timed beside ours and its operators are compared
with ours.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import statistics
import sys
import time
from collections import Counter
from typing import Any, NamedTuple

os.environ.setdefault("LITERT_TORCH_SHOW_PROGRESS", "n")

import numpy as np
import torch
from _bench import environment, parser, report, target
from torch import nn

from hwnas import spaces
from hwnas.export import lower, random_calibration, random_module
from hwnas.runtimes import litert
from hwnas.space import SearchSpace, Shape, Workload

PACKAGES = ("torch", "onnx", "onnxruntime", "ai-edge-litert", "litert-quantizer", "numpy")
TARGETS = {
    "litert fp32, median ms a block": 15.0,
    "litert fp32 and int8, median ms a block": 50.0,
    "onnxruntime fp32, median ms a block": 40.0,
    "litert fp32, median ms a network": 300.0,
}


class Cost(NamedTuple):
    """What one lowering costs, in milliseconds."""

    wall: float
    cpu: float


Samples = dict[str, list[Cost]]


def main() -> None:
    """Measure, then print."""
    options = _options()
    torch.set_num_threads(1)
    space = spaces.load(options.space)
    workloads = space.workloads()
    blocks = _block_times(workloads, options)
    networks = _network_times(space, options)
    results = {
        "workloads": len(workloads),
        "blocks": {name: _summary(samples) for name, samples in blocks.items()},
        "networks": {name: _summary(samples) for name, samples in networks.items()},
        "litert_torch": _crosscheck(workloads, options),
    }
    report(options, results, _targets(blocks, networks), environment(*PACKAGES))


def _targets(blocks: Samples, networks: Samples) -> list[dict[str, Any]]:
    pairs = zip(blocks["litert-fp32"], blocks["litert-int8"], strict=True)
    measured = {
        "litert fp32, median ms a block": _median(blocks["litert-fp32"]),
        "litert fp32 and int8, median ms a block": statistics.median(a.wall + b.wall for a, b in pairs),
        "onnxruntime fp32, median ms a block": _median(blocks["onnxruntime-fp32"]),
    }
    if networks:
        measured["litert fp32, median ms a network"] = _median(networks["litert-fp32"])
    return [target(name, value, "<=", TARGETS[name]) for name, value in measured.items()]


def _median(samples: list[Cost]) -> float:
    return statistics.median(sample.wall for sample in samples)


def _options() -> argparse.Namespace:
    found = parser(__doc__, seed=0)
    found.add_argument("--space", default="fbnet", help="space whose workloads are lowered")
    found.add_argument("--calibration", type=int, default=4, help="calibration images of a block")
    found.add_argument("--repeats", type=int, default=3, help="times of each workload; their median counts")
    found.add_argument("--networks", type=int, default=3, help="random architectures")
    found.add_argument("--crosscheck", type=int, default=4, help="workloads given to litert-torch as well")
    return found.parse_args()


def _block_times(workloads: tuple[Workload, ...], options: argparse.Namespace) -> Samples:
    """The cost of each workload, by runtime and precision, all of them interleaved."""
    costs: Samples = {}
    for number, workload in enumerate(workloads):
        print(f"\r{number + 1}/{len(workloads)} workloads", end="", file=sys.stderr)
        module = random_module([workload.block], options.seed)
        images = random_calibration(workload.in_shape, options.calibration, options.seed)
        if not number:
            _lowered(module, workload.in_shape, images, 1)  # imports, and the runtimes' first breath
        for name, cost in _lowered(module, workload.in_shape, images, options.repeats).items():
            costs.setdefault(name, []).append(cost)
    print(file=sys.stderr)
    return costs


def _network_times(space: SearchSpace, options: argparse.Namespace) -> Samples:
    rng = np.random.default_rng(options.seed)
    costs: Samples = {}
    for _ in range(options.networks):
        module = random_module(space.sample(rng).blocks, options.seed)
        images = random_calibration(space.input_shape, options.calibration, options.seed)
        for name, cost in _lowered(module, space.input_shape, images, options.repeats).items():
            costs.setdefault(name, []).append(cost)
    return costs


def _lowered(module: nn.Module, shape: Shape, images: np.ndarray, repeats: int) -> dict[str, Cost]:
    """The median cost of lowering one module, by runtime and precision, taking turns."""
    samples: Samples = {}
    for _ in range(repeats):
        for runtime_name in ("litert", "onnxruntime"):
            for precision in ("fp32", "int8"):
                wall, cpu = time.perf_counter(), time.process_time()
                lower(module, shape, runtime_name, precision, calibration=images, check=False)
                cost = Cost((time.perf_counter() - wall) * 1e3, (time.process_time() - cpu) * 1e3)
                samples.setdefault(f"{runtime_name}-{precision}", []).append(cost)
    return {
        name: Cost(_median(costs), statistics.median(cost.cpu for cost in costs))
        for name, costs in samples.items()
    }


def _crosscheck(workloads: tuple[Workload, ...], options: argparse.Namespace) -> Any:
    """Conversion time of litert-torch over ours, and both operator lists."""
    if importlib.util.find_spec("litert_torch") is None:
        return "not installed"
    import litert_torch

    chosen = np.random.default_rng(options.seed).choice(len(workloads), options.crosscheck, replace=False)
    rows = []
    for number in (0, *sorted(int(i) for i in chosen)):  # the first again: it pays for the imports
        workload = workloads[number]
        print(f"litert-torch: {workload.key()}", file=sys.stderr)
        module = random_module([workload.block], options.seed)
        channels, height, width = workload.in_shape
        start = time.perf_counter()
        outputs = [] if workload.block.kind == "head" else [0]  # a classifier answers (n, classes)
        wrapped = litert_torch.to_channel_last_io(module, args=[0], outputs=outputs).eval()
        theirs = litert_torch.convert(wrapped, (torch.zeros(1, height, width, channels),))
        spent = time.perf_counter() - start
        start = time.perf_counter()
        ours = lower(module, workload.in_shape, "litert", "fp32", check=False).model
        own = time.perf_counter() - start
        rows.append(
            {
                "workload": workload.key(),
                "litert_torch_ms": spent * 1e3,
                "hwnas_ms": own * 1e3,
                "ratio": spent / own,
                "litert_torch_operators": _operators(theirs),
                "hwnas_operators": _operators(ours),
            }
        )
    rows = rows[1:]
    return {
        "median_ratio": statistics.median(row["ratio"] for row in rows),
        "same_operators": sum(row["litert_torch_operators"] == row["hwnas_operators"] for row in rows),
        "rows": rows,
    }


def _operators(model: Any) -> dict[str, int]:
    content = model if isinstance(model, bytes) else model.model_content()
    steps = litert.interpreter(bytes(content))._get_ops_details()
    return dict(sorted(Counter(s["op_name"] for s in steps if s["op_name"] != "DELEGATE").items()))


def _summary(samples: list[Cost]) -> dict[str, float]:
    walls = [sample.wall for sample in samples]
    return {
        "median_ms": statistics.median(walls),
        "p90_ms": float(np.percentile(walls, 90)),
        "max_ms": max(walls),
        "median_cpu_ms": statistics.median(sample.cpu for sample in samples),
    }


if __name__ == "__main__":
    main()
