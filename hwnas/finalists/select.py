"""Finalists of a run folder, measured until one is chosen; see the package."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from hwnas import files, latency, runtimes, spaces
from hwnas.budget import Budget
from hwnas.data import Dataset
from hwnas.device import Device
from hwnas.errors import InfeasibleBudget, SchemaMismatch, TableError
from hwnas.evaluators.base import TrainedNetworks
from hwnas.evaluators.of_run import scorer_of
from hwnas.finalists import tuning
from hwnas.finalists.bench import Bench, devices_of
from hwnas.finalists.candidates import FinalistsOptions, Proposals
from hwnas.finalists.latencies import LatencyConstraint, Posteriors
from hwnas.finalists.ranking import Ranking, has_answers
from hwnas.finalists.reading import Indices
from hwnas.finalists.record import (
    adopted,
    energy_in,
    targets_of,
    trials_of,
    verdict_of,
    warnings_of,
    why_little,
)
from hwnas.finalists.repair import Loop, Settled, Tell
from hwnas.latency.fitted import FittedModel
from hwnas.measure import ProfileOptions
from hwnas.runs import outputs, records
from hwnas.runs.finalists import FinalistsRecord
from hwnas.runs.folder import RunFolder
from hwnas.runs.found import SearchRecord
from hwnas.search.constraints import beside_latency
from hwnas.search.objective import ENERGY, energy_model
from hwnas.search.problem import Constraint
from hwnas.space import SearchSpace
from hwnas.tables.table import LatencyTable
from hwnas.train.training import dataset_of


@outputs.alone_in("run", "a search")
def select_finalist(
    run: Path,
    *,
    measure: bool = True,
    rank: str | None = None,
    tables: Path | None = None,
    devices: Mapping[str, Device] | None = None,
    dataset: Dataset | None = None,
    scorer: TrainedNetworks | None = None,
    models: Sequence[FittedModel] = (),
    options: FinalistsOptions | None = None,
    measuring: ProfileOptions | None = None,
    tell: Tell = lambda _: None,
) -> SearchRecord:
    """Make the result of a search keep its budgets, measured on the devices.

    A run that was cut off goes on: what was measured is not measured again. Devices that are
    not there are held to their budgets by prediction, and the record says so.

    Args:
        run: Folder that ``search_run`` wrote.
        measure: Whether to measure at all.
        rank: "fp32" or "int8": what finalists are ranked by; if not given, int8 where any target is and
            networks are scored by what they answer.
        tables: Folder of latency tables, for their scale; the user's own by default.
        devices: Descriptors to use, by name, instead of those of ``hwnas.device.load``.
        dataset: The images of the search, where they were loaded before.
        scorer: What scored architectures, where it is still in memory.
        models: The latency models of the search, where they are.
        options: Bounds of the loop.
        measuring: How well to measure.
        tell: Told what is being done.

    Returns:
        What ``search.json`` holds now.

    Raises:
        InfeasibleBudget: No architecture that was measured keeps the budgets; ``search.json`` says so.
        HwnasError: Something is missing in the run, or a device failed.
    """
    began = time.monotonic()
    options, measuring = options or FinalistsOptions(), measuring or ProfileOptions()
    record = records.search(run)
    arch = spaces.architecture_from_json(records.arch(run))
    space, constraints = arch.space, latency_constraints(run, record, arch.space, models)
    if ENERGY in (*record.objectives, *record.limits):
        counted = energy_model([constraint.model for constraint in constraints], space).target
        constraints = [replace(c, counts_energy=c.target == counted) for c in constraints]
    scorer = scorer or scorer_of(run, record, space, dataset or dataset_of(record.data))
    trials = trials_of(space, record)
    in_int8 = has_answers(scorer) and any(c.target.precision == "int8" for c in constraints)
    rank = rank or ("int8" if in_int8 else "fp32")
    ranking = Ranking(scorer, rank, _int8_runtime(constraints), trials)
    there = (devices or devices_of(constraints)) if measure else {}
    scales = _tables(constraints, space, tables) if measure else {}
    tuner = tuning.tuner_of(run, record, scorer, dataset, options.tuned_epochs, tell)
    with Bench(space, constraints, there, scales, run, measuring, tell) as bench:
        posteriors = Posteriors(
            space, bench.constraints, confidence_of(record), limits_of(record, space, constraints)
        )
        pool: dict[Indices, Indices | None] = dict.fromkeys(trials)
        rng = np.random.default_rng([record.seed, 7])
        proposals = Proposals(posteriors, options, pool, rng)
        controls = {} if tuner is None else tuning.controls_of(space, record)  # else nobody compares them
        loop = Loop(posteriors, ranking, bench.measure, proposals, tell, controls)
        settled: Settled | None = None
        refusal: InfeasibleBudget | None = None
        rivals: Mapping[str | None, Indices] = {}
        try:
            settled = loop.run()
            if tuner is not None and settled.verdict.is_pass:
                rivals = loop.rivals(settled.best)
        except InfeasibleBudget as error:
            refusal = error
    if settled is not None and tuner is not None and len(rivals) > 1:
        best, record = tuner.best_of(rivals, posteriors, record)
        settled = replace(settled, best=best)
    energy = None if settled is None else energy_in(posteriors, settled.best, record.limits.get(ENERGY))
    warnings = [] if settled is None else warnings_of(loop, settled.best)
    warnings += [energy.surprise] if energy is not None and energy.surprise else []
    is_measured = any(constraint.measurable for constraint in posteriors.constraints)
    finalists = FinalistsRecord(
        kept=settled is not None and settled.verdict.is_pass,
        verdict=verdict_of(posteriors, settled, refusal),
        refusal=None if refusal is None else str(refusal),
        rank=rank,
        options=asdict(options),
        measuring=asdict(measuring),
        targets=() if settled is None else targets_of(loop, settled.best),
        energy=energy,
        warnings=tuple(warnings),
        why_little="" if settled is None else why_little(loop, settled.best),
        repairs=sum(len(s.entries) for s in loop.steps if s.purpose == "repair"),
        networks_measured=len(posteriors.readings) if is_measured else 0,
        steps=tuple(asdict(step) for step in loop.steps),
        seconds=time.monotonic() - began,
    )
    record = replace(record, finalists=finalists)
    if settled is not None:
        record = adopted(record, loop, settled.best)
        files.write_json(RunFolder(run).arch, space.architecture(settled.best).to_json())
    files.write_json(RunFolder(run).search, record.to_json())
    if refusal is not None:
        raise refusal
    return records.search(run)


def confidence_of(record: SearchRecord) -> float:
    """Chance with which the budgets of a search were to be kept."""
    if record.confidence is None:
        raise SchemaMismatch("a search must say its confidence, but this one does not", field="confidence")
    return record.confidence


def limits_of(
    record: SearchRecord, space: SearchSpace, constraints: Sequence[LatencyConstraint]
) -> list[Constraint]:
    """What else than latency the search was to keep."""
    models = [constraint.model for constraint in constraints]
    return list(beside_latency((), record.limits, models, space, confidence_of(record))[1])


def latency_constraints(
    run: Path, record: SearchRecord, space: SearchSpace, models: Sequence[FittedModel] = ()
) -> list[LatencyConstraint]:
    """The budgets of a run with its latency models, which are read where they are not in memory."""
    found, known = [], {model.target: model for model in models}
    for item in record.budgets:
        model = known.get(item.target)
        if model is None:
            path = RunFolder(run).latency_model(item.target)
            model = latency.load(path, space.name, item.target)
        found.append(LatencyConstraint(Budget(item.target, item.budget_ms, asked=item.asked), model))
    return found


def _tables(
    constraints: Sequence[LatencyConstraint], space: SearchSpace, folder: Path | None
) -> dict[str, LatencyTable]:
    """The tables that the models were fitted to, as far as they are found."""
    found = {}
    for constraint in constraints:
        try:
            found[constraint.name] = latency.find_table(constraint.target, space, folder).clock
        except TableError:
            continue
    return found


def _int8_runtime(constraints: Sequence[LatencyConstraint]) -> str:
    """What runs quantised sub-networks: the runtime of the first int8 target, if there is one."""
    found = [runtimes.RUNTIMES.get(c.target.runtime) for c in constraints if c.target.precision == "int8"]
    first = found[0] if found else None
    return first.host.runtime if first else runtimes.DEFAULT
