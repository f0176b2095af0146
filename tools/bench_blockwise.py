"""Blocks that learn from a teacher, against a supernet of as much CPU time: NAS-Bench-Macro.

    python tools/bench_blockwise.py --rows rows.jsonl > blockwise.json     # about half an hour of two cores
    python tools/bench_blockwise.py --seeds 0 --architectures 40           # a first impression

For each seed one proxy is trained twice: as a teacher with pupils, and on uniform single paths until that
took as many CPU seconds. *Tau*: Kendall's, against the true accuracy of random architectures, of the sum of
block errors (which scores nothing), and of networks that are put together and scored, by loss; *combined*
ranks by the mean of the ranks of both scores. Errors are of features, and *by loss* of the teacher's network
with that one block replaced, of the same candidates. *Regret*: points of true accuracy below the best network
within ``--budget`` million multiply-adds, of the network of the least sum of errors, of the best scored of
``--answers`` answers of the exact search, and of the best of as many random networks by the supernet.

One JSON object on standard output; with ``--rows`` finished parts are kept.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from _bench import Rows, report, say, target
from _macro import config_of, distinct, environment, load, macs_costs, parser
from scipy.stats import kendalltau, rankdata

from hwnas.budget import Budget
from hwnas.data import Dataset
from hwnas.evaluators.blockwise import Blockwise
from hwnas.evaluators.supernet.oneshot import OneShot
from hwnas.evaluators.tabular import Benchmark
from hwnas.search.problem import Constraint, Problem
from hwnas.search.sampling.additive import Additive
from hwnas.search.sampling.exact import Exact
from hwnas.search.sampling.knapsack import Knapsack
from hwnas.search.sampling.random import Random
from hwnas.search.session import Session
from hwnas.space import SearchSpace

Indices = tuple[int, ...]


def main() -> None:
    """Train, rank, search, print."""
    options = _options()
    space, dataset, truth = load(options)
    rows = Rows(options.rows)
    costs = macs_costs(space)
    problem = Problem(space, (Constraint(Budget("MACs", options.budget), costs),))
    some = distinct(space, options.architectures, options.sample_seed)
    found = {}
    for seed in options.seeds:
        key = f"{options.teacher_steps}/{options.pupil_steps}/{options.width}/{options.batch_size}/{seed}"
        way = "layer by layer" if options.layerwise else "taught"
        taught = rows.get(
            f"{key}/{way}, two scores", lambda s=seed: _taught(space, dataset, problem, some, options, s)
        )
        limit = taught["cpu_seconds"]
        shared = rows.get(
            f"{key}/shared", lambda s=seed, t=limit: _shared(space, dataset, problem, some, options, s, t)
        )
        found[str(seed)] = _judged(taught, shared, some, truth, problem)
    means = {
        name: statistics.fmean(item[name] for item in found.values() if item[name] is not None)
        for name in next(iter(found.values()))
    }
    report(
        options,
        {"seeds": found, "means": means},
        [
            target(
                "regret of the exact answer within the budget, mean",
                means["regret of least error"],
                "<=",
                0.15,
            )
        ],
        environment(options),
    )


def _taught(
    space: SearchSpace,
    dataset: Dataset,
    problem: Problem,
    some: Sequence[Indices],
    options: argparse.Namespace,
    seed: int,
) -> dict[str, Any]:
    """A teacher and its pupils."""
    steps = options.teacher_steps + options.pupil_steps
    config = replace(
        config_of(options, seed),
        training="blockwise",
        teacher_share=options.teacher_steps / steps,
        layerwise=options.layerwise,
    )
    evaluator = Blockwise(space, dataset, config)
    spent = _trained(evaluator, steps, f"seed {seed}, blockwise")
    answered = _answered(evaluator, problem, options, seed)
    by_loss = Blockwise(space, dataset, replace(config, block_score="loss"))
    by_loss.restore(evaluator.tensors(), evaluator.steps, Path("these candidates"))
    return {
        "cpu_seconds": spent + answered["errors_cpu_seconds"],
        "teacher": evaluator.score(evaluator.paths.anchor).value,
        "losses": [evaluator.score(indices).loss for indices in some],
        **answered,
        "by loss": _answered(by_loss, problem, options, seed),
    }


def _answered(
    evaluator: Blockwise, problem: Problem, options: argparse.Namespace, seed: int
) -> dict[str, Any]:
    """The errors of blocks, and what an exact search makes of them."""
    began = time.process_time()
    errors = evaluator.block_errors()
    spent = time.process_time() - began
    strategy = Exact(queries=options.answers, random=0)
    result = strategy.search(problem, evaluator, np.random.default_rng(seed), Session())
    return {
        "errors": [part.tolist() for part in errors],
        "errors_cpu_seconds": spent,
        "least": list(Knapsack(problem).solve(errors) or ()),
        "found": list(result.best.indices),
    }


def _shared(
    space: SearchSpace,
    dataset: Dataset,
    problem: Problem,
    some: Sequence[Indices],
    options: argparse.Namespace,
    seed: int,
    limit: float,
) -> dict[str, Any]:
    """A supernet of about as much CPU time, on uniform single paths."""
    pace = OneShot(space, dataset, config_of(options, seed))
    trial = _trained(pace, 40, f"seed {seed}, pace") / 40
    steps = max(100, round(limit / trial))
    evaluator = OneShot(space, dataset, config_of(options, seed))
    spent = _trained(evaluator, steps, f"seed {seed}, supernet of {steps} steps")
    strategy = Random(queries=options.answers)
    result = strategy.search(problem, evaluator, np.random.default_rng(seed), Session())
    return {
        "cpu_seconds": spent,
        "steps": steps,
        "losses": [evaluator.score(indices).loss for indices in some],
        "found": list(result.best.indices),
    }


def _trained(evaluator: OneShot, steps: int, name: str) -> float:
    """CPU seconds that a training took."""
    began = time.process_time()

    def tell(record: Any) -> None:
        if record["step"] % 200 == 0:
            say(f"{name}: {record['phase']}, step {record['step']}/{record['steps']}, {record['loss']:.3f}")

    with tempfile.TemporaryDirectory() as folder:
        evaluator.prepare(steps, on_step=tell, checkpoint=Path(folder) / "checkpoint")
    return time.process_time() - began


def _judged(
    taught: dict[str, Any],
    shared: dict[str, Any],
    some: Sequence[Indices],
    truth: Benchmark,
    problem: Problem,
) -> dict[str, float | None]:
    """Both against the truth."""
    true = np.array([truth.accuracy(indices) for indices in some])
    by_loss = taught["by loss"]
    sums, other_sums = (
        Additive([np.array(part) for part in found["errors"]], rows=list(some)).sums()
        for found in (taught, by_loss)
    )
    one, other = np.array(taught["losses"]), np.array(shared["losses"])
    best = truth.oracle(problem.feasible)

    def regret(indices: Sequence[int]) -> float:
        return 100 * (best - truth.accuracy(tuple(indices)))

    return {
        "tau of errors": float(kendalltau(-sums, true)[0]),
        "tau of errors by loss": float(kendalltau(-other_sums, true)[0]),
        "tau of pupils": float(kendalltau(-one, true)[0]),
        "tau of supernet": float(kendalltau(-other, true)[0]),
        "tau of both combined": float(kendalltau(-(rankdata(one) + rankdata(other)), true)[0]),
        "tau of errors and supernet": float(kendalltau(-(rankdata(sums) + rankdata(other)), true)[0]),
        "regret of least error": regret(taught["least"]),
        "regret of least error by loss": regret(by_loss["least"]),
        "regret of exact search": regret(taught["found"]),
        "regret of exact search by loss": regret(by_loss["found"]),
        "regret of random search": regret(shared["found"]),
        "CPU seconds of pupils": taught["cpu_seconds"],
        "CPU seconds of errors by loss": by_loss["errors_cpu_seconds"],
        "CPU seconds of supernet": shared["cpu_seconds"],
    }


def _options() -> argparse.Namespace:
    found = parser(__doc__, [0, 1, 2], rows="parts")
    found.add_argument("--teacher-steps", type=int, default=1400, help="four passes over CIFAR-10")
    found.add_argument("--pupil-steps", type=int, default=300)
    found.add_argument(
        "--layerwise", action="store_true", help="candidates learn from the teacher alone, as for a pool"
    )
    found.add_argument("--architectures", type=int, default=150, help="that are ranked")
    found.add_argument("--sample-seed", type=int, default=123, help="of the ranked architectures")
    found.add_argument("--answers", type=int, default=10, help="that a search scores")
    found.add_argument("--budget", type=float, default=60.0, help="million multiply-adds")
    return found.parse_args()


if __name__ == "__main__":
    main()
