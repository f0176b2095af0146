"""The whole search stage for devices: tables, models, search, finalists, gallery; resumable."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from hwnas import budget as typed
from hwnas import files, latency, spaces
from hwnas.annotations import require_fields
from hwnas.budget import Budget
from hwnas.data import Dataset
from hwnas.data.sources import require_apart
from hwnas.device import Device
from hwnas.device import load as known_device
from hwnas.errors import DeviceError, HwnasError, TableError, TransportError
from hwnas.evaluators.base import Live, TrainedNetworks
from hwnas.evaluators.of_run import scorer_in, scorer_of, scores
from hwnas.finalists import models as fitted
from hwnas.finalists import ranges, runtimes
from hwnas.finalists.candidates import FinalistsOptions
from hwnas.finalists.latencies import Posteriors
from hwnas.finalists.reading import Indices
from hwnas.finalists.record import predictions_of, readings_of, trials_of
from hwnas.finalists.repair import Tell
from hwnas.finalists.select import confidence_of, latency_constraints, select_finalist
from hwnas.latency import Prediction, Source
from hwnas.latency.base import IntArray
from hwnas.latency.fitted import FittedModel
from hwnas.measure import Measurer, ProfileOptions
from hwnas.runs import outputs, records
from hwnas.runs.folder import RunFolder
from hwnas.runs.found import SearchRecord
from hwnas.runs.gallery import GalleryRecord
from hwnas.search import gallery
from hwnas.search import strategy as strategy_of
from hwnas.search.constraints import shares_of
from hwnas.search.gallery import TargetLatency
from hwnas.search.objective import ENERGY, energy_model
from hwnas.search.request import SearchRequest
from hwnas.search.searching import PreparedSearch, load_data, prepared, searched, space_for
from hwnas.space import SearchSpace
from hwnas.train import optim, ranks
from hwnas.train.training import dataset_of


@dataclass(frozen=True)
class SearchOptions:
    """What is wanted beside the search.

    Attributes:
        measure: Whether finalists are measured on the devices.
        rank: "fp32" or "int8"; None is int8 where any target is.
        tables: Folder of latency tables; the user's own by default.
        gallery_points: Budgets over the range that the gallery is drawn for; 0 for no gallery.
        gallery_each: Architectures scored for each of them.
        finalists: Bounds of the loop that measures them.
        measuring: How well finalists are measured.
    """

    measure: bool = True
    rank: str | None = None
    tables: Path | None = None
    gallery_points: int = 10
    gallery_each: int = 4
    finalists: FinalistsOptions = field(default_factory=FinalistsOptions)
    measuring: ProfileOptions = field(default_factory=ProfileOptions)

    def __post_init__(self) -> None:
        require_fields(self, HwnasError)


@outputs.alone_in("run", "a search", new=True)
def search_for(
    budgets: Sequence[Budget],
    request: SearchRequest,
    run: Path,
    options: SearchOptions | None = None,
    *,
    devices: Mapping[str, Device] | None = None,
    dataset: Dataset | None = None,
    is_new: bool = True,
    live: Live | None = None,
    tell: Tell = lambda _: None,
    warn: Callable[[str], None] = lambda _: None,
) -> SearchRecord | None:
    """Search the best architecture that keeps the budgets of devices, and measure that it does.

    Started again, it goes on where it was cut off.

    Args:
        budgets: On targets of devices; where there are none, ``request`` has latency models and budgets.
        request: What else is to be searched.
        run: Folder of the run.
        options: What is wanted beside the search.
        devices: Descriptors to measure with, by name, instead of those of ``hwnas.device.load``.
        dataset: The images of the search, where they were loaded before.
        is_new: Whether a search that was finished before is refused; else nothing is done again.
        live: Called after every step of the search.
        tell: Told what is done after the search.
        warn: Given what the user should know: whose table was used, what int8 does not like.

    Returns:
        What ``search.json`` holds; None in processes of torchrun other than the first.

    Raises:
        TableError: A target has no latency table.
        InfeasibleBudget: Nothing keeps the budgets.
        HwnasError: The folder holds another search, or a finished one.
    """
    options = options or SearchOptions()
    with ranks.joined(optim.pick_device(request.oneshot.device)):
        models = [latency.load(path, request.space) for path in request.latencies]  # before the images
        require_apart(run, request.data)
        dataset = dataset or load_data(request)
        request = replace(request, measured=options.measure)
        request = _for_devices(budgets, request, run, dataset, options, devices, tell, warn)
        ready = prepared(request, dataset, models)
        for text in (*ready.alarms, *shares_of(ready.constraints, request.ranges)):
            warn(text)
        if options.measure and ranks.rank() == 0 and not RunFolder(run).search.exists():
            _require_counter(ready, options.measuring, devices)
        record, scorer = _searched(ready, run, is_new, live)
        if record is not None and ranks.rank() == 0:
            with ranks.alone():
                scorer = scorer or scorer_in(run, dataset)
                record = _kept(record, run, dataset, scorer, ready.models, options, devices, tell)
    return record


def _require_counter(
    ready: PreparedSearch, measuring: ProfileOptions, devices: Mapping[str, Device] | None
) -> None:
    """Refuse a search whose energy cannot be measured at its end; a device that is not there is not asked."""
    if ENERGY not in (*ready.request.objectives, *ready.request.limits):
        return
    target = energy_model(ready.models, ready.space).target
    device = (devices or {}).get(target.device) or known_device(target.device)
    with suppress(TransportError), Measurer(device, replace(measuring, energy=True)) as measurer:
        measurer.environment(target)


def _for_devices(
    budgets: Sequence[Budget],
    request: SearchRequest,
    run: Path,
    dataset: Dataset,
    options: SearchOptions,
    devices: Mapping[str, Device] | None,
    tell: Tell,
    warn: Callable[[str], None],
) -> SearchRequest:
    """The request with the latency models and the budgets of the devices, if there are any."""
    if not budgets:
        return request
    space = space_for(request.space, dataset)
    measuring = options.measuring
    allowed = measuring if options.measure else None
    budgets = ranks.first_then_others(
        lambda: runtimes.resolve(
            budgets, space, run, options.tables, allowed, devices=devices, tell=tell, warn=warn
        )
    )
    found = fitted.sources(budgets, space, options.tables)
    for text in (*(s.warning for s in found if s.warning), *_int8_warnings(found, space, options.tables)):
        warn(text)
    here = ranks.first_then_others(
        lambda: ranges.resolve(budgets, found, run, options.measure, measuring, warn=warn)
    )
    models = fitted.fit([item.source for item in here], run)
    shared = {b.name: item.range_ms for b, item in zip(budgets, here, strict=True) if item.range_ms}
    asked = _as_typed(budgets)
    return replace(request, latencies=models, budgets=tuple(budgets), ranges=shared, asked=asked)


def _as_typed(budgets: Sequence[Budget]) -> tuple[str, ...]:
    """What is typed for budgets; nothing where a text cannot name them, as one on another batch."""
    for texts in (tuple(map(str, budgets)), tuple(b.with_threads for b in budgets)):
        with suppress(DeviceError):  # two that differ by their threads alone are one without them
            if typed.parse(texts) == tuple(budgets):
                return texts
    return ()


def _kept(
    record: SearchRecord,
    run: Path,
    dataset: Dataset,
    scorer: TrainedNetworks,
    models: Sequence[FittedModel],
    options: SearchOptions,
    devices: Mapping[str, Device] | None,
    tell: Tell,
) -> SearchRecord:
    """The record with its finalists measured, as far as that was not done before; and the gallery."""
    if record.finalists is None or not record.finalists.kept:
        record = select_finalist(
            run,
            measure=options.measure,
            rank=options.rank,
            tables=options.tables,
            devices=devices,
            dataset=dataset,
            scorer=scorer,
            models=models,
            options=options.finalists,
            measuring=options.measuring,
            tell=tell,
        )
    if options.gallery_points:
        tell("gallery")
        write_gallery(run, options.gallery_points, options.gallery_each, scorer=scorer, models=models)
    folder = RunFolder(run)
    for networks in (folder.trained, folder.tuned):  # of a short training, of no more use
        shutil.rmtree(networks, ignore_errors=True)
    return record


def _int8_warnings(found: Sequence[Source], space: SearchSpace, folder: Path | None) -> tuple[str, ...]:
    """What int8 does not like; tables in fp32 are looked for where only int8 was asked for."""
    tables = [source.table for source in found]
    for table in list(tables):
        other = replace(table.target, precision="fp32")
        if table.target.precision == "int8" and other not in [t.target for t in tables]:
            with suppress(TableError):
                tables.append(latency.find_table(other, space, folder).table)
    return latency.slow_in_int8(tables, space)


def _searched(
    ready: PreparedSearch, run: Path, is_new: bool, live: Live | None
) -> tuple[SearchRecord | None, TrainedNetworks | None]:
    """The record of the search, and what scored in it if that was now.

    Of a search that was done before, if it is the same and not finished.
    """
    folder = RunFolder(run)
    if not folder.search.exists():
        scorer = searched(ready, run, live=live).scorer
        return (None if ranks.rank() != 0 else records.search(run)), scorer
    record = records.search(run)
    other = _differing(record.request, ready.request)
    kept = record.finalists is not None and record.finalists.kept
    if other or (is_new and kept and folder.gallery.exists()):
        what = f"another search (it differs in {', '.join(other)})" if other else "a finished search"
        raise HwnasError(f"a run folder must be new, but {run} holds {what}: give another one")
    return record, None


def _differing(recorded: Mapping[str, Any], request: SearchRequest) -> list[str]:
    """In what a record is of another request; earlier versions left out settings that are the usual ones."""

    def complete(identity: Mapping[str, Any]) -> dict[str, Any]:
        given = identity.get("settings", {})
        strategy = strategy_of(request.strategy)()
        idle = {"training_steps": None} if strategy.needs.shared_weights else {}  # it has steps of its own
        idle |= {"teacher_run": None}  # wherever it lies
        return {**identity, "settings": {**asdict(strategy), **given}, "measured": None, **idle}

    before, now = complete(recorded), complete(json.loads(json.dumps(request.identity())))
    nothing = object()
    return [name for name in {**now, **before} if before.get(name, nothing) != now.get(name, nothing)]


def write_gallery(
    run: Path,
    points: int,
    each: int,
    *,
    dataset: Dataset | None = None,
    scorer: TrainedNetworks | None = None,
    models: Sequence[FittedModel] = (),
) -> GalleryRecord:
    """Draw and score architectures over the whole range of latencies; write ``gallery.json``.

    Args:
        run: Folder of a finished search.
        points: Budgets over the range.
        each: Architectures scored for each.
        dataset: The images of the search, where they were loaded before.
        scorer: What scored architectures, where it is still in memory.
        models: The latency models of the search, where they are.
    """
    record = records.search(run)
    arch = spaces.architecture_from_json(records.arch(run))
    space, constraints = arch.space, latency_constraints(run, record, arch.space, models)
    scorer = scorer or scorer_of(run, record, space, dataset or dataset_of(record.data))
    posteriors = Posteriors(space, constraints, confidence_of(record))
    posteriors.learn(readings_of(record))
    predicted = predictions_of(record)
    latencies = [
        _latency_on(posteriors, predicted, record.range_of(constraint.name), number)
        for number, constraint in enumerate(constraints)
    ]
    logits = record.extra.get("logits")
    preferences = None if logits is None else [np.array(p, float) for p in logits]
    rng = np.random.default_rng([record.seed, 8])
    drawn = gallery.sweep(space, latencies, points, each, rng, preferences)
    qualities: dict[Indices, float] = trials_of(space, record)
    fresh = [indices for indices in drawn if indices not in qualities]
    qualities |= dict(zip(fresh, scores(scorer, fresh), strict=True))
    found = gallery.describe(space, latencies, qualities, scorer.merits)
    found = replace(found, points=points, each=each)
    files.write_json(RunFolder(run).gallery, found.to_json())
    return found


def _latency_on(
    posteriors: Posteriors,
    predicted: Mapping[Indices, Sequence[Sequence[float]]],
    range_ms: tuple[float, float],
    number: int,
) -> TargetLatency:
    """A target of the gallery; what was measured keeps the prediction that was made before."""
    constraint = posteriors.constraints[number]
    measured = {
        indices: (reading.ms, max(reading.up_ms, reading.ms - reading.low_ms))
        for indices, readings in posteriors.readings.items()
        if (reading := readings[number]) is not None and reading.on(math.inf).is_pass
    }

    def predict(indices: IntArray) -> Prediction:
        found = posteriors.predict(indices)[number]
        for row, key in enumerate(map(tuple, indices.tolist())):
            if key in predicted:
                found.mean_ms[row], found.std_ms[row] = (values[number] for values in predicted[key])
        return found

    costs = constraint.model.costs(posteriors.space)
    return TargetLatency(constraint.target, costs, predict, range_ms, measured)
