"""Norms that a file has lost get statistics of images, and the network stays what it is."""

from __future__ import annotations

import copy
from itertools import pairwise

import numpy as np
import pytest
import torch
from training_helpers import small_network, state

from hwnas import data, train
from hwnas.data.batches import Batches
from hwnas.importing.cutting import _place
from hwnas.train.renorming import renorm


@pytest.fixture(scope="module")
def digits():
    return data.load("digits", resolution=8)


@pytest.fixture(scope="module")
def learnt(digits):
    model = small_network()
    train.fit(model, digits, train.TrainConfig(epochs=4, batch_size=32, learning_rate=0.1))
    return model.eval()


def folded(model):
    """The same network as a file without norms gives it, and the names of its norms."""
    model, names = copy.deepcopy(model), []
    parts = list(model.named_modules())
    with torch.no_grad():
        for (_, conv), (name, norm) in pairwise(parts):
            if isinstance(norm, torch.nn.BatchNorm2d):
                scale = norm.weight / (norm.running_var + norm.eps).sqrt()
                bias = norm.bias - norm.running_mean * scale
                weight = conv.weight * scale.reshape(-1, 1, 1, 1)
                _place(conv, norm, weight.double().numpy(), bias.double().numpy(), None)
                names.append(name)
    return model, names


def answers(model, digits, *, trains=False):
    model.train(trains)
    images = torch.from_numpy(digits.normalize(digits.sample("val", 128).images))
    with torch.no_grad():
        found = model(images).numpy()
    model.eval()
    return found


def images(digits):
    return (batch for batch, _ in Batches(digits, torch.device("cpu")).some("train", 512, 0))


def test_answers_stay_and_training_answers_alike(learnt, digits):
    model, names = folded(learnt)
    before = answers(model, digits)
    np.testing.assert_allclose(before, answers(learnt, digits), rtol=1e-3, atol=1e-3)
    largest = np.abs(before).max()
    assert np.abs(answers(copy.deepcopy(model), digits, trains=True) - before).max() > 0.3 * largest
    renorm(model, names, images(digits))
    assert np.abs(answers(model, digits) - before).max() < 1e-4 * largest
    assert np.abs(answers(copy.deepcopy(model), digits, trains=True) - before).mean() < 0.1 * before.std()
    moments = model[0][1]
    assert moments.running_var.std() > 0
    assert moments.running_mean.abs().max() > 0


def test_a_short_training_does_not_destroy_it(learnt, digits):
    config = train.TrainConfig(epochs=1, batch_size=64, learning_rate=0.002)
    model, names = folded(learnt)
    before = train.evaluate(learnt, digits, "val").value
    renorm(model, names, images(digits))
    losses = [
        train.fit(each, digits, config, fresh=()).history[0].loss for each in (model, folded(learnt)[0])
    ]
    assert train.evaluate(model, digits, "val").value > before - 0.02
    assert losses[0] < losses[1]


def test_other_norms_and_modes_stay(learnt, digits):
    model, names = folded(learnt)
    model.train()
    model[1].eval()
    before = state(model)
    renorm(model, names[:1], images(digits))
    changed = {name for name, tensor in state(model).items() if not torch.equal(tensor, before[name])}
    first = ("weight", "bias", "running_mean", "running_var")
    assert changed == {f"{names[0]}.{part}" for part in first}
    assert (model.training, model[1].training, model[2].training) == (True, False, True)
