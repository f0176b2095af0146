"""The search stage: latency models, budgets and images in, a run folder out."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hwnas import files, latency, spaces, tasks
from hwnas.data import Dataset
from hwnas.errors import HwnasError, SchemaMismatch
from hwnas.evaluators.base import Live, TrainedNetworks
from hwnas.evaluators.blockwise import Blockwise
from hwnas.evaluators.layerwise import Teaching
from hwnas.evaluators.of_run import evaluator_of
from hwnas.evaluators.standalone import FromScratch
from hwnas.evaluators.zero_cost.untrained import Untrained
from hwnas.latency import LatencyModel
from hwnas.latency.fitted import FittedModel
from hwnas.pools import HERE, PoolSpec
from hwnas.runs import outputs, records
from hwnas.runs.folder import RunFolder
from hwnas.search import made
from hwnas.search import strategy as strategy_of
from hwnas.search.base import SearchResult, Strategy
from hwnas.search.constraints import beside_latency, constraints_of, not_binding
from hwnas.search.feasible import FeasibleSampler
from hwnas.search.objective import ENERGY, Objective, energy_model
from hwnas.search.problem import Constraint, Problem
from hwnas.search.recording import record_of
from hwnas.search.request import SearchRequest
from hwnas.search.session import Session
from hwnas.space import SearchSpace
from hwnas.train import TrainConfig, optim, ranks
from hwnas.train.teacher import load_teacher
from hwnas.train.training import dataset_of


@dataclass(frozen=True)
class PreparedSearch:
    """A search with all that it needs in memory, so that nothing of it is read again.

    Attributes:
        request: What is to be searched.
        dataset: Its images.
        space: Its space.
        models: Its latency models.
        constraints: Its budgets on them.
        objectives: What is to be small beside latency.
        limits: What else must not be exceeded.
        seconds: What it took to read all that.
    """

    request: SearchRequest
    dataset: Dataset
    space: SearchSpace
    models: tuple[FittedModel, ...]
    constraints: tuple[Constraint, ...]
    objectives: tuple[Objective, ...]
    limits: tuple[Constraint, ...]
    seconds: float

    @property
    def alarms(self) -> list[str]:
        """What is to be known before it begins: budgets that do not bind, models not to be trusted."""
        doubts = {str(model.target): latency.doubt(model.evaluation) for model in self.models}
        if ENERGY in (*self.request.objectives, *self.request.limits):
            energy = energy_model(self.models, self.space)
            doubts[f"energy of {energy.target}"] = latency.doubt(getattr(energy, "evaluation", {}))
        return [
            *not_binding(self.constraints, self.request.ranges),
            *(f"{name}: {text}" for name, text in doubts.items() if text),
        ]


@dataclass(frozen=True)
class Searched:
    """A search with what it holds in memory, so that what comes after need not read it again.

    Attributes:
        result: What was found.
        scorer: What scored architectures.
    """

    result: SearchResult
    scorer: TrainedNetworks


def prepared(
    request: SearchRequest, dataset: Dataset | None = None, models: Sequence[FittedModel] = ()
) -> PreparedSearch:
    """Read what a request names, the latency models before the images.

    Args:
        request: What is to be searched.
        dataset: Its images, where they were read before.
        models: Its latency models, where they were read before.

    Raises:
        LatencyModelError: A latency model is none, or is of another space; or see ``constraints_of``.
        InfeasibleBudget: A budget is below the fastest architecture.
        DataError: The images cannot be read.
    """
    began = time.monotonic()
    known = tuple(models) or tuple(latency.load(path, request.space) for path in request.latencies)
    dataset = dataset or load_data(request)
    if request.teacher is not None:
        request = replace(request, data=dataset.name)  # the teacher's, whatever path was typed
    space = space_for(request.space, dataset)
    constraints = constraints_of(
        known,
        request.budgets,
        space,
        request.confidence,
        measured=request.measured,
        ranges=request.ranges,
    )
    objectives, limits = beside_latency(request.objectives, request.limits, known, space, request.confidence)
    seconds = time.monotonic() - began
    return PreparedSearch(request, dataset, space, known, constraints, objectives, limits, seconds)


@outputs.alone_in("out", "a search", new=True)
def search_run(
    request: SearchRequest, out: Path, *, live: Live | None = None, dataset: Dataset | None = None
) -> SearchResult:
    """As ``searched``, for callers that want nothing but the result."""
    _require_new(out)
    return searched(prepared(request, dataset), out, live=live).result


@outputs.alone_in("out", "a search", new=True)
def searched(ready: PreparedSearch, out: Path, *, live: Live | None = None) -> Searched:
    """Search, and write ``arch.json``, ``search.json``, ``history.jsonl``, ``supernet.safetensors``.

    Where architectures are trained from scratch, those are in the folder ``trained`` instead of a
    supernet. As long as a pool teaches candidates, those that have learnt are in the folder ``layers``.
    The latency models are copied to ``latency/<device>-<runtime>-<precision>.json``.

    A search that was cut off goes on from its checkpoint in ``out``. Under ``torchrun`` the
    processes share every batch of the supernet.

    Args:
        ready: What is to be searched.
        out: Folder of the run; must not hold a finished search.
        live: Called after every step.

    Raises:
        InfeasibleBudget: No architecture keeps the budgets.
        HwnasError: The folder holds a finished search, or something in the request is wrong.
    """
    _require_new(out)
    with ranks.joined(optim.pick_device(ready.request.oneshot.device)):
        return _search(ready, out, live)


def _require_new(out: Path) -> None:
    if RunFolder(out).search.exists():
        raise HwnasError(f"a run folder must be new, but {out} holds a finished search: give another one")


def _search(ready: PreparedSearch, out: Path, live: Live | None) -> Searched:
    request, dataset, space, models = ready.request, ready.dataset, ready.space, ready.models
    clock = _Clock(live if ranks.rank() == 0 else None)
    clock.seconds["data"] = ready.seconds
    scorer = _scorer(request, space, dataset, out)
    problem = Problem(space, (*ready.constraints, *ready.limits), objectives=ready.objectives)
    _ = FeasibleSampler(problem).feasible  # refuses budgets that do not go together, before training
    strategy, run = _strategy(request), RunFolder(out)
    session = Session(
        history=run.history if ranks.rank() == 0 else None,
        checkpoint=run.search_checkpoint,
        workers=HERE if request.scratch is None else request.pool,  # one who scores with a supernet has it
        tell=clock,
        score=scorer.merits.key,
    )
    if request.supernet is None and not strategy.needs.shared_weights:
        scorer.prepare(request.training_steps, on_step=clock, checkpoint=run.search_checkpoint)
    result = strategy.search(problem, scorer, np.random.default_rng(request.seed), session)
    clock.phase("search")  # also what came after its last step
    result = replace(result, extra=dict(result.extra) | _blind(result, dataset, scorer))
    if known := ready.alarms:
        alarms = [*known, *result.extra.get("alarms", ())]
        result = replace(result, extra=dict(result.extra) | {"alarms": alarms})
    if ranks.rank() == 0:
        scorer.save_into(run)
        _copy_models(request.latencies, models, run)
        files.write_json(run.arch, result.best.to_json())
        record = record_of(request, result, problem, models, scorer, dataset, clock.seconds)
        files.write_json(run.search, record.to_json())
        run.search_checkpoint.unlink(missing_ok=True)
        shutil.rmtree(run.layers, ignore_errors=True)
    return Searched(result, scorer)


def _blind(result: SearchResult, dataset: Dataset, scorer: TrainedNetworks) -> dict[str, Any]:
    """An alarm where what was scored is no better than guessing, or the images cannot tell."""
    merits = [trial.quality for trial in result.trials]
    text = scorer.merits.blindness(merits, dataset.val.labels)
    return {} if text is None else {"alarms": [*result.extra.get("alarms", ()), text]}


def load_data(request: SearchRequest) -> Dataset:
    """The images of a request, at the size that its space wants; those of its teacher, if it has one."""
    if request.teacher is not None:
        return dataset_of(records.trained(request.teacher).data)
    resolution = spaces.load(request.space).input_shape[1]
    return tasks.get(request.task).load(request.data, resolution=resolution, seed=request.seed)


def space_for(name: str, dataset: Dataset) -> SearchSpace:
    """The space of a name; without a class count it gets that of the data.

    Raises:
        SpaceError: There is none, or its networks do something else than is asked for.
    """
    number = None if spaces.says_classes(name) else tasks.of(dataset).outputs(dataset)
    space = spaces.load(name, num_classes=number)
    tasks.require_readable(dataset, space)
    return space


def _copy_models(paths: Sequence[Path], models: Sequence[LatencyModel], run: RunFolder) -> None:
    for path, model in zip(paths, models, strict=True):
        own = run.latency_model(model.target)
        if path.resolve() != own.resolve():
            files.write_atomic(own, path.read_bytes())


def _scorer(request: SearchRequest, space: SearchSpace, dataset: Dataset, out: Path) -> TrainedNetworks:
    if request.untrained is not None:
        return Untrained(space, dataset, request.untrained)
    if request.scratch is not None:
        return _from_scratch(request, request.scratch, space, dataset, out)
    kind = evaluator_of(request.oneshot.training)
    if request.supernet is None:
        scorer = kind(space, dataset, request.oneshot)
        if request.teacher is not None and isinstance(scorer, Blockwise):
            scorer.teach(load_teacher(request.teacher, dataset))
        if not request.pool.is_here and isinstance(scorer, Blockwise):
            _require_one_process("teaching by a pool")
            kept = RunFolder(out).layers.resolve()
            scorer.share(Teaching(request.pool, _threads(request.pool), kept))
        return scorer
    scorer = kind.load(request.supernet, space, dataset, device=request.oneshot.device)
    _require_trained_as(request, scorer.config.training)
    return scorer


def _require_trained_as(request: SearchRequest, training: str) -> None:
    """Refuse the weights of a supernet that was trained in another way: its scores would mean something else.

    Raises:
        SchemaMismatch: They were.
    """
    ways = {"paths": "on random paths", "blockwise": "block by block"}
    if training == (wanted := request.oneshot.training):
        return
    remedy = "--evaluate blockwise"
    if training == "paths":
        remedy = "--evaluate supernet with --strategy evolution or fbnet, for example"
    raise SchemaMismatch(
        f"a supernet must be trained {ways[wanted]} for this search, but {request.supernet} was trained "
        f"{ways[training]}: {remedy}",
        field="training",
    )


def _from_scratch(
    request: SearchRequest, config: TrainConfig, space: SearchSpace, dataset: Dataset, out: Path
) -> FromScratch:
    _require_one_process("training from scratch")
    is_early = strategy_of(request.strategy).needs.fidelities
    return FromScratch(
        space,
        request.data,
        request.seed,
        config,
        request.pool,
        _threads(request.pool),
        RunFolder(out).trained.resolve(),
        dataset,
        request.task,
        **{"alike_early" if is_early else "alike": request.alike},
    )


def _require_one_process(what: str) -> None:
    if ranks.ranks() > 1:
        raise HwnasError(
            f"{what} must be started once, but torchrun started it {ranks.ranks()} times: start it without "
            "torchrun and give it a --pool"
        )


def _threads(pool: PoolSpec) -> int:
    """Of PyTorch in each task."""
    return pool.threads or max(1, torch.get_num_threads() // pool.count)


def _strategy(request: SearchRequest) -> Strategy:
    """The strategy with its settings."""
    return made(request.strategy, dict(request.settings))


class _Clock:
    """Passes records on and notes how long each phase took."""

    def __init__(self, live: Live | None) -> None:
        self.seconds: dict[str, float] = {}
        self._live, self._last = live, time.monotonic()

    def phase(self, name: str) -> None:
        """What passed since the last call belongs to this phase."""
        now = time.monotonic()
        self.seconds[name] = self.seconds.get(name, 0.0) + now - self._last
        self._last = now

    def __call__(self, record: Mapping[str, Any]) -> None:
        self.phase(str(record.get("phase", "search")))
        if self._live:
            self._live(record)
