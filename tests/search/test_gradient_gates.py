"""Gradients of DARTS, SNAS and GDAS against what their papers' formulas give."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from half_precision import as_on_cuda
from oneshot_helpers import task_of
from task_helpers import begun, searched

from hwnas.errors import SpaceError
from hwnas.evaluators.supernet.warm_up import warm_up
from hwnas.search.oneshot import darts
from hwnas.search.oneshot.darts import DARTS
from hwnas.search.oneshot.gdas import GDAS, straight_through
from hwnas.search.oneshot.snas import SNAS

SHORT = {"warmup_steps": 3, "steps": 4, "finalists": 2, "curvatures": 0}


@pytest.fixture
def state():
    """A search in which weights have moved and gates are not all alike."""
    found = begun(DARTS(order=2), task_of(0.5), 0)
    warm_up(found.oneshot, 5)
    rng = np.random.default_rng(0)
    with torch.no_grad():
        for logits in found.gates.logits:
            logits.copy_(torch.tensor(rng.normal(size=len(logits))))
    return found


def test_the_second_order_is_the_derivative_through_the_weight_step(state, monkeypatch):
    """Equation 7, against autograd through the weights as functions of the gates, also beside bfloat16."""
    oneshot, gates = state.oneshot, state.gates
    rate = oneshot.rate
    names = [name for name, _ in oneshot.supernet.named_parameters()]
    own = dict(oneshot.supernet.named_parameters())

    def loss(split, step, weights):
        images, targets = oneshot.batches.step(split, oneshot.batch_size, oneshot.config.seed, step)
        chances = gates.probabilities()
        answers = torch.func.functional_call(oneshot.supernet, weights, (images, chances))
        return oneshot.criterion.loss(answers, targets)

    oneshot.supernet.train().requires_grad_(True)
    training = loss("train", oneshot.steps, own)
    slopes = torch.autograd.grad(training, own.values(), create_graph=True, materialize_grads=True)
    moved = {n: w - rate * g for n, w, g in zip(names, own.values(), slopes, strict=True)}
    ahead = state.latency_loss.loss(loss("val", 0, moved), state.costs.expected(gates.probabilities()))
    exact = torch.cat(torch.autograd.grad(ahead, gates.logits))
    before = [w.detach().clone() for w in oneshot.weights]
    as_on_cuda(monkeypatch)
    _, found = darts._looking_ahead(state, 0)
    _, first, _ = darts._validation(state, 0, ())
    found, first = torch.cat(list(found)), torch.cat(list(first))
    assert float((found - exact).norm() / exact.norm()) < 1e-3
    assert float((first - exact).norm()) > 2 * float((found - exact).norm()), "the first order is further off"
    assert all(torch.equal(a, b) for a, b in zip(before, oneshot.weights, strict=True))


def test_a_hard_draw_has_the_gradient_of_the_soft_one():
    logits = torch.tensor([0.3, -0.2, 1.0], requires_grad=True)
    soft = torch.softmax(logits / 0.7, 0)
    (branch,) = straight_through(soft)
    assert branch.index == 2
    assert branch.weight == 1
    (found,) = torch.autograd.grad(3.0 * branch.weight, logits, retain_graph=True)
    (expected,) = torch.autograd.grad(3.0 * soft[2], logits)
    torch.testing.assert_close(found, expected)


def test_gdas_trains_on_drawn_paths_that_favour_what_is_probable():
    state = begun(GDAS(), task_of(0.5), 0)
    with torch.no_grad():
        for logits in state.gates.logits:
            logits[1] = 3.0
    drawn = np.array([GDAS().weight_gates(state, step) for step in range(200)])
    chances = torch.softmax(state.gates.logits[0].detach(), 0).numpy()
    shares = np.bincount(drawn[:, 0], minlength=len(chances)) / len(drawn)
    assert np.abs(shares - chances).max() < 0.1
    assert [GDAS(steps=11).temperature_at(step) for step in (0, 5, 10)] == pytest.approx([10, 5.05, 0.1])


def test_snas_moves_gates_by_the_batch_and_the_draw_of_the_weights(monkeypatch):
    strategy = SNAS(**SHORT)
    state = begun(strategy, task_of(0.5), 0)
    asked, loss = [], state.oneshot.loss

    def watched(split, gates, step, **more):
        asked.append((split, [g.detach().clone() for g in gates], step))
        return loss(split, gates, step, **more)

    monkeypatch.setattr(state.oneshot, "loss", watched)
    strategy._step(state, 0)
    (first, drawn, step), (second, again, same) = asked
    assert (first, second, step) == ("train", "train", same)
    assert all(torch.allclose(a, b) for a, b in zip(drawn, again, strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("strategy", [DARTS(**SHORT), DARTS(order=2, **SHORT), SNAS(**SHORT), GDAS(**SHORT)])
def test_what_they_find_keeps_the_budget_and_follows_from_the_seed(strategy):
    found, again = (searched(strategy, task_of(0.4), np.random.default_rng(3)) for _ in range(2))
    (limit,) = found.extra["limit_ms"]
    assert all(trial.latencies_ms[0] <= limit for trial in found.trials)
    assert (found.best, found.extra["logits"]) == (again.best, again.extra["logits"])
    assert any(value != 0 for row in found.extra["logits"] for value in row)


def test_an_order_is_one_or_two():
    with pytest.raises(SpaceError, match="order must be 1 or 2, but got 3"):
        DARTS(order=3)
