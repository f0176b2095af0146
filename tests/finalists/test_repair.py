"""The loop of a promise, in a world whose true latencies are known."""

from __future__ import annotations

import re

import numpy as np
import pytest
from finalists_helpers import (
    Believed,
    World,
    constraint,
    loop_of,
    macs,
    networks,
    oneshot,
    space,
    true_accuracies,
)

from hwnas.budget import Budget
from hwnas.errors import InfeasibleBudget, SpaceError
from hwnas.finalists.candidates import FinalistsOptions
from hwnas.finalists.latencies import LatencyConstraint
from hwnas.finalists.ranking import Ranking
from hwnas.finalists.reading import Reading
from hwnas.latency.base import Prediction
from hwnas.latency.evaluate import score
from hwnas.search.constraints import constraints_of
from hwnas.statistics.verdict import PASS


@pytest.mark.parametrize("share", [0.3, 0.5, 0.7])
@pytest.mark.parametrize("believed", [0.7, 0.9, 1.0, 1.15])
def test_the_budget_is_kept_and_used_however_wrong_the_model_is(believed, share):
    world, asked = World(macs()), constraint(share, believed=believed)
    loop = loop_of(world, [asked])
    settled = loop.run()
    true_ms = world.ms(settled.best)
    assert true_ms <= asked.budget_ms
    assert 1 - true_ms / asked.budget_ms <= 0.05
    best_there_is = max(a for i, a in true_accuracies().items() if world.ms(i) <= asked.budget_ms)
    assert true_accuracies()[settled.best] >= best_there_is - 0.02
    assert loop.posteriors.confirmed(settled.best, 2)
    measured = {i for i, _ in world.asked}
    assert len(measured) <= 4 + 5 * 3 + 2, "the loop is bounded"


def test_a_finalist_over_budget_is_repaired():
    """The model believes 70 % of the truth, so that all finalists are over budget."""
    world, asked = World(macs()), constraint(0.5, believed=0.7)
    settled = loop_of(world, [asked]).run()
    first = settled.steps[0]
    assert first.purpose == "finalists"
    assert not any(entry["kept"] for entry in first.entries)
    repairs = [entry for step in settled.steps if step.purpose == "repair" for entry in step.entries]
    assert list(settled.best) in [entry["indices"] for entry in repairs + list(settled.steps[-1].entries)]
    assert repairs
    for entry in repairs:
        assert entry["predicted_ms"][0] == pytest.approx(world.ms(tuple(entry["indices"])), rel=0.1)
    repaired = [entry for entry in repairs if entry["from"]]
    for entry in repaired:
        changed = np.sum(np.array(entry["from"]) != np.array(entry["indices"]))
        assert changed >= 1
        assert entry["accuracy_change"] is not None
    assert all(step.seconds["measuring"] >= 0 for step in settled.steps)


def test_a_model_that_is_right_needs_no_repair():
    settled = loop_of(World(macs(), residual=0.0), [constraint(0.5, std=0.01)]).run()
    assert "repair" not in [step.purpose for step in settled.steps]
    assert settled.steps[-1].purpose == "confirmation"


def at_half_the_budget(asked):
    used = macs().of(np.array(networks())) / asked.budget_ms
    return [networks()[n] for n in np.flatnonzero((used > 0.45) & (used < 0.55))[:12]]


@pytest.mark.parametrize("share", [0.3, 0.5, 0.9])
def test_finalists_that_leave_half_of_the_budget_grow_until_it_is_used(share):
    world, asked = World(macs()), constraint(share)
    settled = loop_of(world, [asked], pool=at_half_the_budget(asked)).run()
    assert 0 <= 1 - world.ms(settled.best) / asked.budget_ms <= 0.05
    grown = [entry for step in settled.steps if step.purpose == "growth" for entry in step.entries]
    assert grown
    assert all(np.sum(np.array(e["from"]) != np.array(e["indices"])) >= 1 for e in grown if e["from"])


def test_budget_is_not_used_for_what_is_clearly_worse():
    """Where the fast networks are the good ones, slack is what a user wants."""
    world, asked = World(macs()), constraint(0.9)
    used = macs().of(np.array(networks())) / asked.budget_ms
    upside_down = dict(zip(networks(), (0.9 - 0.6 * used).tolist(), strict=True))
    loop = loop_of(world, [asked], pool=at_half_the_budget(asked))
    loop.ranking = Ranking(oneshot(), "fp32", known=upside_down)
    settled = loop.run()
    assert 1 - world.ms(settled.best) / asked.budget_ms > 0.4


def test_what_cannot_be_kept_is_refused_with_the_smallest_budget_that_can():
    """Three times as slow as believed: not even the fastest network fits."""
    world, asked = World(macs(), factor=3.0), constraint(0.05)
    loop = loop_of(world, [asked])
    with pytest.raises(InfeasibleBudget, match=r"none of \d+, the fastest ones included") as refused:
        loop.run()
    fastest = min(world.ms(i) for i in networks())
    assert refused.value.budget == asked.budget_ms
    assert fastest < refused.value.least < 1.03 * fastest
    assert "litert-fp32" in str(refused.value)
    typed = float(re.search(r"\(([0-9.]+) ms can be kept\)", str(refused.value))[1])
    again = loop_of(World(macs(), factor=3.0), [type(asked)(Budget(asked.target, typed), asked.model)])
    assert again.posteriors.constraints[0].budget_ms == typed
    assert again.run().verdict.word == PASS, "what is printed is kept when it is typed"
    assert set(loop.proposals.fastest()) <= set(loop.posteriors.readings), "they are the proof"
    assert len({i for i, _ in world.asked}) <= 4 + 5 * 3 + 2


def test_two_budgets_are_kept_together():
    other = macs(0.6)
    world = World(macs(), other)
    constraints = [
        constraint(0.6, believed=0.8),
        constraint(0.5, costs=other, believed=1.1, precision="int8"),
    ]
    best = loop_of(world, constraints).run().best
    assert all(world.ms(best, n) <= constraints[n].budget_ms for n in (0, 1))
    assert loop_of(World(macs(), other), constraints).run().best == best, "a function of its seed"


def test_of_two_budgets_the_one_that_cannot_be_kept_is_named():
    other = macs(0.6)
    constraints = [constraint(0.6), constraint(0.5, costs=other, believed=1.0, factor=0.2, precision="int8")]
    pool = list(networks()[:200:20])
    with pytest.raises(InfeasibleBudget) as refused:
        loop_of(World(macs(), other), constraints, pool=pool).run()
    assert "host/litert-int8" in str(refused.value)
    assert "host/litert-fp32" not in str(refused.value)


def test_a_device_that_is_not_there_is_held_to_its_budget_by_prediction():
    asked = constraint(0.5, std=0.02, measurable=False, note="not measured")

    def nothing(batch, _sessions):
        return dict.fromkeys(batch, (None,))

    loop = loop_of(World(macs()), [asked], measure=nothing)
    settled = loop.run()
    predicted = asked.model.predict(None, np.array([settled.best]))
    assert predicted.mean_ms[0] + 1.28 * predicted.std_ms[0] <= asked.budget_ms
    assert len(settled.steps) == 1


def test_what_was_measured_too_fast_is_found_out():
    """The first session lies by 4 %; the second one does not, and the promise must hold in it."""
    world, asked = World(macs(), residual=0.0), constraint(0.5, std=0.01)

    def lying(batch, sessions):
        if sessions > 1:
            return world.measure(batch, sessions)
        readings = world.measure(batch, sessions)
        return {i: (Reading(0.96 * r.ms, 0.955 * r.ms, 0.965 * r.ms, 1),) for i, (r,) in readings.items()}

    rows = macs().of(np.array(networks()))
    near = np.flatnonzero((rows > 0.95 * asked.budget_ms) & (rows < 1.02 * asked.budget_ms))[:12]
    settled = loop_of(world, [asked], pool=[networks()[n] for n in near], measure=lying).run()
    assert world.ms(settled.best) <= asked.budget_ms


@pytest.mark.parametrize("wrong", [{"finalists": 0}, {"slack": 0.0}, {"likely": 1.0}, {"rounds": 0}])
def test_bounds_are_checked(wrong):
    with pytest.raises(SpaceError, match=next(iter(wrong))):
        FinalistsOptions(**wrong)


def test_a_faster_clock_that_is_met_on_the_way_moves_predictions_and_all_that_was_measured():
    """The model and the first sessions know a slow clock; later ones show that all takes 70 % of that."""
    asked = constraint(0.5)
    world, now = World(macs()), [1.0]

    def measure(batch, sessions):
        found = world.measure(batch, sessions)
        readings = {i: (reading.on_scale(now[0]),) for i, (reading,) in found.items()}
        now[0] = 0.7
        return readings

    loop = loop_of(world, [asked], measure=measure)
    settled = loop.run()
    assert settled.verdict.is_pass
    for indices, (reading,) in loop.posteriors.readings.items():
        assert reading.per_model_ms == 0.7
        assert reading.ms == pytest.approx(0.7 * world.ms(indices), rel=0.05)
    rows = np.array(networks())
    predicted = loop.posteriors.predict(rows)[0].mean_ms
    assert np.median(predicted / [world.ms(i) for i in networks()]) == pytest.approx(0.7, rel=0.02)
    assert loop.posteriors.spent(settled.best) > 0.85, "what the faster clock leaves of the budget is used"


class Noisy(World):
    """Its measurements have wide intervals, and err by a third of that from session to session."""

    def reading(self, indices, number, sessions):
        ms = self.ms(indices, number) * float(np.exp(0.036 / 3 * self.rng.normal()))
        return Reading(ms, ms * (1 - 0.036), ms * (1 + 0.036), sessions)


def refused(world: World, budget_ms: float, model: Believed) -> bool:
    cheap = sorted(networks(), key=lambda indices: model.cost.of(np.array([indices]))[0])[:6]
    try:
        loop_of(world, [LatencyConstraint(Budget(model.target, budget_ms), model)], pool=cheap).run()
    except InfeasibleBudget:
        return True
    return False


@pytest.mark.parametrize("kind", [World, Noisy])
@pytest.mark.parametrize("deviations", [-1.0, 0.0, 1.0, 1.5, 2.5])
def test_the_smallest_budget_that_is_printed_from_predictions_is_kept_when_measured(kind, deviations) -> None:
    """Truths by so many deviations of the model above what it predicts, which itself is refused there."""
    model = Believed(macs(), 0.06)
    factor = float(np.exp(0.06 * deviations))
    with pytest.raises(InfeasibleBudget) as said:
        constraints_of([model], [Budget.read(f"{0.9 * macs().range[0]:.6f}")], space(), 0.9, measured=True)
    printed = re.search(r"got [0-9.]+ ms < ([0-9.]+) ms \(.*; predicted ([0-9.]+) ms", str(said.value))
    typed_ms, predicted_ms = map(float, printed.groups())
    assert predicted_ms == pytest.approx(macs().range[0], rel=1e-3)
    assert not refused(kind(macs(), factor=factor), typed_ms, model)
    if deviations >= 1.5:
        assert refused(kind(macs(), factor=factor), predicted_ms, model), "or this test could not fail"


def test_what_held_out_networks_show_is_in_the_printed_budget() -> None:
    """A model that is sure of itself, and a quarter too low: the bound is over the truth."""
    model = Believed(macs(), 0.001)
    ones = np.ones(5)
    model.evaluation = {"heldout": score(Prediction(ones, 0.001 * ones), 1.25 * ones, ("k",) * 5)}
    with pytest.raises(InfeasibleBudget) as said:
        constraints_of([model], [Budget.read("0.000001")], space(), 0.9, measured=True)
    typed = float(re.search(r"got [0-9.]+ ms < ([0-9.]+) ms", str(said.value))[1])
    assert not refused(World(macs(), factor=1.25), typed, model)


def test_a_search_that_does_not_measure_says_that_its_bound_is_predicted() -> None:
    model = Believed(macs(), 0.05)
    with pytest.raises(InfeasibleBudget, match=r"predicted and not measured: [0-9.]+ ms should be kept when"):
        constraints_of([model], [Budget.read("0.000001")], space(), 0.9)


def test_the_best_control_of_each_kind_is_measured_beside_what_was_found():
    world, limit = World(macs()), constraint()
    loop = loop_of(world, [limit])
    others = sorted(loop.proposals.pool, key=loop.ranking.fp32, reverse=True)[1:]
    over = networks()[int(np.argmax(macs().of(np.array(networks()))))]
    loop.proposals.pool[over] = None
    loop.controls = {others[-1]: "random", others[-2]: "random", others[-3]: "uniform", over: "uniform"}
    settled = loop.run()
    assert loop.controls.get(settled.best) is None
    rivals = loop.rivals(settled.best)
    assert rivals == {None: settled.best, "random": others[-2], "uniform": others[-3]}
    assert all(loop.posteriors.confirmed(i, loop.options.sessions) for i in rivals.values())
    assert over not in loop.posteriors.readings  # it is predicted not to keep the budget
    assert loop.rivals(others[-2])["random"] == others[-2]
    assert loop.rivals(others[-2])[None] == settled.best


def test_a_control_over_budget_is_no_rival():
    world, limit = World(macs(), residual=0.0), constraint(believed=0.8)
    loop = loop_of(world, [limit])
    rows = np.array(networks())
    tempting = rows[
        (macs().of(rows) > 1.02 * limit.budget_ms) & (0.8 * macs().of(rows) < 0.9 * limit.budget_ms)
    ]
    control = tuple(tempting[0].tolist())
    loop.proposals.pool[control] = None
    loop.controls = {control: "random"}
    settled = loop.run()
    assert not loop.posteriors.kept(control)
    assert loop.rivals(settled.best) == {None: settled.best}
