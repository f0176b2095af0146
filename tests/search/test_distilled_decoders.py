"""Decoders learn beside blocks, but from more batches, and what answers learns by the task."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from hwnas import tasks
from hwnas.blocks import LRASPP, Conv, FPNSum
from hwnas.evaluators import blockwise
from hwnas.evaluators.blockwise import Blockwise
from hwnas.evaluators.supernet.config import OneShotConfig
from hwnas.evaluators.supernet.distillation import Distillation
from hwnas.space import STEM, Choice, SearchSpace
from hwnas.tasks.base import LossSettings

sys.path.append(str(Path(__file__).parents[1] / "tasks"))

import shapes
from half_precision import as_on_cuda

CONFIG = OneShotConfig(training="blockwise", batch_size=16, teacher_share=0.5, recalibration_images=64)


def space():
    """Two blocks that each have a cheaper one, and three decoders: the first is the teacher's."""
    classes = len(shapes.NAMES)
    fine = Choice("fine", (Conv(8, 16, stride=2), Conv(8, 16, 1, stride=2)))
    coarse = Choice("coarse", (Conv(16, 32, stride=2), Conv(16, 32, 1, stride=2)))
    decoders = (
        FPNSum((8, 16, 32), 16, classes), FPNSum((8, 16, 32), 8, classes), LRASPP((16, 32), 16, classes, 2, 2)
    )  # fmt: skip
    read = (STEM, "fine", "coarse")
    return SearchSpace(
        "small", (3, shapes.SIDE, shapes.SIDE), (Conv(3, 8, stride=2), Conv(8, 8, stride=2)),
        (fine, coarse, Choice("decoder", decoders, (read, read, read[1:]))), (), origin=(0, 0, 0),
    )  # fmt: skip


def prepared(folder, steps=40, seen=None):
    evaluator = Blockwise(space(), shapes.images(), CONFIG)
    evaluator.prepare(steps, on_step=lambda record: seen and seen(record), checkpoint=folder / "checkpoint")
    return evaluator


@pytest.fixture(scope="module")
def learnt(tmp_path_factory):
    return prepared(tmp_path_factory.mktemp("decoders"))


def test_decoders_are_what_reads_elsewhere_and_all_behind_it(learnt):
    criterion = tasks.get("segmentation").criterion(shapes.images(), LossSettings(), torch.device("cpu"))
    assert list(Distillation(learnt.supernet, (0, 0, 0), learnt.optimizer, criterion).decoders) == [2]


def test_decoders_learn_from_more_batches_than_blocks(tmp_path, monkeypatch):
    seen = []
    once = Distillation.step_of_decoders

    def counted(self, images, targets, factor):
        before = {name: value.detach().clone() for name, value in self.supernet.named_parameters()}
        once(self, images, targets, factor)
        after = self.supernet.named_parameters()
        seen.append({name.split(".")[1] for name, value in after if not torch.equal(value, before[name])})

    monkeypatch.setattr(Distillation, "step_of_decoders", counted)
    prepared(tmp_path, steps=4)
    assert seen == [{"2"}] * (2 * blockwise.MORE)


def test_more_batches_make_better_decoders(learnt, tmp_path, monkeypatch):
    monkeypatch.setattr(blockwise, "MORE", 0)
    less = prepared(tmp_path)
    assert (learnt.block_errors()[2][1:] < less.block_errors()[2][1:]).all()


def test_the_error_of_what_answers_is_of_answers(learnt):
    """By whole networks: the teacher's with another decoder, its batch norms made anew on the same images."""
    errors = learnt.block_errors()[2]
    assert errors[0] == 0
    data = learnt.batches.data
    criterion = learnt.task.criterion(data, LossSettings(temperature=1.0), learnt.device)
    [(images, targets)] = learnt.some("val", 512)
    with torch.no_grad():
        best, *others = (learnt.subnetwork((0, 0, index))(images) for index in range(3))
        for error, answer in zip(errors[1:], others, strict=True):
            distance, loss = criterion.distance(answer, best), criterion.loss(answer, targets)
            worth = float(distance + loss - criterion.loss(best, targets)) / 2
            assert error == pytest.approx(np.log1p(max(worth, 0)), rel=1e-3, abs=1e-5)


@pytest.mark.slow
def test_it_goes_on_as_if_it_had_not_been_stopped(tmp_path, monkeypatch):
    monkeypatch.setattr("hwnas.evaluators.supernet.warm_up.CHECKPOINT_EVERY", 1)
    whole = prepared(tmp_path / "whole", steps=8)

    def stop(record):
        if record["step"] == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepared(tmp_path / "part", steps=8, seen=stop)
    again = prepared(tmp_path / "part", steps=8)
    for name, value in whole.supernet.state_dict().items():
        assert torch.equal(value, again.supernet.state_dict()[name]), name


@pytest.mark.slow
@pytest.mark.parametrize("score", ["features", "loss"])
def test_errors_are_the_same_in_half_precision(score, learnt, tmp_path, monkeypatch):
    """As of training on CUDA: batch norms are estimated and candidates run in bfloat16 too."""
    exact = learnt.errors_by(score)
    as_on_cuda(monkeypatch)
    for one, other in zip(exact, learnt.errors_by(score), strict=True):
        np.testing.assert_allclose(one, other, rtol=0.1, atol=0.02)
    half = prepared(tmp_path)
    assert all(np.isfinite(values).all() for values in half.errors_by(score))
