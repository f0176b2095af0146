import numpy as np
import pytest
import torch
from oneshot_helpers import constraint, task_of
from task_helpers import searched

from hwnas.budget import Budget
from hwnas.search.feasible import near_budget
from hwnas.search.oneshot.gates import Gates
from hwnas.search.problem import Problem
from hwnas.spaces import load
from hwnas.spaces.canonical import Canonical


def gates_of(seed=0, spread=2.0):
    gates = Gates(load("macro"))
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for logits in gates.logits:
            logits.copy_(spread * torch.randn(3, generator=generator))
    return gates


def task(share=0.5, **others):
    return Problem(load("macro"), (constraint(share), *others.values()))


def test_finalists_are_distinct_networks_that_keep_and_spend_the_budget():
    gates, wanted = gates_of(), task(0.5)
    found = gates.finalists(wanted, 10, 0.95, np.random.default_rng(0))
    assert len(found) == 10
    assert found[0] == gates.decode(wanted).indices
    canonical = Canonical(wanted.space)
    assert len({canonical.key(indices) for indices in found}) == 10
    spent = wanted.costs(np.array(found))[:, 0] / wanted.constraints[0].usable
    assert (spent <= 1).all()
    assert (spent[1:] >= 0.95).all()


def test_a_budget_that_cannot_be_spent_is_only_kept():
    beyond = constraint(1.0)
    above = Problem(load("macro"), (type(beyond)(Budget("macs", 2 * beyond.budget.limit), beyond.costs),))
    assert near_budget(above, 0.95) is above
    assert len(gates_of().finalists(above, 5, 0.95, np.random.default_rng(0))) == 5


def test_of_several_budgets_the_tightest_is_spent():
    both = task(0.7, tight=constraint(0.3, "tight", unit=1e5))
    for row in gates_of().finalists(both, 4, 0.9, np.random.default_rng(1))[1:]:
        used = both.costs(np.array([row]))[0] / [c.usable for c in both.constraints]
        assert (used <= 1).all()
        assert used[1] >= 0.9


@pytest.mark.slow
def test_draws_without_a_budget_follow_the_probabilities():
    """The Gumbel-max trick: with every architecture feasible, draws are exact samples."""
    gates = gates_of(spread=0.7)
    free = Problem(load("macro"), (constraint(1.0),))
    rng = np.random.default_rng(0)
    seconds = [gates.finalists(free, 2, 0.0, np.random.default_rng(n))[-1] for n in range(100)]
    chances = np.exp(gates.log_probabilities()[0])
    drawn = np.array([gates.sample(rng) for _ in range(2000)])[:, 0]
    np.testing.assert_allclose(np.bincount(drawn, minlength=3) / 2000, chances, atol=0.04)
    np.testing.assert_allclose(np.bincount(np.array(seconds)[:, 0], minlength=3) / 100, chances, atol=0.17)


def test_the_summary_knows_uniform_and_closed_gates():
    gates = Gates(load("macro"))
    assert gates.summary().entropy == pytest.approx(np.log(3))
    assert gates.summary().skip_share == pytest.approx(1 / 3)
    with torch.no_grad():
        for logits in gates.logits:
            logits[0] = 50.0
    assert gates.summary().entropy == pytest.approx(0, abs=1e-6)
    assert gates.summary().skip_share == pytest.approx(1)
    assert gates.argmax() == (0,) * 8


def test_a_returned_network_spends_the_budget_of_its_search():
    from hwnas.search.oneshot.fbnet import FBNet

    result = searched(FBNet(warmup_steps=1, steps=1, finalists=4), task_of(0.5), np.random.default_rng(0))
    assert all(t.latencies_ms[0] >= 0.95 * result.extra["limit_ms"][0] for t in result.trials[1:])
