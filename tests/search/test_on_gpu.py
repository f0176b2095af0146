"""Weights that are trained on an NVIDIA GPU, in bfloat16 there: what comes of it is as on a CPU."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from oneshot_helpers import CONFIG, digits, space, task_of
from task_helpers import begun

from hwnas import blocks, train
from hwnas.evaluators.blockwise import Blockwise
from hwnas.search.oneshot import curvature
from hwnas.search.oneshot.darts import DARTS
from hwnas.search.oneshot.fbnet import FBNet

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no CUDA device here"),
]


def on_both(config):
    """The same settings for the CPU and the GPU."""
    return [dataclasses.replace(config, device=device) for device in ("cpu", "cuda")]


def test_what_it_trains_answers_alike_on_the_cpu():
    data, arch = digits(), space().architecture(space().sample(np.random.default_rng(0)).indices)
    torch.manual_seed(0)
    model = blocks.network(arch)
    train.fit(model, data, train.TrainConfig(epochs=4, device="cuda"))
    there = train.evaluate(model, data, "val")
    here = train.evaluate(model.cpu(), data, "val")
    assert here.value > 0.5
    assert here.value == pytest.approx(there.value, abs=0.02)


@pytest.mark.parametrize("score", ["features", "loss"])
def test_pupils_learn_and_err_as_on_the_cpu(score, tmp_path):
    """They begin with parts of their teacher, whose channels are compared on the GPU."""
    errors = []
    for config in on_both(dataclasses.replace(CONFIG, training="blockwise", teacher_share=0.5)):
        evaluator = Blockwise(space(), digits(), config)
        evaluator.prepare(60, on_step=lambda _: None, checkpoint=tmp_path / config.device)
        errors.append(np.concatenate(evaluator.errors_by(score)))
    assert np.isfinite(errors[1]).all()
    assert np.corrcoef(*errors)[0, 1] > 0.8


def test_second_derivatives_are_as_on_the_cpu():
    values, gradients = [], []
    for config in on_both(CONFIG):
        state = begun(FBNet(warmup_steps=0, steps=20, curvatures=1), task_of(0.5, config), 0)
        values.append(FBNet(warmup_steps=0, steps=20, curvatures=1)._curvature(state, 19)[curvature.KEY])
        state = begun(DARTS(warmup_steps=0, steps=20, order=2), task_of(0.5, config), 0)
        DARTS(warmup_steps=0, steps=20, order=2).gate_step(state, 0)
        gradients.append(torch.cat([p.grad.cpu() for p in state.gates.logits]).numpy())
    assert values[1] == pytest.approx(values[0], rel=0.05)
    assert np.linalg.norm(gradients[1] - gradients[0]) < 0.05 * np.linalg.norm(gradients[0])
