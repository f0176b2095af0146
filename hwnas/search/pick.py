"""Another architecture from the gallery of a run: the best within other budgets, without searching."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import NormalDist
from typing import Any

from hwnas import files, spaces
from hwnas.budget import Budget
from hwnas.errors import HwnasError, InfeasibleBudget, SchemaMismatch, typed
from hwnas.runs import outputs, records
from hwnas.runs.budgets import BudgetRecord
from hwnas.runs.folder import RunFolder
from hwnas.runs.found import SearchRecord
from hwnas.runs.gallery import GalleryEntry, GalleryRecord
from hwnas.runs.trial import Trial
from hwnas.search.gallery_energy import GalleryEnergy, gallery_energy
from hwnas.search.objective import sizes
from hwnas.statistics.bounds import at_least, at_most


def draw_again(run: Path) -> str:
    """What makes the gallery of a run: the end of a sentence."""
    folder = RunFolder(run)
    if not folder.search.exists():
        return records.search_anew(run)
    if records.search(run).is_known:
        around = typed("search", "--device", "host=60%", "--from", run, "--out", f"{run}-found")
        return f"search around its network, as {around} does, with a budget of your own"
    first = f"delete {folder.gallery}, then start" if folder.gallery.exists() else "start"
    if records.is_of_chain(run):
        return f"{first} the `hwnas run` again that it is of, with gallery_points over 0 in its [promise]"
    return f"{first} the same search once more, with its options and --gallery 10, which only adds it"


@outputs.alone_in("out", "a pick", new=True)
def pick(run: Path, budgets: Sequence[Budget], out: Path, *, confidence: float = 0.9) -> SearchRecord:
    """Take the best architecture that keeps the budgets into a run folder of its own.

    Args:
        run: Folder of a search with a gallery.
        budgets: Each on a target or, by name, on a device's targets (``host``), or on all of them.
        out: Folder to write, for ``hwnas train``; must not hold a search.
        confidence: With which a predicted latency must keep its budget.

    Returns:
        What its ``search.json`` holds.

    Raises:
        InfeasibleBudget: Nothing in the gallery keeps the budgets, and the search's limit on energy.
        SchemaMismatch: The gallery is of another version, or of other targets than its search.
        HwnasError: The run has no gallery, or ``out`` holds a search.
    """
    new = RunFolder(out)
    if new.search.exists():
        raise HwnasError(f"a run folder must be new, but {out} holds a finished search: give another one")
    gallery = records.gallery(run, draw_again(run), is_pickable=True)
    record = records.search(run)
    _require_of_search(gallery, record, run)
    limits_ms = _limits(gallery, record, budgets)
    needs = [_needs_ms(entry, confidence) for entry in gallery.entries]
    fitting = [
        at
        for at, need in enumerate(needs)
        if all(need[number] <= limit for number, limit in limits_ms.items())
    ]
    if not fitting:
        raise _refusal(gallery, limits_ms, needs)
    space = spaces.of_run(run, gallery.space)
    energy = gallery_energy(run, record, gallery, space)
    kept = [at for at in fitting if energy is None or energy.keeps(at, confidence)]
    if energy is not None and not kept:
        raise _too_much(energy, [energy.needs_mj(at, confidence) for at in fitting])
    best = max(kept, key=lambda at: gallery.entries[at].quality)
    chosen = gallery.entries[best]
    arch = spaces.architecture_from_json(
        space.architecture(chosen.indices).to_json() | {"space_fingerprint": gallery.space_fingerprint}
    )
    record = _picked(record, gallery, chosen, limits_ms)
    if energy is not None:
        record = replace(record, extra={**record.extra, "energy": energy.of(best).to_json()})
    record = replace(record, sizes=sizes(arch, record.targets[0].precision))
    _copy(RunFolder(run), out)
    files.write_json(new.arch, arch.to_json())
    files.write_json(new.search, record.to_json())
    return record


def _require_of_search(gallery: GalleryRecord, record: SearchRecord, run: Path) -> None:
    """Refuse a gallery of targets that the search had no budget for."""
    names = {item.name for item in record.budgets}
    odd = [name for name in gallery.names if name not in names]
    if odd:
        raise SchemaMismatch(
            f"a gallery must be of the targets of its search, {', '.join(sorted(names))}, but "
            f"{RunFolder(run).gallery} is of {', '.join(odd)}: {draw_again(run)}",
            field="targets",
        )


def _limits(gallery: GalleryRecord, record: SearchRecord, budgets: Sequence[Budget]) -> dict[int, float]:
    """Budgets in ms by the number of their target."""
    names = gallery.names
    found: dict[int, float] = {}
    for budget in budgets:
        name = budget.name
        numbers = [n for n, known in enumerate(names) if name in ("", known, known.split("/")[0])]
        if not numbers:
            raise HwnasError(f"a budget must be for one of the gallery's {names}, but got {name!r}")
        for number in numbers:
            found[number] = budget.within(*record.range_of(names[number])).limit
    if not found:
        raise HwnasError("a pick must be given a budget, but got none")
    return found


def _needs_ms(entry: GalleryEntry, confidence: float) -> list[float]:
    """The smallest budgets that an entry keeps, one a target."""
    quantile = NormalDist().inv_cdf(confidence)
    columns = zip(
        entry.predicted_ms, entry.predicted_std_ms, entry.measured_ms, entry.measured_half_ms, strict=True
    )
    return [
        ms + quantile * std if measured is None or half is None else measured + half
        for ms, std, measured, half in columns
    ]


def _refusal(
    gallery: GalleryRecord, limits_ms: Mapping[int, float], needs: list[list[float]]
) -> InfeasibleBudget:
    share = [max(need[n] / limit for n, limit in limits_ms.items()) for need in needs]
    closest = needs[share.index(min(share))]
    unmeasured = any(entry.measured_ms[n] is None for entry in gallery.entries for n in limits_ms)
    how = " (where a network was not measured, that is predicted)" if unmeasured else ""
    wanted = ", ".join(
        f"{at_most(limit)} ms on {gallery.names[n]} (at least {at_least(closest[n])} ms)"
        for n, limit in limits_ms.items()
    )
    first = next(iter(limits_ms))
    return InfeasibleBudget(
        f"budgets must be kept by an architecture of the gallery, but none of {len(needs)} keeps "
        f"{wanted}{how}: "
        "raise the budget, or search into another folder",
        budget=limits_ms[first],
        least=closest[first],
    )


def _too_much(energy: GalleryEnergy, needs_mj: Sequence[float]) -> InfeasibleBudget:
    """What keeps the budgets does not keep the limit on energy that the search had."""
    limit_mj, least_mj = energy.limit_mj or 0.0, min(needs_mj)
    return InfeasibleBudget(
        f"the search's limit on energy must be kept as well, {at_most(limit_mj)} mJ on {energy.name}, but "
        f"none of the {len(needs_mj)} of the gallery that keep the budgets does (the least is "
        f"{at_least(least_mj)} mJ): lower the budget, or search into another folder",
        budget=limit_mj,
        least=least_mj,
    )


def _picked(
    record: SearchRecord, gallery: GalleryRecord, chosen: GalleryEntry, limits_ms: Mapping[int, float]
) -> SearchRecord:
    """The search's record with another architecture, under the budgets that were given."""
    names = [item.name for item in record.budgets]
    budgets = tuple(
        _budget(record, gallery.names[number], chosen, number, limit) for number, limit in limits_ms.items()
    )
    columns = [names.index(item.name) for item in budgets]
    trials = tuple(replace(t, latencies_ms=tuple(t.latencies_ms[n] for n in columns)) for t in record.trials)
    if not any(trial.indices == chosen.indices for trial in trials):
        latencies_ms = tuple(chosen.latencies_ms[n] for n in limits_ms)
        trials = (*trials, Trial(chosen.indices, chosen.quality, latencies_ms))
    return replace(
        record,
        best=chosen.indices,
        score_key=gallery.score_key,
        quality=chosen.quality,
        budgets=budgets,
        trials=trials,
        finalists=None,
        picked=True,
    )


def _budget(
    record: SearchRecord, name: str, chosen: GalleryEntry, number: int, limit_ms: float
) -> BudgetRecord:
    """A budget that was given, with what the gallery says of the chosen entry."""
    measured, half = chosen.measured_ms[number], chosen.measured_half_ms[number]
    return replace(
        record.budget(name),
        budget_ms=limit_ms,
        asked=f"{limit_ms!r} ms",
        predicted_ms=chosen.predicted_ms[number],
        predicted_std_ms=chosen.predicted_std_ms[number],
        is_looked_at=True,
        measured_ms=measured,
        interval_ms=None if measured is None or half is None else (measured - half, measured + half),
        quality=None if measured is None else _quality(record, chosen.indices, name),
    )


def _quality(record: SearchRecord, indices: tuple[int, ...], name: str) -> dict[str, Any] | None:
    """What the sessions were like in which the search measured an architecture; None in old records."""
    number = [item.name for item in record.budgets].index(name)
    entries = record.finalists.entries if record.finalists else ()
    found = [entry["measured"][number] for entry in entries if tuple(entry["indices"]) == indices]
    if not found or not found[-1] or "word" not in found[-1]:
        return None
    return {field: found[-1].get(field) or [] for field in ("word", "reasons", "notes")}


def _copy(run: RunFolder, out: Path) -> None:
    """What later stages may want of the search."""
    out.mkdir(parents=True, exist_ok=True)
    for path in (*run.latency_models, run.gallery, run.supernet):
        if path.is_file():
            files.copy_whole(path, out / path.relative_to(run.path))
