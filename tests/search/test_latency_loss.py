import dataclasses
import itertools
import math

import numpy as np
import pytest
import torch
from oneshot_helpers import constraint, macs_costs

from hwnas.budget import Budget
from hwnas.errors import InfeasibleBudget, LatencyModelError, SpaceError
from hwnas.latency.base import Cost
from hwnas.search.oneshot import latency_loss
from hwnas.search.oneshot.gates import CostTensors, Gates, gumbel_softmax
from hwnas.search.problem import Constraint
from hwnas.spaces import load
from hwnas.statistics.bounds import at_least, at_most


def constraints(count=1):
    return tuple(constraint(0.4 + 0.2 * n, f"device{n}") for n in range(count))


def logits_of(seed):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(3, generator=generator, dtype=torch.float64).requires_grad_() for _ in range(8)]


def loss_of(form, budgets, logits):
    costs = CostTensors(budgets)
    costs._choices_ms = [[c.double() for c in one] for one in costs._choices_ms]
    expected = costs.expected([torch.softmax(p, 0) for p in logits])
    cross_entropy = sum((p.square() * torch.arange(1.0, 4.0)).sum() for p in logits) / 20
    return form.loss(cross_entropy, expected)


@pytest.mark.parametrize("name", latency_loss.LATENCY_LOSSES)
@pytest.mark.parametrize("count", [1, 2])
def test_the_gradient_of_every_latency_loss_equals_the_numerical_one(name, count):
    budgets = constraints(count)
    form = latency_loss.make(name, budgets)
    form.restore(0.7)
    logits = logits_of(count)
    gradients = torch.autograd.grad(loss_of(form, budgets, logits), logits)
    step = 1e-6
    for choice, candidate in itertools.product(range(8), range(3)):
        ends = []
        for sign in (1, -1):
            moved = [p.detach().clone() for p in logits]
            moved[choice][candidate] += sign * step
            ends.append(float(loss_of(form, budgets, moved)))
        numerical = (ends[0] - ends[1]) / (2 * step)
        assert float(gradients[choice][candidate]) == pytest.approx(numerical, rel=1e-4, abs=1e-7)


def test_expected_latency_is_the_mean_over_architectures():
    space = load("macro")
    gates = Gates(space)
    with torch.no_grad():
        for number, logits in enumerate(gates.logits):
            logits.copy_(torch.tensor([0.3, -0.5, 0.1 * number]))
    rng = np.random.default_rng(0)
    drawn = np.array([gates.sample(rng) for _ in range(4000)])
    costs = macs_costs()
    (expected,) = CostTensors([constraint(0.5)]).expected(gates.probabilities())
    values = costs.of(drawn)
    assert float(expected.detach()) == pytest.approx(values.mean(), abs=4 * values.std() / 4000**0.5)


def test_fbnets_loss_is_the_papers_form():
    budgets = (constraint(0.5),)
    form = latency_loss.FBNetLoss(budgets, unit="ms")
    value = form.loss(torch.tensor(1.7), [torch.tensor(25.0)])
    assert float(value) == pytest.approx(1.7 * 0.2 * math.log(25.0) ** 0.6)


def test_the_unit_changes_how_strongly_the_papers_forms_pull():
    """Why they hold no budget: the same network, in other units, is pushed otherwise."""
    budgets = (constraint(0.5),)
    pulls = []
    for unit in ("ms", "us"):
        expected = torch.tensor(25.0, requires_grad=True)
        form = latency_loss.FBNetLoss(budgets, unit=unit)
        form.loss(torch.tensor(1.0), [expected]).log().backward()
        pulls.append(float(expected.grad))
    assert pulls[0] > 2.5 * pulls[1]


@pytest.mark.parametrize("form", [latency_loss.FBNetLoss, latency_loss.ProxylessLog])
def test_a_unit_in_which_the_logarithm_is_not_positive_is_refused(form):
    small = (constraint(0.5, unit=1e9),)  # from 0.0077 ms
    with pytest.raises(LatencyModelError, match="use a smaller unit"):
        form(small, unit="ms")
    assert form(small, unit="us").unit == "us"
    with pytest.raises(LatencyModelError, match="must be one of"):
        form(small, unit="s")


@pytest.mark.parametrize("form", [latency_loss.FBNetLoss, latency_loss.ProxylessLog])
def test_a_logarithm_of_something_else_than_latency_is_refused(form):
    budget = constraint(0.5)
    costs = dataclasses.replace(budget.costs, unit="bytes")
    bytes_ = Constraint(Budget("bytes", budget.budget.limit, "bytes"), costs)
    with pytest.raises(LatencyModelError, match="bytes is limited in bytes"):
        form((constraint(0.5), bytes_))


def test_the_proxyless_forms_are_neutral_on_budget():
    (budget,) = constraints()
    on_budget = [torch.tensor(budget.usable)]
    assert float(latency_loss.ProxylessLinear((budget,)).loss(torch.tensor(2.0), on_budget)) == pytest.approx(
        2
    )
    log_form = latency_loss.ProxylessLog((budget,))
    assert float(log_form.loss(torch.tensor(2.0), on_budget)) == pytest.approx(0.2 * 2.0)


@pytest.mark.parametrize("share", [0.2, 0.8])
def test_the_multiplier_pushes_to_the_budget_from_both_sides(share):
    """Gates with no cross-entropy at all, started on one side, end on the budget."""
    budgets = (constraint(share),)
    form = latency_loss.HoldBudget(budgets)
    costs = CostTensors(budgets)
    gates = Gates(load("macro"))
    adam = torch.optim.Adam(gates.logits, lr=0.05)
    for _ in range(200):
        adam.zero_grad()
        form.loss(torch.tensor(0.0), costs.expected(gates.probabilities())).backward()
        adam.step()
        form.update([float(e.detach()) for e in costs.expected(gates.probabilities())])
    (expected,) = costs.expected(gates.probabilities())
    assert float(expected.detach()) == pytest.approx(budgets[0].usable, rel=0.02)


def test_the_tightest_of_several_budgets_is_held():
    tight, loose = constraint(0.3, "tight"), constraint(0.9, "loose")
    form = latency_loss.HoldBudget((loose, tight))
    form.update([loose.usable * 0.5, tight.usable * 1.1])
    assert form.multiplier == pytest.approx(form.gain * 0.1)


def test_a_budget_above_the_slowest_pushes_nothing():
    form = latency_loss.HoldBudget((constraint(1.0),))
    value = form.loss(torch.tensor(3.0), [torch.tensor(10.0)])
    form.update([10.0])
    assert float(value) == 3.0
    assert form.multiplier == 0


def test_the_multiplier_does_not_wind_up():
    form = latency_loss.HoldBudget((constraint(0.5),), bound=2.0)
    for _ in range(1000):
        form.update([1e3])
    assert form.multiplier == 2.0


def test_gumbel_gates_sum_to_one_sharpen_with_temperature_and_follow_the_logits():
    logits = [torch.tensor([1.0, 0.0, -1.0])]
    hot = torch.stack([gumbel_softmax(logits, 5.0, np.random.default_rng(n))[0] for n in range(500)])
    cold = torch.stack([gumbel_softmax(logits, 0.1, np.random.default_rng(n))[0] for n in range(500)])
    torch.testing.assert_close(hot.sum(1), torch.ones(500))
    assert hot.max(1).values.mean() < 0.6 < 0.9 < cold.max(1).values.mean()
    shares = torch.bincount(cold.argmax(1), minlength=3) / 500
    torch.testing.assert_close(shares, torch.softmax(logits[0], 0), atol=0.07, rtol=0)


def test_an_infeasible_budget_is_refused_with_both_numbers():
    costs = macs_costs()
    fastest = costs.range[0]
    with pytest.raises(InfeasibleBudget) as caught:
        Constraint(Budget("macs", fastest / 2), costs)
    assert caught.value.least == pytest.approx(fastest)
    assert f"got {at_most(fastest / 2)} ms < {at_least(fastest)} ms" in str(caught.value)


def test_costs_of_another_space_are_refused():
    from hwnas.search.problem import Problem

    with pytest.raises(SpaceError, match="must fit the space"):
        Problem(load("fbnet"), (constraint(0.5),))


def test_costs_are_finite_and_not_negative():
    with pytest.raises(LatencyModelError):
        Cost(1.0, (np.array([1.0, np.nan]),))


def test_an_unknown_form_is_refused():
    with pytest.raises(LatencyModelError, match="must be one of"):
        latency_loss.make("mul", constraints())
