"""What does searching from a pretrained network gain over its honest controls, at equal cost?

    python tools/bench_pretrained.py --work DIR --rows rows.jsonl > pretrained.json
    python tools/bench_pretrained.py --shares 0.5 --seeds 0 --assemblies 0        # a quick look

For each seed a known network is adapted to the images (the *teacher*), candidates for its blocks learn from
it, and for each share of the teacher's cost the exact search proposes a network. Beside it stand, under the
same budget: the uniformly narrowed network and a random one of the same distilled blocks, the teacher on
smaller images, and a network of fewer channels everywhere, cut from the same weights and adapted on its own.
All are fine-tuned alike from what they have then, with the teacher's answers. With ``--widths`` networks of
those widths are adapted, taught from and searched around as well, within the same budgets, and of all that is
found the best on validation images after tuning counts, as in the product. Compared are
answers to the validation and the test images together, in pairs (McNemar); validation images have chosen
epochs, and the scores of the search, of all alike. Costs are multiply-adds, or with ``--table`` milliseconds
by a model of what ``hwnas profile`` measured of ``from:NETWORK``, and of NETWORK on smaller images and
of other widths.

With ``--assemblies`` so many random networks, at costs from the least to the largest of the shares, are
fine-tuned as well, to say how the sum of errors and the score rank what tuning makes of them, and how their
cost alone does. One JSON object on standard output; with ``--rows`` finished trainings
are kept, with ``--work`` teachers and distilled blocks too, and a bench that was cut off goes on from them.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _bench import Rows, environment, made_folder, parser, report, say, target
from torch import nn

from hwnas import blocks, latency, spaces, tasks
from hwnas.budget import Budget
from hwnas.data import Dataset
from hwnas.errors import HwnasError, InfeasibleBudget
from hwnas.evaluators.blockwise import Blockwise
from hwnas.evaluators.supernet.config import OneShotConfig
from hwnas.latency.base import Cost
from hwnas.latency.evaluate import rank_correlations
from hwnas.runs import records
from hwnas.search.base import SearchResult
from hwnas.search.feasible import FeasibleSampler, near_budget
from hwnas.search.problem import Constraint, Problem
from hwnas.search.sampling.additive import Additive
from hwnas.search.sampling.exact import Exact
from hwnas.search.sampling.knapsack import Knapsack, uniform
from hwnas.search.session import Session
from hwnas.space import Architecture, SearchSpace
from hwnas.statistics.differences import Difference
from hwnas.tables.table import LatencyTable
from hwnas.train import TrainConfig, fit, new_network, predictions
from hwnas.train.adapting import adapted, space_of
from hwnas.train.checkpoint import load_weights
from hwnas.train.teacher import load_teacher
from hwnas.train.training import dataset_of

FOUND, UNIFORM, RANDOM, NOTHING = "found", "uniform", "random", "from nothing"
NARROWER, SMALLER = "narrower network", "smaller images"
CONTROLS = (UNIFORM, RANDOM, NARROWER, SMALLER)


@dataclass(frozen=True)
class Lesson:
    """A teacher and what its candidates learnt, for one seed.

    Attributes:
        folder: Where both are kept.
        seed: Of all randomness.
        options: Of the bench.
        width: Of the network's channels.
    """

    folder: Path
    seed: int
    options: argparse.Namespace
    width: float = 1.0

    @cached_property
    def narrower(self) -> tuple[Lesson, ...]:
        """The same around networks of other widths."""
        widths = self.options.widths
        return tuple(Lesson(self.folder / f"{width:g}", self.seed, self.options, width) for width in widths)

    @property
    def network(self) -> str:
        """Name of the teacher."""
        return self.options.network if self.width == 1 else f"{self.options.network}-{self.width:g}"

    @cached_property
    def run(self) -> Path:
        """The adapted network."""
        options = self.options
        config = TrainConfig(epochs=options.teacher_epochs, seed=self.seed)

        def tell(record: Any) -> None:
            say(f"seed {self.seed}: teacher, epoch {record.epoch}/{record.epochs}: {record.val_value:.4f}")

        return adapted(
            self.folder / "teacher",
            self.network,
            options.data,
            resolution=options.resolution,
            config=config,
            on_epoch=tell,
        )

    @cached_property
    def data(self) -> Dataset:
        """Its images."""
        return dataset_of(records.trained(self.run).data)

    @cached_property
    def architecture(self) -> Architecture:
        """Its blocks."""
        return spaces.architecture_from_json(records.arch(self.run))

    @cached_property
    def space(self) -> SearchSpace:
        """All that is cheaper."""
        return spaces.load(space_of(self.run))

    @cached_property
    def evaluator(self) -> Blockwise:
        """The distilled candidates."""
        config = OneShotConfig(
            training="blockwise",
            teacher_share=0.0,
            batch_size=self.options.batch_size,
            resolution=self.space.input_shape[1],
            recalibration_images=1024,
            seed=self.seed,
        )
        found = Blockwise(self.space, self.data, config)
        found.teach(load_teacher(self.run, self.data))
        found.prepare(self.options.steps, on_step=lambda _: None, checkpoint=self.folder / "distilled")
        return found

    @cached_property
    def costs(self) -> Cost:
        """What networks of the space cost."""
        return self.costs_of(self.space)

    def costs_of(self, space: SearchSpace) -> Cost:
        """Likewise of any space; raises HwnasError where it was not measured."""
        if self.options.table is not None:
            return latency.fit(LatencyTable.load(self.options.table), space, "posterior").costs(space)
        fixed, tables = space.macs_table()
        return Cost(fixed / 1e6, tuple(table / 1e6 for table in tables), "M MACs")

    @property
    def whole(self) -> float:
        """What the teacher costs."""
        return float(self.costs.of(np.zeros((1, len(self.space.sizes)), np.int64))[0])

    def problem(self, share: float) -> Problem:
        """The space under a share of the teacher's cost."""
        return self.problem_within(share * self.whole)

    def problem_within(self, limit: float) -> Problem:
        """The space under a limit."""
        return Problem(self.space, (Constraint(Budget("cost", limit, self.costs.unit), self.costs),))

    def found(self, problem: Problem) -> SearchResult:
        """What the exact search proposes."""
        strategy = Exact(queries=self.options.queries, dropped=1)
        return strategy.search(problem, self.evaluator, np.random.default_rng([self.seed, 3]), Session())

    def tuned_of(self, indices: Sequence[int]) -> dict[str, Any]:
        """What ``tuned`` says of a network of the distilled blocks, and what it costs."""
        cost = float(self.costs.of(np.array([indices]))[0])
        return {
            "indices": list(indices),
            "cost": cost,
            **self.tuned(self.evaluator.subnetwork(indices), self.data),
        }

    def tuned(self, model: nn.Module, data: Dataset) -> dict[str, Any]:
        """Which images a network answers rightly: as it is, after an epoch of fine-tuning, and after all."""
        options = self.options
        teacher = load_teacher(self.run, self.data) if data is self.data else None
        config = TrainConfig(
            epochs=options.tune_epochs,
            batch_size=options.batch_size,
            learning_rate=options.learning_rate,
            layer_decay=1.0,
            distill_weight=0.7 if teacher else 0.0,
            temperature=2.0,
            seed=self.seed,
        )
        seen: list[str] = []
        losses: list[tuple[float, float]] = []

        def on_epoch(record: Any) -> None:
            losses.append((record.loss, record.val_loss))
            if record.epoch == 1:
                seen.append(_right(model, data))

        began = time.process_time()
        before = _right(model, data)
        result = fit(model, data, config, teacher=teacher, fresh=(), on_epoch=on_epoch)
        return {
            "before": before,
            "first": seen[0],
            "after": _right(model, data),
            "val": result.val.value,
            "losses": losses,
            "cpu_seconds": time.process_time() - began,
        }


def _right(model: nn.Module, data: Dataset) -> str:
    """A 1 for each validation and test image that is answered rightly, else a 0; the model's mode stays."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    found = "".join(str(int(r)) for split in ("val", "test") for r in predictions(model, data, split).right)
    for module, mode in modes:
        module.training = mode
    return found


def main() -> None:
    """Adapt, distil, search, tune, print."""
    options = _options()
    torch.set_num_threads(options.threads)
    rows = Rows(options.rows)
    with tempfile.TemporaryDirectory() as name:
        folder = options.work or Path(name)
        found = {str(seed): _seed(Lesson(folder / str(seed), seed, options), rows) for seed in options.seeds}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    gains = {str(share): _gains(found, str(share)) for share in options.shares}
    report(
        options,
        {"seeds": found, "gains": gains, "peak_memory_gib": peak},
        [*_targets(found, gains), target("peak memory in GiB", peak, "<=", 4.0)],
        environment("torch", "scipy"),
    )


def _seed(lesson: Lesson, rows: Rows) -> dict[str, Any]:
    options, began = lesson.options, time.monotonic()
    key = "/".join(
        map(str, [options.network, options.data, options.resolution, options.steps, options.tune_epochs])
    )
    key += f"/{options.learning_rate}/{options.table}/{lesson.seed}"

    def row(name: str, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        return dict(rows.get(f"{key}/{name}", make))

    teacher = row("teacher", lambda: _teacher(lesson))
    shares = {
        str(share): row(f"share {share}", lambda s=share: _share(lesson, s)) for share in options.shares
    }
    found = {"teacher": teacher, "shares": shares}
    for share, part in shares.items():
        for other in lesson.narrower:
            name, limit = f"{FOUND}, width {other.width:g}", float(share) * lesson.whole
            if one := row(f"{name}, {share}", lambda o=other, m=limit: _found_within(o, m)):
                part[name] = one
        if one := row(f"{NARROWER}, {share}", lambda s=share: _narrower(lesson, lesson.problem(float(s)))):
            part[NARROWER] = one
    if epochs := options.nothing_epochs:
        found[NOTHING] = row(f"{NOTHING}, {epochs}", lambda: _nothing(lesson, lesson.architecture))
        for share, part in shares.items():
            arch = lesson.space.architecture(part[FOUND]["indices"])
            part[NOTHING] = row(f"{NOTHING}, {epochs}, {share}", lambda a=arch: _nothing(lesson, a))
    if options.assemblies:
        some = [row(f"assembly {n}", lambda n=n: _assembly(lesson, n)) for n in range(options.assemblies)]
        after = np.array([np.mean(_answers(item["tuned"]["after"])) for item in some])
        foretold = {
            "errors": [-item["errors"] for item in some],
            "score": [item["score"] for item in some],
            "cost": [item["cost"] for item in some],
            "training loss of the first epoch": [-item["tuned"]["losses"][0][0] for item in some],
            "validation loss after it": [-item["tuned"]["losses"][0][1] for item in some],
        }
        found["spearman"] = {n: rank_correlations(np.array(by), after)[0] for n, by in foretold.items()}
    found["front"] = row("front", lambda: _front(lesson))
    found["seconds"] = time.monotonic() - began
    return found


def _teacher(lesson: Lesson) -> dict[str, Any]:
    began = time.process_time()
    model = blocks.network(lesson.architecture)
    load_weights(model, lesson.run / "weights.safetensors")
    trained = time.process_time() - began
    began = time.process_time()
    _ = lesson.evaluator.block_errors()
    return {
        "right": _right(model, lesson.data),
        "adapting_cpu_seconds": trained,
        "distillation_cpu_seconds": time.process_time() - began,
    }


def _share(lesson: Lesson, share: float) -> dict[str, Any]:
    """The found network and its controls at a share of the teacher's cost."""
    problem, began = lesson.problem(share), time.process_time()
    result = lesson.found(problem)
    searched = time.process_time() - began
    drawn = FeasibleSampler(near_budget(problem, 0.95)).sample(1, np.random.default_rng([lesson.seed, 17]))[0]
    networks = {FOUND: result.best.indices, UNIFORM: uniform(problem), RANDOM: tuple(map(int, drawn))}
    found = {name: lesson.tuned_of(i) for name, i in networks.items() if i is not None}
    if (smaller := _smaller(lesson, problem)) is not None:
        found[SMALLER] = smaller
    found["search"] = {
        "cpu_seconds": searched,
        "best_of": result.extra["best_of"],
        "spearman": result.extra["spearman"],
    }
    return found


def _found_within(lesson: Lesson, limit: float) -> dict[str, Any]:
    """What is found around a network of another width; empty where nothing keeps the limit."""
    try:
        return lesson.tuned_of(lesson.found(lesson.problem_within(limit)).best.indices)
    except InfeasibleBudget as error:
        say(f"width {lesson.width:g}: {error}")
        return {}


def _first_within(
    lesson: Lesson, problem: Problem, sized: Iterable[tuple[float, SearchSpace]]
) -> tuple[float, Architecture, float] | None:
    """The first size at which a known network keeps the budget, the network, and what it costs."""
    for size, space in sized:
        arch = space.architecture([0] * len(space.sizes))  # there is no other
        try:
            cost = float(lesson.costs_of(space).of(np.array([arch.indices]))[0])
        except HwnasError as error:
            say(f"no costs of {space.name}: {error}")
            continue
        if cost <= problem.constraints[0].usable:
            return size, arch, cost
    return None


def _smaller(lesson: Lesson, problem: Problem) -> dict[str, Any] | None:
    """The teacher on the largest images, in steps of 8 pixels, on which it keeps the budget; None without."""
    name = lesson.architecture.space.name
    sides = range(lesson.options.resolution - 8, 31, -8)
    found = _first_within(lesson, problem, ((side, spaces.load(name, resolution=side)) for side in sides))
    if found is None:
        return None
    side, arch, cost = found
    model = blocks.network(arch)
    load_weights(model, lesson.run / "weights.safetensors")
    described = records.trained(lesson.run).data
    task = tasks.of_record(described)
    data = task.load(described["source"], resolution=side, seed=described["seed"])
    data = data.standardized(described["mean"], described["std"])
    return {"resolution": side, "cost": cost, **lesson.tuned(model, data)}


def _narrower(lesson: Lesson, problem: Problem) -> dict[str, Any]:
    """The widest network of the same kind that keeps the budget, adapted on its own; empty without."""
    options = lesson.options
    pixels = f"r{options.resolution}-c{lesson.space.num_classes}-imagenet"
    widths = (percent / 100 for percent in range(95, 20, -5))
    named = ((width, spaces.load(f"{options.network}-{width:g}-{pixels}")) for width in widths)
    found = _first_within(lesson, problem, named)
    if found is None:
        return {}
    width, _, cost = found
    began = time.process_time()
    run = adapted(
        lesson.folder / f"narrower-{width:g}",
        f"{options.network}-{width:g}",
        options.data,
        resolution=options.resolution,
        config=TrainConfig(epochs=options.teacher_epochs, seed=lesson.seed),
    )
    adapting = time.process_time() - began
    model = blocks.network(spaces.architecture_from_json(records.arch(run)))
    load_weights(model, run / "weights.safetensors")
    tuned = lesson.tuned(model, lesson.data)
    return {"width": width, "cost": cost, "adapting_cpu_seconds": adapting, **tuned}


def _nothing(lesson: Lesson, architecture: Architecture) -> dict[str, Any]:
    """The same blocks, trained from nothing."""
    model, began = new_network(architecture, lesson.seed), time.process_time()
    result = fit(model, lesson.data, TrainConfig(epochs=lesson.options.nothing_epochs, seed=lesson.seed))
    seconds = time.process_time() - began
    return {"after": _right(model, lesson.data), "val": result.val.value, "cpu_seconds": seconds}


def _assembly(lesson: Lesson, number: int) -> dict[str, Any]:
    """A random network, scored and tuned; the cost grows with the number."""
    options = lesson.options
    shares = np.linspace(min(options.shares), max(options.shares), options.assemblies)
    problem = lesson.problem(float(shares[number]))
    rng = np.random.default_rng([lesson.seed, 29, number])
    drawn = FeasibleSampler(near_budget(problem, 0.95)).sample(1, rng)[0]
    indices = tuple(map(int, drawn))
    errors = lesson.evaluator.block_errors()
    return {
        "indices": list(indices),
        "cost": float(lesson.costs.of(np.array([indices]))[0]),
        "errors": Additive(errors).sum(indices),
        "score": lesson.evaluator(lesson.space.architecture(indices)),
        "tuned": lesson.tuned(lesson.evaluator.subnetwork(indices), lesson.data),
    }


def _front(lesson: Lesson) -> dict[str, Any]:
    """Twenty budgets on two targets, solved one after the other."""
    errors, began = lesson.evaluator.block_errors(), time.monotonic()
    rng, solved = np.random.default_rng(5), 0
    second = Cost(
        lesson.costs.fixed,
        tuple(part * rng.uniform(0.8, 1.25, len(part)) for part in lesson.costs.choices),
        lesson.costs.unit,
    )
    for share in np.linspace(0.2, 1.0, 20):
        limits = []
        for costs in (lesson.costs, second):
            least, most = costs.range
            limits.append(Constraint(Budget("cost", least + share * (most - least), costs.unit), costs))
        solved += Knapsack(Problem(lesson.space, tuple(limits))).solve(errors) is not None
    return {"seconds": time.monotonic() - began, "budgets": 20, "solved": solved}


def _gains(found: dict[str, Any], share: str) -> dict[str, Any]:
    """The found network minus each control, after one epoch and at the end, over all seeds."""
    parts = [{**seed["shares"][share], FOUND: _chosen(seed["shares"][share])} for seed in found.values()]
    gains = {}
    for name in CONTROLS:
        if all(name in part for part in parts):
            gains[name] = {
                when: Difference.of(*(_arrays(parts, of, when) for of in (FOUND, name))).to_json()
                for when in ("before", "first", "after")
            }
    own = _arrays(parts, FOUND, "after")
    teacher = [_answers(seed["teacher"]["right"]) for seed in found.values()]
    gains["teacher"] = {"after": Difference.of(own, teacher).to_json()}
    if all(NOTHING in part for part in parts):  # its own blocks, so that it is no target to beat it
        gains[NOTHING] = {"after": Difference.of(own, _arrays(parts, NOTHING, "after")).to_json()}
    return gains


def _chosen(part: dict[str, Any]) -> dict[str, Any]:
    """What is found, of the width that does best on validation images after tuning."""
    found = [tuned for name, tuned in part.items() if name.startswith(FOUND)]
    return max(found, key=lambda tuned: tuned["val"])


def _arrays(parts: Sequence[dict[str, Any]], name: str, when: str) -> list[np.ndarray]:
    return [_answers(part[name][when]) for part in parts]


def _answers(right: str) -> np.ndarray:
    """What ``_right`` wrote, as booleans."""
    return np.array([digit == "1" for digit in right])


def _targets(found: dict[str, Any], gains: dict[str, Any]) -> list[dict[str, Any]]:
    def worst(share: str, when: str) -> float | None:
        controls = {name: gains.get(share, {}).get(name) for name in CONTROLS}
        parts = [item[when]["mean"] for item in controls.values() if item]
        return min(parts) if parts else None

    lines = [
        target("gain over the best control at 35 %", worst("0.35", "after"), ">=", 0.01),
        target("gain over the best control at 25 %", worst("0.25", "after"), ">=", 0.02),
        target("gain over the best control at 35 %, after one epoch", worst("0.35", "first"), ">=", 0.03),
    ]
    at_half = gains.get("0.5", {}).get("teacher", {}).get("after", {}).get("mean")
    lines.append(target("loss against the teacher at 50 %", at_half, ">=", -0.02))
    fronts = [seed["front"]["seconds"] for seed in found.values()]
    lines.append(target("seconds for a front of 20 budgets on two targets", max(fronts), "<=", 5.0))
    ranks = [seed["spearman"]["errors"] for seed in found.values() if "spearman" in seed]
    lines.append(target("Spearman of errors and tuned accuracy", min(ranks) if ranks else None, ">=", 0.7))
    nothing = [
        float(np.mean(_answers(seed["teacher"]["right"])) - np.mean(_answers(seed[NOTHING]["after"])))
        for seed in found.values()
        if NOTHING in seed
    ]
    lines.append(target("teacher over the same from nothing", min(nothing) if nothing else None, ">=", 0.2))
    return lines


def _options() -> argparse.Namespace:
    shared = Path(__file__).resolve().parents[2] / "shared" / "data" / "clothing"
    found = parser(__doc__, seeds=[0, 1, 2], rows="trainings")
    found.add_argument("--data", default=str(shared))
    found.add_argument("--network", default="efficientnet-lite0")
    found.add_argument("--resolution", type=int, default=128)
    found.add_argument("--widths", type=float, nargs="*", default=[], help="of further networks")
    found.add_argument("--shares", type=float, nargs="+", default=[0.7, 0.5, 0.35, 0.25], help="of the cost")
    found.add_argument("--table", type=Path, help="of measured latencies; multiply-adds without")
    found.add_argument("--teacher-epochs", type=int, help="those of `hwnas train --from` by default")
    found.add_argument("--nothing-epochs", type=int, default=0, help="of the same blocks from nothing")
    found.add_argument("--tune-epochs", type=int, default=3)
    found.add_argument("--learning-rate", type=float, default=0.01, help="of the fine-tuning")
    found.add_argument("--batch-size", type=int, default=32)
    found.add_argument("--steps", type=int, default=120, help="of distillation")
    found.add_argument("--queries", type=int, default=24, help="of the exact search")
    found.add_argument("--assemblies", type=int, default=20, help="random networks that are tuned too")
    found.add_argument("--threads", type=int, default=2)
    found.add_argument("--work", type=made_folder, help="folder to keep teachers and blocks in")
    found.add_argument("--device", default="cpu", choices=("cpu",))
    return found.parse_args()


if __name__ == "__main__":
    main()
