"""How well latency models predict whole networks that were measured but not fitted to.

    python tools/bench_latency.py TABLE [TABLE ...] [--space NAME] [--samples 0,5,10,20,40]
        [--train-spaces A,B --test-space C]

Each table holds blocks, calibration networks and held-out networks of one target. For each:
raw sum, calibrated sum and posterior on the held-out networks; how the error falls with the
number of calibration networks; and how well the measurements repeat themselves. With
``--train-spaces`` also the regression: blocks of one space estimated from blocks of others. One
JSON object on standard output.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from _bench import environment, names, parser, report, say, target

from hwnas import latency, spaces
from hwnas.errors import HwnasError
from hwnas.latency.base import Prediction
from hwnas.latency.evaluate import score
from hwnas.latency.networks import Networks
from hwnas.latency.regression import Regression
from hwnas.space import SearchSpace
from hwnas.tables.table import LatencyTable


def main() -> None:
    """Judge every table and print the report."""
    options = parse()
    results: dict[str, Any] = {}
    targets: list[dict[str, Any]] = []
    for path in options.tables:
        table = LatencyTable.load(path)
        name = str(table.target)
        space = spaces.load(options.space or only_space(table, path))
        say(f"{name}: {space.name}")
        found = judge(table, space, options)
        if options.train_spaces:
            found["regression"] = regression(table, names(options.train_spaces), options.test_space)
        results[name] = found
        targets += compare(name, found)
    report(options, results, targets, environment("numpy"))


def parse() -> argparse.Namespace:
    """Read the command line."""
    found = parser(__doc__, seed=0)
    found.add_argument("tables", type=Path, nargs="+", metavar="TABLE")
    found.add_argument("--space", default="", help="full name; the only one in the table by default")
    found.add_argument("--samples", default="0,5,10,20,40", help="calibration networks, joined by commas")
    found.add_argument("--trials", type=int, default=10, help="random choices of so many networks")
    found.add_argument("--train-spaces", default="", help="full names, joined by commas")
    found.add_argument("--test-space", default="", help="full name of the space to estimate blocks of")
    options = found.parse_args()
    if bool(options.train_spaces) != bool(options.test_space):
        found.error("--train-spaces and --test-space belong together")
    return options


def only_space(table: LatencyTable, path: Path) -> str:
    """The space of all held-out networks."""
    found = {key.split(":")[1] for key in table.of_kind("heldout")}
    if len(found) != 1:
        raise HwnasError(f"--space must be given where {path} has held-out networks of {sorted(found)}")
    return found.pop()


def judge(table: LatencyTable, space: SearchSpace, options: argparse.Namespace) -> dict[str, Any]:
    """Models on the held-out networks, and how measurements repeat themselves."""
    heldout = Networks.of_table(table, space, "heldout")
    calibration = Networks.of_table(table, space, "calibration")
    raw, posterior = latency.fit(table, space, "lookup"), latency.fit(table, space)
    models = {
        "raw_sum": raw.evaluation["heldout"].summary,
        "calibrated_sum": calibrated_sum(raw, space, calibration, heldout),
        "posterior": posterior.evaluation["heldout"].summary,
    }
    counts = [int(c) for c in names(options.samples)]
    return {
        "space": space.name,
        "heldout_networks": len(heldout),
        "calibration_networks": len(calibration),
        "models": models,
        "samples": {
            str(count): learning(table, space, calibration, count, options)
            for count in counts
            if count <= len(calibration)
        },
        "samples_left_out": [count for count in counts if count > len(calibration)],
        "repeatability": repeatability(table, heldout),
        "networks": posterior.evaluation["heldout"].to_json(),
    }


def calibrated_sum(
    raw: latency.LatencyModel, space: SearchSpace, calibration: Networks, heldout: Networks
) -> dict[str, Any] | None:
    """The raw sum, scaled and shifted by least squares of relative errors; None without networks."""
    if len(calibration) < 2:
        return None
    sums = raw.predict(space, calibration.indices).mean_ms
    design = np.stack([sums, np.ones(len(sums))], axis=1) / calibration.latency_ms[:, None]
    factor, shift = np.linalg.lstsq(design, np.ones(len(sums)), rcond=None)[0]
    spread = float(np.std(design @ [factor, shift]))
    mean = factor * raw.predict(space, heldout.indices).mean_ms + shift
    return score(Prediction(mean, spread * mean), heldout.latency_ms, ()).summary


def learning(
    table: LatencyTable, space: SearchSpace, calibration: Networks, count: int, options: argparse.Namespace
) -> dict[str, Any]:
    """Errors of the posterior from so many calibration networks, over random choices of them."""
    keys = calibration.keys
    trials = 1 if count in (0, len(keys)) else options.trials
    errors = []
    for trial in range(trials):
        rng = np.random.default_rng([options.seed, trial])
        kept = {keys[row] for row in rng.choice(len(keys), count, replace=False)}
        rounds = (r for r in table.rounds if r.kind != "calibration" or r.key in kept)
        model = latency.fit(LatencyTable(table.target, table.environment, rounds), space)
        errors.append(model.evaluation["heldout"].summary)
    say(f"  {count} calibration networks: MAPE {np.mean([e['mape'] for e in errors]):.2%}")
    return {
        metric: {"mean": float(np.mean(values)), "std": float(np.std(values))}
        for metric in ("mape", "within_5", "within_10", "coverage_90")
        for values in [[e[metric] for e in errors]]
    } | {"trials": trials}


def repeatability(table: LatencyTable, heldout: Networks) -> dict[str, float | int] | None:
    """How far two halves of each network's rounds, taken by turns, are apart.

    The error of a whole measurement is about half of what its halves differ by, so a model that
    were right would still show ``expected_mape``.
    """
    apart = []
    for key in heldout.keys:
        ratios = table.measurements[key].ratios
        if len(ratios) >= 4:
            apart.append(median(ratios[::2]) / median(ratios[1::2]) - 1)
    if not apart:
        return None
    halves = float(np.mean(np.abs(apart)))
    return {
        "networks": len(apart),
        "halves_differ_mean": halves,
        "halves_differ_max": float(np.max(np.abs(apart))),
        "expected_mape": halves / 2,
    }


def regression(table: LatencyTable, train: list[str], test: str) -> dict[str, Any]:
    """Estimate the blocks of one space from those of others; what they share is left out of the test."""
    blocks = table.of_kind("block")
    seen = {w.key() for name in train for w in spaces.load(name).workloads()}
    rounds = (r for r in table.rounds if r.kind == "block" and r.key in seen)
    model = Regression.fit(LatencyTable(table.target, table.environment, rounds))
    unseen = [w for w in spaces.load(test).workloads() if w.key() not in seen and w.key() in blocks]
    if not unseen:
        raise HwnasError(f"the table must hold blocks of {test} that {train} do not have, but holds none")
    errors = np.array([model.estimate_ms(w) / blocks[w.key()].latency_ms - 1 for w in unseen])
    say(f"  regression by {model.family}: MAPE {np.mean(np.abs(errors)):.2%} on {len(unseen)} blocks")
    return {
        "train": train,
        "test": test,
        "train_blocks": len(model.blocks_ms),
        "test_blocks": len(unseen),
        "family": model.family,
        "cross_validation": dict(model.errors),
        "mape": float(np.mean(np.abs(errors))),
        "bias": float(np.mean(errors)),
        "within_10": float(np.mean(np.abs(errors) <= 0.1)),
    }


def compare(name: str, found: dict[str, Any]) -> list[dict[str, Any]]:
    """The targets that were set, for one table."""
    posterior = found["models"]["posterior"]
    wanted = [
        ("held-out networks", found["heldout_networks"], ">=", 40),
        ("posterior MAPE", posterior["mape"], "<=", 0.025),
        ("posterior within 5 %", posterior["within_5"], ">=", 0.95),
        ("posterior within 10 %", posterior["within_10"], ">=", 1.0),
        ("posterior 90 % intervals cover at least", posterior["coverage_90"], ">=", 0.85),
        ("posterior 90 % intervals cover at most", posterior["coverage_90"], "<=", 0.95),
    ]
    if "regression" in found:
        wanted.append(("regression MAPE on unseen blocks", found["regression"]["mape"], "<=", 0.08))
    return [target(f"{name}: {what}", value, op, bound) for what, value, op, bound in wanted]


if __name__ == "__main__":
    main()
