"""How the peak memory of a run follows from a network's weights and activations.

    python tools/bench_memory.py --rows memory.jsonl       # some ten minutes on two cores

Random networks are each run alone in a process of their own, on this machine; half of them fit coefficients
by least squares, the others judge. Prints one JSON object. Forms of the model, each with a constant:
``weights``; ``largest``, weights and the most that one operation reads and writes, which is a maximum over
blocks and no sum; ``sum``, weights and the sum of what operations read and write, which is additive;
``bound``, additive as well: ``largest``, with the largest operation of the whole space for every network.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from functools import partial
from statistics import median

import numpy as np
from _bench import Rows, environment, names, parser, report, target

from hwnas import device, spaces
from hwnas.latency.base import FloatArray
from hwnas.measure import Measurer, ProfileOptions
from hwnas.search.objective import WEIGHT_BYTES
from hwnas.space import Architecture, SearchSpace

QUICK = ProfileOptions(samples=1, min_sample_ms=0.1, warmup_min_ms=0.1, warmup_max_ms=1.0)
FORMS = {"weights": [0], "largest": [0, 1], "sum": [0, 2]}
"""Columns of ``_features`` that a form is fitted to, beside a constant."""


def main() -> None:
    """Measure, fit, then print."""
    options = _options()
    space = spaces.load(options.space)
    rng = np.random.default_rng(options.seed)
    drawn: dict[tuple[int, ...], Architecture] = {}
    while len(drawn) < 2 * options.networks:
        arch = space.sample(rng)
        drawn.setdefault(arch.indices, arch)
    rows, results = Rows(options.rows), {}
    host = device.load("host")
    for runtime in options.runtimes:
        for precision in options.precisions:
            with Measurer(host, QUICK) as measurer:
                ask = partial(_peaks, measurer, runtime, precision, options.repeats)
                found = [
                    rows.get(f"{runtime} {precision} {arch.key()}", partial(ask, arch))
                    for arch in drawn.values()
                ]
            results[f"{runtime}-{precision}"] = _judged(space, list(drawn.values()), precision, found)
    report(options, results, list(_targets(results)), environment("numpy", "onnxruntime", "ai-edge-litert"))


def _options() -> argparse.Namespace:
    found = parser(__doc__, seed=5, rows="networks")
    found.add_argument("--space", default="macro-r96-c10")
    found.add_argument("--networks", type=int, default=20, help="that fit, and as many that judge")
    found.add_argument("--repeats", type=int, default=3, help="processes a network; their median counts")
    found.add_argument("--runtimes", type=names, default=["litert", "onnxruntime"])
    found.add_argument("--precisions", type=names, default=["int8", "fp32"])
    return found.parse_args()


def _peaks(
    measurer: Measurer, runtime: str, precision: str, repeats: int, arch: Architecture
) -> list[int | None]:
    """Bytes of a network, one a process."""
    wanted = measurer.device.target(runtime, precision)
    path = measurer.export(wanted, [arch])[arch.key()]
    return [measurer.look(wanted, path).get("peak_memory_bytes") for _ in range(repeats)]


def _features(arch: Architecture, precision: str) -> list[float]:
    """MB of weights, of the largest operation's activations, and of all operations' activations."""
    ops = [op for workload in arch.workloads for op in workload.ops]
    moved = [op.read + op.written for op in ops]
    each = WEIGHT_BYTES[precision] / 1e6
    return [sum(op.weights for op in ops) * each, max(moved) * each, sum(moved) * each]


def _judged(
    space: SearchSpace, archs: list[Architecture], precision: str, peaks: list[list[int]]
) -> dict[str, object]:
    """Errors of each form on the second half, in parts of the measured peak."""
    mb = np.array([median(values) for values in peaks]) / 1e6
    features, half = np.array([_features(arch, precision) for arch in archs]), len(archs) // 2
    forms: dict[str, object] = {}
    for name, columns in FORMS.items():
        table = np.column_stack([np.ones(len(mb)), features[:, columns]])
        factors, *_ = np.linalg.lstsq(table[:half], mb[:half], rcond=None)
        forms[name] = {"factors": factors.round(3).tolist()} | _errors((table @ factors)[half:], mb[half:])
        if name == "largest":
            workloads = (*space.fixed, *(workload for _, _, workload in space.candidates()))
            every = max(op.read + op.written for workload in workloads for op in workload.ops)
            table[:, -1] = every * WEIGHT_BYTES[precision] / 1e6
            forms["bound"] = _errors((table @ factors)[half:], mb[half:])
    spread = [(max(values) - min(values)) / median(values) for values in peaks]
    return {"peak_mb": [mb.min(), mb.max()], "repeats_differ_by": max(spread), "forms": forms}


def _errors(predicted: FloatArray, measured: FloatArray) -> dict[str, float]:
    relative = predicted / measured - 1
    return {
        "mape": float(abs(relative).mean()),
        "mean": float(relative.mean()),
        "least": float(relative.min()),
        "most": float(relative.max()),
    }


def _targets(results: dict[str, dict]) -> Iterator[dict[str, object]]:
    for name, found in results.items():
        yield target(
            f"{name}: mean error by weights and largest operation", _mape(found, "largest"), "<=", 0.02
        )


def _mape(found: dict, form: str) -> float:
    return float(found["forms"][form]["mape"])


if __name__ == "__main__":
    main()
