"""Where the time goes with many phones and many GPUs: a cost model, checked by simulation and real drivers.

    python tools/bench_scaling.py --rows scaling.jsonl                   # some ten minutes on one core
    python tools/bench_scaling.py --rows scaling.jsonl --evaluation-s 60     # with what was measured: two

What hwnas itself takes is measured on this machine. What a phone and a GPU take is not known here: those are
options, whose defaults are assumed, or follow from ``ProfileOptions``. How many rounds rows need is read in
``lut_data``, whose tables are of a host. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import _driver
import _played
import _scaling
import _simulated
from _bench import Rows, environment, parser, report, say, target
from _scaling import Cluster, Cost, Duration, Shelf

from hwnas import spaces
from hwnas.measure import ProfileOptions, alike, plan
from hwnas.search.problem import Problem
from hwnas.search.sampling.evolution import Evolution
from hwnas.space import SearchSpace

TABLES = Path(__file__).resolve().parents[1] / "lut_data" / "host"
QUERIES = [100, 1000, 10_000]
TOLD = [100, 300, 1000, 2000]
"""Queries after which the surrogate is measured; of more, its time is extrapolated."""

ALL_UNITS = (1, 2, 5, 10, 20, 50, 100, 200)
ALL_WORKERS = (8, 50, 200, 1000)
GRID_CV, GRID_COST_S = (0.2, 0.5, 1.0), (0.005, 1.0, 6.0)


def main() -> None:
    """Measure what is not there yet, compare, then print."""
    options = _options()
    space = spaces.load(options.space)
    known = _measured(options, _driver.problem_of(space), Rows(options.rows))
    shelf, cluster = _shelf(options), _cluster(options)
    recorded = _recorded()
    waves = _waves(len(plan.items([space], ProfileOptions())), recorded)
    costs = _costs(known)
    results = {
        "space": {"name": space.name, "architectures": float(space.num_architectures), "waves": waves},
        "measured_here": known,
        "recorded_on_hosts": recorded,
        "compared": _compared(options, shelf, waves),
        "table": _tables(options, space, shelf, waves),
        "each_network_measured_instead": _each_measured(options, known["network_bytes"] / 4, shelf, recorded),
        "evaluations": _evaluations(options, cluster, costs),
        "rest": _rest(options, known, shelf, cluster),
    }
    report(options, results, list(_targets(results)), environment("numpy", "scipy", "ray"))


def _options() -> argparse.Namespace:
    found = parser(__doc__, seed=0, rows="measurements of this machine")
    found.add_argument("--space", default="fbnet")
    found.add_argument("--units", type=int, default=50, help="phones of one kind")
    found.add_argument("--workers", type=int, default=200, help="GPUs")
    found.add_argument("--evaluations", type=int, default=10_000)
    found.add_argument("--courses", type=int, default=20, help="that are simulated of each setting")
    assumed = found.add_argument_group("assumed, as neither phones nor GPUs were at hand")
    for name, default, what in (
        ("row-ms", 2.0, "one inference of a row on a phone, in the mean"),
        ("load-ms", 20.0, "to load a model there"),
        ("start-s", 0.5, "for an agent to start"),
        ("connect-s", 0.5, "to connect a phone"),
        ("hot-after-s", 300.0, "work after which a phone is hot"),
        ("cools-s", 60.0, "until it is fit again"),
        ("lost-after-h", 20.0, "until a phone disappears"),
        ("phone-mb-s", 20.0, "to a phone"),
        ("host-mb-s", 100.0, "from a host to all its phones together"),
        ("evaluation-s", 600.0, "of a GPU for an evaluation, in the mean"),
        ("evaluation-cv", 0.5, "its standard deviation over that"),
        ("gpu-lost-after-h", 72.0, "until a worker dies"),
        ("data-gb", 10.0, "of images, sent once to each machine"),
        ("machines", 25.0, "that have the GPUs"),
        ("network-mb-s", 1000.0, "from the driver to machines, one after the other"),
        ("finalist-h", 24.0, "of a GPU to train one of the finalists"),
        ("finalists", 12.0, "that are trained and verified"),
    ):
        assumed.add_argument(f"--{name}", type=float, default=default, help=f"{what} ({default:g})")
    return found.parse_args()


def _shelf(options: argparse.Namespace) -> Shelf:
    """What a row takes follows from how it is measured: loaded, warmed up, sampled, beside two anchors."""
    asked = ProfileOptions()
    sample_ms = max(asked.min_sample_ms, options.row_ms)
    warm_ms = (asked.warmup_min_ms + asked.warmup_max_ms) / 2
    anchor_ms = asked.warmup_min_ms + 4 * sample_ms  # they stay loaded
    row_ms = options.load_ms + warm_ms + asked.samples * sample_ms + 2 * anchor_ms
    return Shelf(
        options.units,
        options.start_s + 2 * anchor_ms / 1e3,
        Duration(row_ms / 1e3, 0.5),
        asked.min_round_s,
        options.connect_s,
        options.hot_after_s,
        options.cools_s,
        options.lost_after_h * 3600,
        alike.LOOKS[0],
    )


def _cluster(options: argparse.Namespace) -> Cluster:
    evaluation = Duration(options.evaluation_s, options.evaluation_cv)
    return Cluster(options.workers, evaluation, options.gpu_lost_after_h * 3600)


def _measured(options: argparse.Namespace, problem: Problem, rows: Rows) -> dict[str, Any]:
    """What hwnas takes on this machine; what was measured before is in the rows."""
    seed, size = options.seed, _driver.network_bytes(problem.blocks, options.seed)
    work = {
        "random": lambda: _driver.asked("random", problem, QUERIES, seed),
        "evolution": lambda: _driver.asked("evolution", problem, QUERIES, seed),
        "surrogate": lambda: _driver.modelled(problem, TOLD, options.workers, seed),
        "written": lambda: _driver.written(size),
        "lookups": lambda: _driver.looked_up(problem, seed),
        "table": lambda: _driver.loaded(TABLES / "litert-fp32.jsonl"),
        "processes:2": lambda: _driver.pooled("processes:2", problem, size, 200, seed),
        "ray?num_cpus=1": lambda: _driver.pooled("ray?num_cpus=1", problem, size, 200, seed),
        "played": lambda: _with_real_drivers(problem),
    }
    return {"network_bytes": size, **{name: rows.get(name, make) for name, make in work.items()}}


def _with_real_drivers(problem: Problem) -> list[dict[str, Any]]:
    """The session and the search that ship, with units and workers that only wait, beside the model."""
    found, once = [], ProfileOptions(rounds=9, max_rounds=9)
    for units in (10, 50):
        shelf = Shelf(units, 0.2, Duration(0.06, 0.01), once.min_round_s, 0.0, 1e9, 1.0, 1e9, alike.LOOKS[0])
        took, table = _played.table(shelf, 136, once)
        whole = len(table.rounds) == 136 * once.rounds
        model = _scaling.profiled_s(shelf, [(136, once.rounds)])["total"]
        found.append(_beside(f"a table of {units} units", model, took) | {"is_whole": whole})
    idle = Cluster(50, Duration(1e-9, 0.0))
    for together, count in ((1, 1000), (50, 400)):
        strategy, cluster = Evolution(queries=count, parallel=together), Cluster(50, Duration(1.0, 0.5))
        each = _played.search(strategy, problem, idle, 0) / count
        took = _played.search(strategy, problem, cluster, 0)
        form = _scaling.asynchronous_s if together == 1 else _scaling.synchronous_s
        name = f"{count} evaluations, {together} asked for together"
        found.append(_beside(name, form(cluster, count, lambda _, c=each: c), took) | {"driver_s": each})
    return found


def _beside(name: str, model_s: float, other_s: float) -> dict[str, Any]:
    return {"name": name, "model_s": model_s, "other_s": other_s, "difference": model_s / other_s - 1}


def _recorded() -> dict[str, Any]:
    """What the tables of hosts say: which share of rows needs so many rounds, and what exporting took."""
    found = {}
    for path in sorted(TABLES.glob("*.jsonl")):
        rounds, exports, seconds = Counter(), [0.0], 0.0
        for line in map(json.loads, path.read_text().splitlines()):
            if "key" in line:
                rounds[line["key"]] += 1
            elif line.get("note") == "end":
                exports.append(line["facts"]["seconds"]["export"])
                seconds += line["facts"]["seconds"]["measure"]
        wide = [sum(n > least for n in rounds.values()) / len(rounds) for least in range(9, 27, 3)]
        found[path.stem] = {
            "rows": len(rounds),
            "rounds": sum(rounds.values()),
            "seconds_a_round_of_a_row": seconds / sum(rounds.values()),
            "share_of_rows_beyond_9_12_15_18_21_24_rounds": wide,
            "longest_export_s": max(exports),
        }
    return found


def _waves(rows: int, recorded: dict[str, Any]) -> list[tuple[int, int]]:
    """Rows and rounds, as many as the noisiest of the recorded tables needed."""
    asked = ProfileOptions()
    wide = max(
        (table["share_of_rows_beyond_9_12_15_18_21_24_rounds"] for table in recorded.values()), key=sum
    )
    return [(rows, asked.rounds), *((round(rows * share), 3) for share in wide if round(rows * share))]


def _costs(known: dict[str, Any]) -> dict[str, Cost]:
    """Seconds of the driver for an evaluation, by strategy: with Ray's task, two lines and the network."""
    ray, written = known["ray?num_cpus=1"], known["written"]
    fixed = max(ray["network_s"], ray["task_s"]) + written["network_s"] + written["line_s"]
    found = {}
    for name in ("random", "evolution", "surrogate"):
        own = _driver.cost_of(known[name], cubic=name == "surrogate")
        found[name] = lambda n, own=own: own(n) + fixed
    return found


def _compared(options: argparse.Namespace, shelf: Shelf, waves: list[tuple[int, int]]) -> dict[str, Any]:
    """The closed form beside the mean of simulated courses, over a grid."""
    seeds = range(options.seed, options.seed + options.courses)
    many = range(options.seed, options.seed + 10 * options.courses)
    found: dict[str, Any] = {"table": [], "asynchronous": [], "synchronous": []}
    for units in ALL_UNITS:
        for row_s in (shelf.row_s, Duration(5 * shelf.row_s.mean_s, shelf.row_s.cv)):
            own = replace(shelf, units=units, row_s=row_s)
            drawn = fmean(_simulated.profiled_s(own, waves, seed)["total"] for seed in many)
            name = f"{units} units, {row_s.mean_s:.3f} s a row"
            found["table"].append(_beside(name, _scaling.profiled_s(own, waves)["total"], drawn))
    for workers in ALL_WORKERS:
        for cv in GRID_CV:
            for each in GRID_COST_S:
                own = Cluster(workers, Duration(options.evaluation_s, cv), options.gpu_lost_after_h * 3600)
                _add(found, own, options.evaluations, each, seeds)
        say(f"{workers} workers are simulated")
    return found


def _add(found: dict[str, Any], cluster: Cluster, count: int, each: float, seeds: range) -> None:
    name = f"{cluster.workers} workers, cv {cluster.evaluation.cv:g}, {each:g} s of the driver"
    for way, form, drawn in (
        ("asynchronous", _scaling.asynchronous_s, _simulated.asynchronous_s),
        ("synchronous", _scaling.synchronous_s, _simulated.synchronous_s),
    ):
        courses = fmean(drawn(cluster, count, lambda _: each, seed) for seed in seeds)
        found[way].append(_beside(name, form(cluster, count, lambda _: each), courses))


def _tables(
    options: argparse.Namespace, space: SearchSpace, shelf: Shelf, waves: list[tuple[int, int]]
) -> dict[str, Any]:
    """Seconds of a table by units, with the way of the models to them (int8: a byte a weight)."""
    items = [*plan.items([space], ProfileOptions()), *plan.ANCHORS]
    size_mb = sum(block.params() for item in items for block in item.blocks) / 1e6
    found = {}
    for units in sorted({*ALL_UNITS, options.units}):
        push = max(size_mb / options.phone_mb_s, units * size_mb / options.host_mb_s)
        parts = _scaling.profiled_s(replace(shelf, units=units), waves)
        found[str(units)] = {**parts, "push": push, "total": parts["total"] + push}
    best = min(found, key=lambda units: found[units]["total"])
    return {
        "megabytes": size_mb,
        "seconds_by_units": found,
        "fewest_seconds_with_units": int(best),
    }


def _each_measured(
    options: argparse.Namespace, int8_bytes: float, shelf: Shelf, recorded: dict[str, Any]
) -> dict[str, float]:
    """Hours where no model of latency foretells: every network goes to every unit."""
    size_mb = options.evaluations * int8_bytes / 1e6
    export_s = min(table["longest_export_s"] / table["rows"] for table in recorded.values())
    return {
        "measured_h": _scaling.profiled_s(shelf, [(options.evaluations, 9)])["measure"] / 3600,
        "pushed_h": max(size_mb / options.phone_mb_s, shelf.units * size_mb / options.host_mb_s) / 3600,
        "pushed_gb": shelf.units * size_mb / 1e3,
        "exported_h_at_least": options.evaluations * export_s / 3600,
    }


def _evaluations(options: argparse.Namespace, cluster: Cluster, costs: dict[str, Cost]) -> dict[str, Any]:
    """Hours by strategy and workers, and from when on the driver is what all wait for."""
    found: dict[str, Any] = {}
    for name, cost in costs.items():
        found[name] = {
            "driver_s": {str(n): cost(n) for n in (100, 1000, 10_000)},
            "driver_alone_h": sum(cost(n) for n in range(1, options.evaluations + 1)) / 3600,
            "driver_is_the_limit_after": _scaling.saturates_at(cluster, options.evaluations, cost),
            "workers_that_it_feeds": cluster.whole.mean_s / cost(options.evaluations),
            "hours": {},
        }
        for workers in sorted({*ALL_WORKERS, options.workers}):
            own = replace(cluster, workers=workers)
            found[name]["hours"][str(workers)] = {
                "asynchronous": _scaling.asynchronous_s(own, options.evaluations, cost) / 3600,
                "synchronous": _scaling.synchronous_s(own, options.evaluations, cost) / 3600,
            }
    perfect = options.evaluations * cluster.evaluation.mean_s / cluster.workers / 3600
    return {"hours_of_work_over_workers": perfect, "by_strategy": found}


def _rest(
    options: argparse.Namespace, known: dict[str, Any], shelf: Shelf, cluster: Cluster
) -> dict[str, Any]:
    """What is neither the table nor the evaluations."""
    count, finalists = options.evaluations, int(options.finalists)
    training = replace(cluster, evaluation=Duration(options.finalist_h * 3600, 0.1))
    return {
        "data_s": options.machines * options.data_gb * 1e3 / options.network_mb_s,
        "finalists_trained_h": _scaling.synchronous_s(training, finalists, lambda _: 0.0) / 3600,
        "finalists_measured_s": _scaling.profiled_s(shelf, [(finalists, 27)])["total"],
        "lookups_of_a_million_s": 1e6 * known["lookups"]["looked_up_s"],
        "history_mb": count * known["evolution"]["history_bytes_a_trial"] / 1e6,
        "networks_kept_gb": count * known["network_bytes"] / 1e9,
        "surrogate_gb": known["surrogate"]["matrices"] * 8 * count**2 / 1e9,
        "resumed_s": known["evolution"]["resumed_s"],
        "front_s": known["evolution"]["front_s"],
    }


def _targets(results: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for way, rows in results["compared"].items():
        worst = max(abs(row["difference"]) for row in rows)
        yield target(f"{way}: largest difference to the simulation", worst, "<=", 0.05)
    for row in results["measured_here"]["played"]:
        yield target(f"{row['name']}: difference to the real driver", abs(row["difference"]), "<=", 0.10)


if __name__ == "__main__":
    main()
