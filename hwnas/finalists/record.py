"""What ``search.json`` says of finalists, and how that is read again."""

from __future__ import annotations

from dataclasses import replace
from statistics import fmean

import numpy as np

from hwnas.finalists.latencies import LatencyConstraint, Posteriors
from hwnas.finalists.reading import Indices, Reading, Readings
from hwnas.finalists.repair import Loop, Settled
from hwnas.runs.finalists import ChosenEnergy, ChosenLatency
from hwnas.runs.found import SearchRecord
from hwnas.runs.trial import Trial
from hwnas.search.objective import energy_model, sizes
from hwnas.space import SearchSpace
from hwnas.spaces.canonical import Canonical
from hwnas.statistics.bounds import decimals
from hwnas.statistics.intervals import NORMAL_95
from hwnas.statistics.use import LITTLE, warning
from hwnas.statistics.verdict import FAIL, Verdict

_RAISE = "raise the budget to have them"
_QUIET = "measure while nothing else runs there to prove that it is kept"


def trials_of(space: SearchSpace, record: SearchRecord) -> dict[Indices, float]:
    """What the search scored after whole trainings, one entry a network: the mean where it did so again."""
    canonical, found = Canonical(space), dict[Indices, list[float]]()
    for trial in record.trials:
        if trial.share == 1:
            found.setdefault(canonical.key(trial.indices), []).append(trial.quality)
    return {indices: fmean(qualities) for indices, qualities in found.items()}


def readings_of(record: SearchRecord) -> dict[Indices, Readings]:
    """What was measured of finalists, as their record says, in the order of the last measurement."""
    found: dict[Indices, Readings] = {}
    for entry in record.finalists.entries if record.finalists else ():
        measured = tuple(None if r is None else Reading.from_json(r) for r in entry["measured"])
        found.pop(tuple(entry["indices"]), None)
        found[tuple(entry["indices"])] = measured
    return found


def predictions_of(record: SearchRecord) -> dict[Indices, tuple[list[float], list[float]]]:
    """Mean and standard deviation, one a target, that were believed before something was measured."""
    found: dict[Indices, tuple[list[float], list[float]]] = {}
    for entry in record.finalists.entries if record.finalists else ():
        found.setdefault(tuple(entry["indices"]), (entry["predicted_ms"], entry["predicted_std_ms"]))
    return found


def verdict_of(posteriors: Posteriors, settled: Settled | None, refusal: Exception | None) -> Verdict | None:
    """The verdict on all budgets together; None where nothing was measured."""
    if settled is None:
        return Verdict(FAIL, (str(refusal),))
    there = any(constraint.measurable for constraint in posteriors.constraints)
    return settled.verdict if there else None


def targets_of(loop: Loop, best: Indices) -> tuple[ChosenLatency, ...]:
    """What was asked, predicted and measured of an architecture, one a target."""
    means, stds = loop.predicted[best]
    found = []
    columns = zip(loop.posteriors.constraints, loop.posteriors.readings[best], means, stds, strict=True)
    for constraint, reading, predicted, std in columns:
        interval = None if reading is None else reading.interval_ms
        verdict = None if reading is None else reading.on(constraint.budget_ms)
        found.append(
            ChosenLatency(
                name=constraint.name,
                asked_ms=constraint.budget_ms,
                predicted_ms=predicted,
                predicted_std_ms=std,
                measured_ms=None if reading is None else reading.ms,
                measured_half_ms=None if reading is None or interval is None else reading.arm_ms,
                interval_ms=interval,
                sessions=0 if reading is None else reading.sessions,
                slack=None if reading is None else 1 - reading.ms / constraint.budget_ms,
                quality=None if reading is None else reading.quality,
                verdict=verdict,
                note=constraint.note,
                sentence=_sentence(constraint, predicted, std, reading),
            )
        )
    return tuple(found)


def energy_in(posteriors: Posteriors, best: Indices, limit_mj: float | None) -> ChosenEnergy | None:
    """What was asked, predicted and measured of an architecture's energy; None where nobody asked."""
    there = next((c for c in posteriors.constraints if c.counts_energy), None)
    if there is None:
        return None
    predicted = energy_model([there.model], posteriors.space).predict(posteriors.space, np.array([best]))
    mj, std_mj = float(predicted.mean_ms[0]), float(predicted.std_ms[0])
    found = posteriors.energy(best)
    return ChosenEnergy.known(
        there.name,
        limit_mj,
        mj,
        std_mj,
        None if found is None else found.mj,
        None if found is None else found.interval_mj,
    )


def _sentence(
    constraint: LatencyConstraint, predicted_ms: float, std_ms: float, reading: Reading | None
) -> str:
    """What was asked, predicted and measured, and how much of the budget that is.

    Each ± is half a 95 % interval, of what was measured its longer arm.
    """
    digits = decimals(constraint.budget_ms, predicted_ms, *(() if reading is None else (reading.ms,)))
    text = (
        f"{constraint.name}: asked {constraint.budget_ms:.{digits}f} ms, "
        f"predicted {predicted_ms:.{digits}f} ± {NORMAL_95 * std_ms:.{digits}f}, "
    )
    if reading is None:
        return (
            f"{text}{constraint.note}; {predicted_ms / constraint.budget_ms:.0%} of the budget, as predicted"
        )
    half = f"± {reading.arm_ms:.{digits}f}" if reading.carried else "in too few rounds for an interval"
    return (
        f"{text}measured {reading.ms:.{digits}f} {half}: "
        f"{reading.ms / constraint.budget_ms:.0%} of the budget, {reading.on(constraint.budget_ms).word}"
    )


def warnings_of(loop: Loop, best: Indices) -> list[str]:
    """What a user should know of the price of the budgets: time left unused, quality given up."""
    posteriors, ranking = loop.posteriors, loop.ranking
    names = [constraint.name for constraint in posteriors.constraints]
    little = warning(dict(zip(names, posteriors.shares(best), strict=True)), why_little(loop, best))
    found = [little] if little else []
    top = max(posteriors.readings, key=ranking.final)
    if ranking.clearly_worse(best, top):
        points, used = 100 * (ranking.final(top) - ranking.final(best)), posteriors.spent(top)
        found.append(
            f"{points:.0f} points of estimated {ranking.score} were given up for the budget: "
            f"another finalist is estimated at {ranking.final(top):.1%} instead of "
            f"{ranking.final(best):.1%}, and takes {used:.0%} of it: {_RAISE if used > 1 else _QUIET}"
        )
    return found


def why_little(loop: Loop, best: Indices) -> str:
    """Why so much of the tightest budget is left, and what to do; empty where that is not so."""
    if loop.posteriors.spent(best) >= LITTLE:
        return ""
    if not any(constraint.measurable for constraint in loop.posteriors.constraints):
        return _why_little_is_predicted(loop, best)
    provable = loop.posteriors.provable(loop.options.most_sessions)
    if provable < LITTLE:
        return (
            f"under this noise about {provable:.0%} can be proven; stop what else runs there and search "
            "again, or allow more sessions"
        )
    larger = [i for i in loop.posteriors.readings if loop.posteriors.spent(i) > loop.posteriors.spent(best)]
    if any(loop.posteriors.kept(i) and loop.ranking.clearly_worse(i, best) for i in larger):
        return "what uses more of it is estimated worse; a smaller budget would do"
    if any(map(loop.posteriors.kept, larger)):
        return "what uses more of it is not estimated better; a smaller budget would do"
    return (
        "nothing that uses more of it was proven to keep it; search again with more rounds, or choose another"
    )


def _why_little_is_predicted(loop: Loop, best: Indices) -> str:
    """The same where nothing was measured: then the latency model alone says what keeps the budgets."""
    posteriors, pool = loop.posteriors, list(loop.proposals.pool)
    spent = posteriors.spent(best)
    sure = max(
        ms / constraint.budget_ms
        for ms, constraint in zip(posteriors.needs_ms(best), posteriors.constraints, strict=True)
    )
    if (allowed := spent / sure) < LITTLE:
        return (
            f"nothing was measured, and with a margin for what the latency model may be wrong by about "
            f"{allowed:.0%} can be used; have the finalists measured"
        )
    uses = posteriors.use(np.array(pool)).tolist()
    larger = [i for i, use in zip(pool, uses, strict=True) if use > spent]
    if likely := loop.proposals.likely(larger, loop.options.likely, 1.0):
        number = "the one" if len(likely) == 1 else f"the {len(likely)}"
        return (
            f"of {number} scored that uses more of it and is predicted to keep it, none is estimated better; "
            "search again for longer, or with another seed; a smaller budget would do for this network"
        )
    return (
        "none that was scored uses more of it and is predicted to keep it; search again for longer, or with "
        "another seed or strategy"
    )


def adopted(record: SearchRecord, loop: Loop, best: Indices) -> SearchRecord:
    """The record with the kept architecture in the place of the one that the search chose.

    Its prediction is from now on the one that was made before it was measured, wherever it is shown.
    """
    posteriors, quality = loop.posteriors, loop.ranking.fp32(best)
    means, stds = loop.predicted[best]
    canonical, trials = Canonical(posteriors.space), record.trials
    if not any(canonical.key(trial.indices) == best for trial in trials):
        trials = (*trials, Trial(best, quality, tuple(means)))

    def said(trial: Trial) -> Trial:
        if canonical.key(trial.indices) != best:
            return trial
        return replace(trial, indices=best, latencies_ms=(*means, *trial.latencies_ms[len(means) :]))

    columns = zip(record.budgets, means, stds, posteriors.readings[best], strict=True)
    return replace(
        record,
        best=best,
        quality=quality,
        score_key=loop.ranking.score_key,
        sizes=sizes(posteriors.space.architecture(best), posteriors.constraints[0].target.precision),
        trials=tuple(map(said, trials)),
        pareto=tuple(map(said, record.pareto)),
        budgets=tuple(
            replace(
                item,
                predicted_ms=predicted,
                predicted_std_ms=std,
                is_looked_at=True,
                measured_ms=None if reading is None else reading.ms,
                interval_ms=None if reading is None else reading.interval_ms,
            )
            for item, predicted, std, reading in columns
        ),
    )
