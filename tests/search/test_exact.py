"""The knapsack of block errors: exact, under several budgets, corrected by what is scored."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from sampling_helpers import task_in, two_budgets
from task_helpers import Scores, searched

from hwnas import spaces
from hwnas.budget import Budget
from hwnas.errors import InfeasibleBudget, SpaceError
from hwnas.latency.base import Cost
from hwnas.search.problem import Constraint, Problem, relative_budget
from hwnas.search.sampling.additive import Additive
from hwnas.search.sampling.exact import Exact
from hwnas.search.sampling.knapsack import Knapsack, uniform
from hwnas.search.session import Session
from hwnas.spaces.canonical import Canonical


@dataclass(frozen=True)
class Known(Scores):
    """Scores of which the errors of blocks say a part."""

    errors: tuple = ()

    def block_errors(self):
        return self.errors


def errors_of(space, seed=0):
    """More MACs lose less; the most lose nothing."""
    rng = np.random.default_rng(seed)
    return tuple(
        np.log((table.max() + 1e5) / (table + 1e5)) * rng.uniform(0.5, 1.5) for table in space.macs_table()[1]
    )


def every(space):
    return np.array(list(np.ndindex(*space.sizes)))


def total(errors, rows):
    return sum(part[column] for part, column in zip(errors, rows.T, strict=True))


@pytest.mark.parametrize("make", [task_in, two_budgets])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.37, 0.8, 1.0])
def test_it_is_the_best_of_all_networks(make, share):
    task = make("macro", share if make is task_in else max(share, 0.3))  # two together need some room
    errors, rows = errors_of(task.space), every(task.space)
    found = Knapsack(task).solve(errors)
    feasible = rows[task.feasible(rows)]
    assert total(errors, np.array([found]))[0] == pytest.approx(total(errors, feasible).min())
    assert task.feasible(np.array([found]))[0]


def test_answers_are_apart_and_in_order():
    task = task_in("macro", 0.4)
    errors = errors_of(task.space)
    found = []
    for _ in range(6):
        others = np.array(found, dtype=np.int64).reshape(len(found), 8)
        found.append(Knapsack(task).solve(errors, others, apart=2))
    rows = np.array(found)
    for number, row in enumerate(rows):
        assert ((rows[:number] != row).sum(axis=1) >= 2).all()
    sums = total(errors, rows)
    assert (np.diff(sums) >= -1e-9).all()


def test_nothing_is_found_where_nothing_keeps_the_budgets():
    task = task_in("macro", 0.4)
    low, _ = task.constraints[0].costs.range
    costs = task.constraints[0].costs
    narrow = replace(task, constraints=(Constraint(Budget("macs", low), costs), *task.constraints))
    only = np.array([Knapsack(narrow).solve(errors_of(task.space))])
    assert task.costs(only)[0] == pytest.approx(low)
    assert Knapsack(narrow).solve(errors_of(task.space), only) is None


def test_a_search_asks_for_answers_and_keeps_the_best_scored():
    task = task_in("macro", 0.4)
    errors = errors_of(task.space)
    known = Known(lambda arch: 0.9 - 0.02 * float(total(errors, np.array([arch.indices]))[0]), errors)
    result = searched(Exact(queries=10, random=2), replace(task, evaluate=known), np.random.default_rng(0))
    rows = every(task.space)
    best = total(errors, rows[task.feasible(rows)]).min()
    assert total(errors, np.array([result.best.indices]))[0] == pytest.approx(best)
    assert len(result.trials) == 10
    canonical = Canonical(task.space)
    assert len({canonical.key(trial.indices) for trial in result.trials}) == 10
    assert result.extra["spearman"] == pytest.approx(1.0)
    assert result.extra["left_out"]["networks"] == 10
    assert result.extra["left_out"]["spearman"] == pytest.approx(1.0)
    assert [len(part) for part in result.extra["block_errors"]] == list(task.space.sizes)


def test_a_search_without_an_answer_of_its_own_says_so():
    """Where controls take all queries, what is chosen is the best of them."""
    task = task_in("macro", 0.4)
    errors = errors_of(task.space)
    known = replace(task, evaluate=Known(lambda _: 0.5, errors))

    def alarms(queries):
        result = searched(Exact(queries=queries, random=2), known, np.random.default_rng(0))
        assert ("exact" in result.extra["best_of"]) == (queries > 2)
        return result.extra.get("alarms", [])

    (alarm,) = alarms(2)  # no uniform one keeps this budget
    assert alarm.startswith("all 2 networks that were scored are controls")
    assert alarm.endswith("queries over 2 leave room for answers")
    assert alarms(3) == []


def test_what_is_scored_corrects_the_errors():
    """One block is far worse than its error says: after a few scores it is not asked for any more."""
    task = task_in("macro", 0.5)
    errors = errors_of(task.space)
    bad = Knapsack(task).solve(errors)[3]

    def score(arch):
        loss = 0.05 * float(total(errors, np.array([arch.indices]))[0]) / 2
        return 0.9 - loss - (0.2 if arch.indices[3] == bad else 0.0)

    result = searched(
        Exact(queries=24, random=4), replace(task, evaluate=Known(score, errors)), np.random.default_rng(0)
    )
    assert result.best.indices[3] != bad
    late = [trial.indices[3] for trial in result.trials[12:]]
    assert late.count(bad) < len(late) / 2


def test_the_posterior_is_the_errors_where_nothing_contradicts():
    errors = errors_of(task_in("macro").space)
    additive = Additive(errors)
    assert additive.posterior() == errors
    rng = np.random.default_rng(1)
    for _ in range(12):
        row = tuple(int(rng.integers(len(part))) for part in errors)
        additive.add(row, 0.9 - 0.03 * additive.sum(row))
    for part, wanted in zip(additive.posterior(), errors, strict=True):
        np.testing.assert_allclose(part, 0.03 * wanted, atol=1e-6)


def noisy(seed=3, count=20, noise=0.01):
    """Errors, and networks of which they say most."""
    errors = errors_of(task_in("macro").space)
    additive, rng = Additive(errors), np.random.default_rng(seed)
    truth = [0.03 * part * rng.uniform(0.5, 1.5, len(part)) for part in errors]
    for _ in range(count):
        row = tuple(int(rng.integers(len(part))) for part in errors)
        additive.add(row, 0.9 - float(total(truth, np.array([row]))[0]) + noise * rng.normal())
    return additive, truth, rng


def test_a_network_is_left_out_by_fitting_the_others_anew():
    additive, _, _ = noisy(count=9)
    means, stds = additive.left_out()
    for number in range(9):
        others = Additive(additive.errors)
        for other in set(range(9)) - {number}:
            others.add(additive.rows[other], 1 - additive.losses[other])
        mean, std = others.predict(np.array([additive.rows[number]]))
        assert (means[number], stds[number]) == pytest.approx((mean[0], std[0]), rel=1e-6)
    told = additive.told()["left_out"]
    scores = 1 - np.array(additive.losses)
    assert told["networks"] == 9
    assert told["coverage_90"] == np.mean(np.abs(means - scores) <= 1.645 * stds)
    assert told["half_90"] == pytest.approx(1.645 * stds.mean(), rel=1e-3)
    ranks = [values.argsort().argsort() for values in (means, scores)]
    assert told["spearman"] == pytest.approx(np.corrcoef(*ranks)[0, 1])


def test_intervals_of_networks_never_scored_hold_what_they_say():
    """Of networks that the fit has not seen, over some truths; and it knows more than the mean."""
    inside, errors, spread = [], [], []
    for seed in range(6):
        additive, truth, rng = noisy(seed)
        rows = np.array([[rng.integers(len(part)) for part in truth] for _ in range(100)])
        scores = 0.9 - total(truth, rows) + 0.01 * rng.normal(size=100)
        means, stds = additive.predict(rows)
        inside.append(np.abs(means - scores) <= 1.645 * stds)
        errors.append(means - scores)
        spread.append(scores - scores.mean())
    assert 0.82 <= np.mean(inside) <= 0.97
    assert np.std(errors) < 0.6 * np.std(spread)


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_few_networks_foretell_little_and_say_so(count):
    additive, _, _ = noisy(count=count)
    means, stds = additive.predict(np.zeros((2, 8), dtype=int))
    assert means.shape == stds.shape == (2,)
    assert (stds > 0).all()
    assert "left_out" not in additive.told()


def drawn(additive: Additive, rng: np.random.Generator, count: int) -> np.ndarray:
    return np.array([[rng.integers(len(part)) for part in additive.errors] for _ in range(count)])


@pytest.mark.parametrize("seed", range(4))
def test_scores_that_are_chance_are_not_believed(seed):
    additive, rng = Additive(errors_of(task_in("macro").space)), np.random.default_rng(seed)
    for row in drawn(additive, rng, 12):
        additive.add(tuple(map(int, row)), 0.5 + 0.01 * rng.normal())
    means, stds = additive.predict(drawn(additive, rng, 50))
    assert means.std() < 0.6 * np.std(additive.losses)
    assert stds.mean() > 0.8 * np.std(additive.losses)


def test_scores_that_speak_against_the_errors_are_believed():
    additive, rng = Additive(errors_of(task_in("macro").space)), np.random.default_rng(1)
    for row in drawn(additive, rng, 12):
        additive.add(tuple(map(int, row)), 0.5 + 0.03 * additive.sum(row))
    assert additive.told() == {"spearman": pytest.approx(-1.0)}, "the sums foretell nothing"
    rows = drawn(additive, rng, 50)
    means, stds = additive.predict(rows)
    truth = np.array([0.5 + 0.03 * additive.sum(row) for row in rows])
    assert np.corrcoef(means, truth)[0, 1] > 0.5
    assert (np.abs(means - truth) < 2 * stds).mean() > 0.8


@pytest.mark.slow
def test_every_network_is_asked_for_once_in_a_space_of_few():
    task = task_in("macro", 0.12)
    rows = every(task.space)
    left = {Canonical(task.space).key(tuple(row)) for row in rows[task.feasible(rows)]}
    known = Known(lambda _: 0.5, errors_of(task.space))
    result = searched(Exact(queries=500), replace(task, evaluate=known), np.random.default_rng(0))
    assert {Canonical(task.space).key(trial.indices) for trial in result.trials} == left
    assert 10 < len(left) < 100


def test_few_layers_of_a_stage_are_left_out_while_that_can_be():
    task = task_in("macro", 0.4)
    errors = tuple(np.where(np.arange(len(part)) == 0, 0.0, 1.0) for part in errors_of(task.space))
    identity = [choice.candidates[0].is_identity for choice in task.space.choices]
    assert Knapsack(task).solve(errors) == (0,) * 8  # nothing is lost by leaving everything out
    for most in (0, 1):
        found = Knapsack(task).solve(errors, dropped=most)
        left_out = [index == 0 and layer for index, layer in zip(found, identity, strict=True)]
        assert max(sum(left_out[:2]), sum(left_out[2:5]), sum(left_out[5:])) == most
    tight = task_in("macro", 0.12)
    assert Knapsack(tight).solve(errors, dropped=0) is None  # eight layers are too slow
    task = replace(tight, evaluate=Known(lambda _: 0.5, errors))
    result = searched(Exact(queries=3, random=0, dropped=0), task, np.random.default_rng(0))
    assert len(result.trials) == 3  # the budget forces it


def test_the_uniform_network_is_narrowed_alike_and_keeps_the_budget():
    task = task_in("macro", 0.5)
    found = uniform(task)
    assert task.feasible(np.array([found]))[0]
    assert 0 not in [i for i, c in zip(found, task.space.choices, strict=True) if c.candidates[0].is_identity]
    assert uniform(task_in("macro", 1.0)) == (2,) * 8
    assert uniform(task_in("macro", 0.0)) is None


def test_the_uniform_network_of_a_known_one_is_neither_fused_nor_grouped():
    """Narrowed alike: hidden channels and kernels of its own blocks, at any budget."""
    found = spaces.load("from:efficientnet-lite0", resolution=96, num_classes=10)
    fixed, tables = found.macs_table()
    costs = Cost(fixed / 1e6, tuple(table / 1e6 for table in tables), "M MACs")
    whole = float(costs.of(np.zeros((1, len(found.sizes)), np.int64))[0])
    kept = []
    for share in (1.0, 0.7, 0.5, 0.4):
        problem = Problem(found, (Constraint(Budget("macs", share * whole, "M MACs"), costs),))
        blocks = found.architecture(uniform(problem)).blocks
        assert {(b.kind, getattr(b, "groups", 1)) for b in blocks[1:-1]} == {("mbconv", 1)}
        assert len(blocks) == len(found.choices) + 2
        kept.append(sum(b.hidden_channels for b in blocks[1:-1]))
    assert uniform(Problem(found, (Constraint(Budget("macs", whole, "M MACs"), costs),))) == found.reference
    assert kept == sorted(set(kept), reverse=True)


def test_a_control_that_is_better_is_what_ships_and_is_said():
    task = task_in("macro", 0.5)
    best = uniform(task)
    known = Known(lambda arch: 0.9 if arch.indices == best else 0.5, errors_of(task.space))
    result = searched(Exact(queries=8, random=2), replace(task, evaluate=known), np.random.default_rng(0))
    assert result.best.indices == best
    assert result.extra["best_of"] == {"uniform": 0.9, "random": 0.5, "exact": 0.5}
    assert "uniform network of the same blocks scores 90.00%, more than" in result.extra["alarms"][0]


def test_what_cannot_be():
    task = task_in("macro", 0.4)
    with pytest.raises(SpaceError, match="must have an evaluator that knows the error of every block"):
        Exact().search(task, object(), np.random.default_rng(0), Session())
    for name in ("apart", "dropped", "random"):
        with pytest.raises(SpaceError, match=f"{name} must"):
            Exact(**{name: -1})
    low, high = task.constraints[0].costs.range
    assert relative_budget(task.constraints[0].costs, 0.0) == low < high
    with pytest.raises(InfeasibleBudget):
        Constraint(Budget("macs", low / 2), task.constraints[0].costs)


def test_networks_that_were_scored_outweigh_errors_that_mislead():
    """As where a decoder of small error spoils every network that it is in."""
    errors = (*(np.array([0.0, 0.1, 0.2]) for _ in range(4)), np.array([0.0, 1.5, 0.9]))
    found, rng = Additive(errors), np.random.default_rng(0)
    for number in range(8):
        decoder = 1 + number % 2
        row = (*(int(i) for i in rng.integers(0, 3, 4)), decoder)
        lost = 0.3 + (0.25 if decoder == 2 else 0.0) + 0.02 * sum(row[:4])
        found.add(row, 1.0 - lost)
    assert np.corrcoef(found.sums(), found.losses)[0, 1] < 0, "the more error, the less is lost"
    *_, decoders = found.posterior()
    assert decoders[1] < decoders[2], "errors alone say 1.5 and 0.9"
    means, stds = found.predict(np.array([[0, 0, 0, 0, 1], [0, 0, 0, 0, 2]]))
    assert means[0] > means[1] + 0.05
    assert (stds > 0).all()


@pytest.mark.parametrize("dropped", [None, 0])
def test_every_decoder_is_put_together_once_however_bad_its_error_looks(dropped):
    """The one decoder that is worth something has the largest error, and leaves out more than is liked."""
    space = spaces.load("from:efficientnet-lite0+fpnsum64", resolution=64, num_classes=2)
    good = 4
    parts = [np.array([0.0 if block.is_identity else 1.0 for block in c.candidates]) for c in space.choices]
    parts[-1][good] += 3.0  # kept only where three layers are left out
    costs = Cost(0.0, tuple(parts), "blocks")
    problem = Problem(space, (Constraint(Budget("blocks", len(parts) + 0.5, "blocks"), costs),))
    errors = [np.zeros(size) for size in space.sizes]
    errors[-1][good] = 10.0
    known = Known(lambda arch: 0.8 if arch.indices[-1] == good else 0.5, tuple(errors))
    sampler = Exact(queries=24, random=0, dropped=dropped).begin(problem, known, np.random.default_rng(0))
    asked = []
    while len(asked) < 24 and (indices := sampler.ask()) is not None:
        asked.append(indices)
        sampler.tell(problem.described(indices, known(space.architecture(indices))))
    assert {indices[-1] for indices in asked[: space.sizes[-1] + 1]} == set(range(space.sizes[-1]))
    assert sum(indices[-1] == good for indices in asked) > 3
