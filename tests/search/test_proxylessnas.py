import dataclasses

import numpy as np
import pytest
import torch
from oneshot_helpers import task_of
from task_helpers import begun, searched

from hwnas import search
from hwnas.errors import SpaceError
from hwnas.evaluators.supernet.network import Branch
from hwnas.search.oneshot.proxylessnas import (
    ProxylessNAS,
    _pair_gradients,
    draw_pair,
    rescale,
)
from hwnas.search.sampling.controller import moving_average

SHORT = ProxylessNAS(warmup_steps=5, steps=8, finalists=4, curvatures=2)


def state_of(strategy=SHORT, share=0.4):
    state = begun(strategy, task_of(share), 3)
    with torch.no_grad():
        for number, logits in enumerate(state.gates.logits):
            logits.copy_(torch.tensor([0.5, -0.3 * number / 8, 0.2]))
    return state


@pytest.mark.parametrize("seed", range(5))
def test_rescaling_keeps_the_probabilities_of_all_other_paths(seed):
    generator = torch.Generator().manual_seed(seed)
    before = torch.randn(6, generator=generator)
    after = before.clone()
    after[[1, 4]] += torch.randn(2, generator=generator)
    rescale(after, before, (1, 4))
    old, new = torch.softmax(before, 0), torch.softmax(after, 0)
    others = [0, 2, 3, 5]
    torch.testing.assert_close(new[others], old[others])
    torch.testing.assert_close(after[others], before[others], rtol=0, atol=0)
    assert (new[[1, 4]] - old[[1, 4]]).abs().min() > 1e-4


def test_only_the_sampled_paths_of_a_gate_step_move():
    state = state_of()
    for step in range(4):
        before = [torch.softmax(p.detach(), 0) for p in state.gates.logits]
        SHORT.gate_step(state, step)
        pairs = [draw_pair(torch.log(b).numpy(), state.rng(step, 2)) for b in before][:1]
        after = [torch.softmax(p.detach(), 0) for p in state.gates.logits]
        other = ({0, 1, 2} - set(pairs[0])).pop()
        assert float(after[0][other]) == pytest.approx(float(before[0][other]), abs=1e-6)
        for old, new in zip(before, after, strict=True):
            assert ((old - new).abs() > 1e-6).sum() == 2


def test_adam_has_no_momentum_that_could_move_unsampled_paths():
    state = state_of()
    assert state.optimizer.param_groups[0]["betas"][0] == 0.0
    assert state.optimizer.param_groups[0]["weight_decay"] == 0.0


def test_weights_get_no_gradient_from_a_gate_step():
    state = state_of()
    before = {n: p.clone() for n, p in state.oneshot.supernet.named_parameters()}
    SHORT.gate_step(state, 0)
    for name, parameter in state.oneshot.supernet.named_parameters():
        assert parameter.grad is None
        assert torch.equal(parameter, before[name])


def test_weights_of_unsampled_paths_are_left_alone_by_a_weight_step():
    state = state_of()
    gates = SHORT.weight_gates(state, 0)
    before = {n: p.clone() for n, p in state.oneshot.supernet.named_parameters()}
    state.oneshot.weight_step(gates, 1.0)
    for number, index in enumerate(gates):
        for candidate in range(3):
            for name, parameter in state.oneshot.supernet.named_parameters():
                if f"choices.{number}.candidates.{candidate}." in name and candidate != index:
                    assert torch.equal(parameter, before[name])
                    assert parameter.grad is None


@pytest.mark.parametrize("loss", ["hold", "fbnet", "proxyless-linear", "proxyless-log", "none"])
def test_the_gradient_of_a_pair_equals_that_of_the_full_mixture(loss):
    """At binary gates, dL/dg from inert branches is what a whole graph of both paths gives."""
    state = state_of(dataclasses.replace(SHORT, loss=loss))
    state.latency_loss.restore(0.6)
    pairs = [(0, 2), (1, 0), (2, 1), (0, 1), (1, 2), (2, 0), (0, 2), (1, 0)]
    _, found = _pair_gradients(state, 0, pairs)
    halves = [p.detach()[list(pair)].clone() for p, pair in zip(state.gates.logits, pairs, strict=True)]
    shares = [torch.softmax(h, 0).requires_grad_() for h in halves]
    offsets = [torch.eye(2)[0] - s.detach() for s in shares]
    gates = [
        tuple(Branch(i, s[n] + o[n]) for n, i in enumerate(pair))
        for pair, s, o in zip(pairs, shares, offsets, strict=True)
    ]
    masses = [torch.softmax(p.detach(), 0) for p in state.gates.logits]
    mixed = []
    for mass, pair, share in zip(masses, pairs, shares, strict=True):
        row = mass.clone()
        row[list(pair)] = mass[list(pair)].sum() * share
        mixed.append(row)
    total = state.latency_loss.loss(state.oneshot.loss("val", gates, 0), state.costs.expected(mixed))
    for one, share, gradient in zip(found, shares, torch.autograd.grad(total, shares), strict=True):
        share = share.detach()
        expected = share * (gradient - (share * gradient).sum())
        torch.testing.assert_close(one, expected, rtol=2e-3, atol=1e-5)


def test_latency_reaches_the_logits_where_identity_is_sampled():
    """The published code drops the whole gradient there, and the latency's with it."""
    strategy = dataclasses.replace(SHORT, loss="proxyless-linear")
    state = state_of(strategy)
    with torch.no_grad():
        for parameter in state.oneshot.supernet.parameters():
            parameter.zero_()  # cross-entropy then depends on no gate
    pairs = [(0, 2)] * 8  # at the second layer 0 is the identity
    _, gradients = _pair_gradients(state, 0, pairs)
    assert all(float(g[0]) < 0 < float(g[1]) for g in gradients)  # descent favours the cheaper


def test_pairs_are_drawn_by_probability_and_differ():
    chances = np.array([0.6, 0.3, 0.1])
    rng = np.random.default_rng(0)
    pairs = np.array([draw_pair(np.log(chances), rng) for _ in range(4000)])
    assert (pairs[:, 0] != pairs[:, 1]).all()
    both = (pairs == 0).any(axis=1) & (pairs == 1).any(axis=1)
    assert (pairs[both][:, 0] == 0).mean() == pytest.approx(2 / 3, abs=0.04)
    assert draw_pair(np.zeros(1), rng) == (0,)
    assert len(set(draw_pair(np.array([0.0, -1e4, -1e4]), rng))) == 2


def test_the_baseline_is_an_average_of_the_past():
    value = 10.0
    for _ in range(20):
        value = moving_average(value, 0.0, 0.95)
    assert value == pytest.approx(10 * 0.95**20)
    with pytest.raises(SpaceError, match="baseline_decay"):
        ProxylessNAS(baseline_decay=0.01)


def test_reinforce_estimates_the_gradient_of_the_expected_loss():
    """Against the exact gradient over all architectures of one choice, others fixed."""
    strategy = ProxylessNAS(form="reinforce", samples=60, loss="none", warmup_steps=0)
    state = state_of(strategy)
    with torch.no_grad():
        for logits in state.gates.logits[1:]:
            logits.copy_(torch.tensor([9.0, -9.0, -9.0]))
    with torch.no_grad():
        losses = torch.stack([state.oneshot.loss("val", (i, *[0] * 7), 0) for i in range(3)])
    free = state.gates.logits[0]
    chances = torch.softmax(free.detach(), 0)
    exact = chances * (losses - (chances * losses).sum())
    state.memory["baseline"] = float((chances * losses).sum())
    total = torch.zeros(3)
    rng = np.random.default_rng(0)
    state.optimizer.step = lambda: None
    state.oneshot.loss = lambda split, indices, step: losses[indices[0]]
    for _ in range(60):
        strategy._reinforce(state, 0, rng)
        state.memory["baseline"] = float((chances * losses).sum())
        total += free.grad / 60
    torch.testing.assert_close(total, exact, atol=float(exact.abs().max()) * 0.25, rtol=0)


@pytest.mark.slow
@pytest.mark.parametrize("form", ["gradient", "reinforce"])
def test_the_best_keeps_the_budget(form):
    result = searched(dataclasses.replace(SHORT, form=form), task_of(0.4), np.random.default_rng(0))
    (limit,) = result.extra["limit_ms"]
    assert all(t.latencies_ms[0] <= limit for t in result.trials)
    assert len(result.trace) == 8
    assert ("baseline" in result.trace[-1]) == (form == "reinforce")


@pytest.mark.slow
@pytest.mark.parametrize("form", ["gradient", "reinforce"])
def test_a_resumed_search_equals_an_uninterrupted_one(tmp_path, form):
    class Stop:
        def __call__(self, record):
            if record["phase"] == "search" and record["step"] == 5:
                raise KeyboardInterrupt

    strategy = dataclasses.replace(SHORT, form=form)
    whole = searched(strategy, task_of(0.4), np.random.default_rng(0))
    kept = {"checkpoint": tmp_path / "c.safetensors", "checkpoint_every": 3}
    with pytest.raises(KeyboardInterrupt):
        searched(strategy, task_of(0.4), np.random.default_rng(0), tell=Stop(), **kept)
    resumed = searched(strategy, task_of(0.4), np.random.default_rng(0), **kept)
    assert search.to_json(resumed) == search.to_json(whole)


def test_settings_without_sense_are_refused():
    with pytest.raises(SpaceError, match="form"):
        ProxylessNAS(form="both")
    with pytest.raises(SpaceError, match="samples"):
        ProxylessNAS(samples=0)
