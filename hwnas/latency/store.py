"""Fitting a model by name, and its file: a JSON recipe, never a pickle."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from hwnas import files
from hwnas.device import Target
from hwnas.errors import HwnasError, LatencyModelError, SchemaMismatch, in_words
from hwnas.latency.bayes.device_prior import Known
from hwnas.latency.bayes.posterior import Posterior
from hwnas.latency.evaluate import HELDOUT, LEFT_OUT, Evaluation, evaluate, score
from hwnas.latency.fitted import FittedModel
from hwnas.latency.lookup import Lookup
from hwnas.latency.networks import Networks, groups, unseen
from hwnas.latency.regression import Regression
from hwnas.space import SearchSpace
from hwnas.tables import places
from hwnas.tables.table import LatencyTable

SCHEMA = "hwnas-latency/1"
MODELS = ("posterior", "lookup", "regression", "transfer")
SPLITS = (HELDOUT, "calibration")
FEW = 40  # networks of a new device that are each predicted from the others: it takes a fit for each
COVERED = 0.5
"""Share of a space's workloads that a table must hold; what is missing is estimated from them."""

_KINDS: dict[str, type[Lookup] | type[Regression] | type[Posterior]] = {
    kind.name: kind for kind in (Lookup, Regression, Posterior)
}


def fit(
    table: LatencyTable, space: SearchSpace, model: str = "posterior", *, known: Known | None = None
) -> FittedModel:
    """Fit a model to the rows of a space and compare it with the measured networks.

    Where the table holds energies of enough blocks, the same is done with those (``energy`` of the model).

    Args:
        table: Blocks, calibration networks and held-out networks of one target.
        space: What the model is for; the networks of other spaces are not used.
        model: One of ``MODELS``; "transfer" is a posterior that needs no blocks.
        known: Cost vectors of known devices, by name; used by "transfer" only.

    Raises:
        LatencyModelError: The model is unknown, or the table does not suffice.
        MissingEntry: A workload of the space was not measured ("lookup" only).
    """
    require_model(model)
    if model != "transfer":
        fitted = _fitted(table, space, model)
        counted = measured_share(table.energies, space) >= energies_needed(model)
        return replace(fitted, energy=_fitted(table.energies, space, model)) if counted else fitted
    splits = _splits(table, space)
    learnt, left_out = Posterior.transfer(table, space, known or {})
    fitted = evaluated(learnt, space, splits)
    fitting = splits["calibration"]
    if left_out is None or len(fitting) > FEW or len(set(groups(space, fitting.indices).tolist())) < 2:
        return fitted
    scores = {LEFT_OUT: score(left_out, fitting.latency_ms, fitting.keys)}
    return replace(fitted, evaluation={**fitted.evaluation, **scores})


def _fitted(table: LatencyTable, space: SearchSpace, model: str) -> FittedModel:
    """A model that needs blocks, with its errors."""
    return evaluated(_KINDS[model].fit(table, space), space, _splits(table, space))


def _splits(table: LatencyTable, space: SearchSpace) -> dict[str, Networks]:
    """The whole networks of a table by what they were measured for, no network in both."""
    splits = {kind: Networks.of_table(table, space, kind) for kind in SPLITS}
    return splits | {HELDOUT: unseen(space, splits[HELDOUT], splits["calibration"])}


def measured_share(table: LatencyTable, space: SearchSpace) -> float:
    """Share of a space's workloads that a table holds."""
    measured, workloads = table.of_kind("block"), space.workloads()
    return sum(w.key() in measured for w in workloads) / len(workloads)


def energies_needed(model: str) -> float:
    """Share of a space's workloads whose energies a table must hold for a model of them."""
    return 1.0 if model == "lookup" else COVERED


def require_model(name: str) -> None:
    """Raise LatencyModelError where there is no latency model of this name."""
    if name not in MODELS:
        raise LatencyModelError(f"a latency model must be one of {sorted(MODELS)}, but got {name!r}")


def evaluated(fitted: FittedModel, space: SearchSpace, splits: Mapping[str, Networks]) -> FittedModel:
    """The same model with its errors on measured networks; empty splits are left out."""
    found = {kind: evaluate(fitted, space, networks) for kind, networks in splits.items() if len(networks)}
    return replace(fitted, evaluation=found)


def to_json(model: FittedModel) -> dict[str, Any]:
    """All there is to know about a model, as one JSON object."""
    evaluation = {kind: item.to_json() for kind, item in model.evaluation.items()}
    told = {"schema": SCHEMA, "model": model.name, **model.to_json(), "evaluation": evaluation}
    return told | ({"energy": to_json(model.energy)} if isinstance(model.energy, FittedModel) else {})


def from_json(data: Mapping[str, Any], remedy: str = "fit it again") -> FittedModel:
    """Rebuild a model.

    Args:
        data: What ``to_json`` made.
        remedy: What to do where it is something else: the end of a sentence.

    Raises:
        SchemaMismatch: The object is of another schema, or fields are missing.
    """
    if not isinstance(data, dict) or data.get("schema") != SCHEMA:
        found = data.get("schema") if isinstance(data, dict) else type(data).__name__
        raise SchemaMismatch(
            f"a latency model must be of schema {SCHEMA}, but got {found!r}: {remedy}",
            field="schema",
        )
    if data.get("model") not in list(_KINDS):
        raise SchemaMismatch(
            f"a latency model must be one of {sorted(_KINDS)}, but got {data.get('model')!r}: {remedy}",
            field="model",
        )
    try:
        fitted = _KINDS[data["model"]].from_json(data)
        splits = dict(data.get("evaluation", {}))
        evaluation = {k: Evaluation.from_json(item) for k, item in splits.items()}
        energy = None if data.get("energy") is None else from_json(data["energy"], remedy)
        return replace(fitted, evaluation=evaluation, energy=energy)
    except HwnasError:
        raise
    except (TypeError, ValueError, LookupError, AttributeError, ArithmeticError) as error:
        raise SchemaMismatch(
            f"a latency model must be as hwnas writes it, but a field is not: {in_words(error)}: {remedy}",
            field="recipe",
        ) from error


def save(model: FittedModel, path: Path) -> None:
    """Write a model with its evaluation."""
    files.write_json(path, to_json(model))


def load(path: Path, space: str = "", target: Target | None = None) -> FittedModel:
    """Read a model.

    Args:
        path: Its file.
        space: Name of what it is wanted for, for the remedy.
        target: Likewise.

    Raises:
        HwnasError: The file is not there or is not JSON.
        SchemaMismatch: The file is of another schema.
    """
    remedy = f"{places.fit_command(space, target, path)} makes it" if space else "`hwnas fit` makes it"
    return from_json(files.read_json(path, "a latency model", remedy), remedy)
