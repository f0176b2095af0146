"""How sharp the loss is in the gates, against Hessians that are known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from half_precision import as_on_cuda
from oneshot_helpers import task_of
from task_helpers import begun, searched

from hwnas.search.oneshot import curvature, loop
from hwnas.search.oneshot.fbnet import FBNet
from hwnas.search.oneshot.gates import alarms
from hwnas.search.oneshot.proxylessnas import ProxylessNAS


def quadratic(matrix):
    """Half of x'Mx, over logits of two choices."""

    def loss(logits):
        x = torch.cat(list(logits))
        return x @ torch.tensor(matrix, dtype=torch.float32) @ x / 2

    return loss


def test_the_dominant_eigenvalue_of_a_known_hessian():
    rng = np.random.default_rng(0)
    basis, _ = np.linalg.qr(rng.normal(size=(5, 5)))
    matrix = basis @ np.diag([7.0, -9.0, 1.0, 0.5, 0.1]) @ basis.T
    logits = [torch.zeros(2), torch.zeros(3)]
    value, direction = curvature.dominant(quadratic(matrix), logits, rng.normal(size=5), 5)
    assert value == pytest.approx(7.0, rel=1e-3)
    assert abs(direction @ basis[:, 0]) == pytest.approx(1.0, abs=1e-3)
    assert all((each == 0).all() for each in logits)
    again, _ = curvature.dominant(quadratic(matrix), logits, direction, 1)
    assert again == pytest.approx(7.0, rel=1e-3), "it goes on from where the last one ended"
    flat, _ = curvature.dominant(quadratic(0 * matrix), logits, rng.normal(size=5), 5)
    assert flat == 0


@pytest.mark.slow
def test_it_is_that_of_the_supernets_own_loss_by_second_derivatives(monkeypatch):
    """Against the Hessian that autograd makes of the same loss, also where training is in bfloat16."""
    strategy = FBNet(warmup_steps=0, steps=20, curvatures=1)
    state = begun(strategy, task_of(0.5), 0)
    sizes = [len(p) for p in state.gates.logits]

    def loss(point):
        gates = [torch.softmax(part, 0) for part in torch.split(point, sizes)]
        return state.oneshot.loss("val", gates, 0, share=loop.CURVATURE_SHARE)

    hessian = torch.autograd.functional.hessian(loss, torch.zeros(sum(sizes))).numpy()
    values = np.linalg.eigvalsh((hessian + hessian.T) / 2)

    monkeypatch.setattr(curvature, "FIRST", 12)
    as_on_cuda(monkeypatch)
    value = strategy._curvature(state, strategy.steps - 1)[curvature.KEY]
    assert value == pytest.approx(values.max(), rel=1e-2)


@pytest.mark.slow
@pytest.mark.parametrize("strategy", [FBNet, ProxylessNAS])
def test_it_is_looked_at_as_often_as_asked_and_changes_nothing(strategy):
    task, rng = task_of(0.5), np.random.default_rng
    settings = {"warmup_steps": 2, "steps": 12, "finalists": 1}
    seen = searched(strategy(**settings, curvatures=4), task, rng(0))
    assert [r["step"] for r in seen.trace if curvature.KEY in r] == [3, 6, 9, 12]
    blind = searched(strategy(**settings, curvatures=0), task_of(0.5), rng(0))
    assert not [r for r in blind.trace if curvature.KEY in r]
    assert blind.best == seen.best
    assert blind.extra["logits"] == seen.extra["logits"]


def trace_of(values):
    return [
        {"step": 10 * n, "skip_share": 0.0, "entropy": 1.0, curvature.KEY: value}
        for n, value in enumerate(values, start=1)
    ]


def test_a_valley_that_becomes_sharp_is_an_alarm():
    flat = trace_of([1.0, 1.2, 0.9] * 6)
    assert curvature.alarm(flat) is None
    assert alarms(flat) == []
    (said,) = alarms(trace_of([1.0] * 9 + [2.0] * 9))
    assert said.startswith("sharp valley: from step 60 to 110 the dominant eigenvalue")
    assert curvature.alarm(trace_of([3.0] * 5 + [1.0] * 9 + [2.0] * 5)) is None, "it has been sharper"
    assert curvature.alarm(trace_of([1.0] * 5 + [3.0] * 4)) is None, "too few to compare"
    assert curvature.alarm(trace_of([-1.0] * 9 + [2.0] * 2)) is None, "where it curves down it is not sharp"
