"""LARS and LAMB by hand, and learning rates that follow the batch."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from training_helpers import small_network, state

from hwnas import data, tasks, train
from hwnas.errors import TrainingError
from hwnas.tasks.recipes import FROM_NOTHING, PRETRAINED
from hwnas.train import optim

RATES = (0.5, 0.25, 0.125)
MOMENTUM, DECAY = 0.9, 0.01


class Layer(torch.nn.Module):
    """A weight and a bias, whose gradients are those that they are given."""

    def __init__(self):
        super().__init__()
        rng = np.random.default_rng(0)
        self.weight = torch.nn.Parameter(torch.from_numpy(rng.normal(0, 1, (4, 3))))
        self.bias = torch.nn.Parameter(torch.from_numpy(rng.normal(0, 1, 4)))


def steps(kind):
    """Weight and bias before, their gradients in each step, and both after all steps."""
    layer, rng = Layer(), np.random.default_rng(1)
    before = [p.detach().numpy().copy() for p in layer.parameters()]
    optimizer = optim.of_kind(kind, optim.by_depth([layer.parameters()], 1.0, DECAY), 1.0, MOMENTUM)
    gradients = []
    for rate in RATES:
        optim.set_learning_rate(optimizer, rate)
        gradients.append([rng.normal(0, 2, p.shape) for p in layer.parameters()])
        for parameter, gradient in zip(layer.parameters(), gradients[-1], strict=True):
            parameter.grad = torch.from_numpy(gradient)
        optimizer.step()
    return before, gradients, [p.detach().numpy() for p in layer.parameters()]


def test_lars_is_that_of_the_paper():
    """arXiv:1708.03888, algorithm 1, but for the trust; biases are neither adapted nor decayed."""
    (weight, bias), gradients, found = steps("lars")
    moved, shifted = np.zeros_like(weight), np.zeros_like(bias)
    for rate, (g, h) in zip(RATES, gradients, strict=True):
        local = 0.02 * np.linalg.norm(weight) / (np.linalg.norm(g) + DECAY * np.linalg.norm(weight))
        moved = MOMENTUM * moved + rate * local * (g + DECAY * weight)
        shifted = MOMENTUM * shifted + rate * h
        weight, bias = weight - moved, bias - shifted
    np.testing.assert_allclose(found[0], weight, rtol=1e-12)
    np.testing.assert_allclose(found[1], bias, rtol=1e-12)


def test_lamb_is_that_of_the_paper():
    """arXiv:1904.00962, algorithm 2, with phi(z) = z."""
    values, gradients, found = steps("lamb")
    for place, value in enumerate(values):
        m = v = np.zeros_like(value)
        for number, rate in enumerate(RATES, 1):
            g = gradients[number - 1][place]
            m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
            r = m / (1 - 0.9**number) / (np.sqrt(v / (1 - 0.999**number)) + 1e-6)
            if value.ndim > 1:
                r = r + DECAY * value
                r = r * np.linalg.norm(value) / np.linalg.norm(r)
            value = value - rate * r
        np.testing.assert_allclose(found[place], value, rtol=1e-9)


@pytest.mark.parametrize("kind", ["lars", "lamb"])
def test_weights_of_nothing_begin_to_move(kind):
    """A last layer may begin with zeros, whose length says nothing of a step."""
    weight = torch.nn.Parameter(torch.zeros(2, 2))
    optimizer = optim.of_kind(kind, optim.by_depth([[weight]], 1.0, DECAY), 0.1, MOMENTUM)
    for _ in range(2):
        weight.grad = torch.ones(2, 2)
        optimizer.step()
    assert torch.isfinite(weight).all()
    assert (weight < 0).all()


def test_a_rate_follows_the_batch_where_none_is_given():
    def rate(images=10_000, usual=FROM_NOTHING, **settings):
        return train.TrainConfig(**settings).resolved(images, usual).learning_rate

    assert rate() == rate(batch_size=32) == rate(batch_size=8) == rate(images=20) == 0.1
    assert rate(batch_size=512) == pytest.approx(16 * 0.1)
    assert rate(batch_size=512, optimizer="lars") == pytest.approx(16 * 0.1)
    assert rate(batch_size=512, optimizer="lamb") == pytest.approx(4 * 0.04)
    assert rate(batch_size=512, learning_rate=0.3) == 0.3
    assert rate(batch_size=64, usual=PRETRAINED) == pytest.approx(0.04)
    detection = tasks.get("detection").usual(pretrained=False)
    assert rate(usual=detection) == 0.05
    assert rate(batch_size=16, usual=detection) == pytest.approx(0.1)


def test_records_of_older_versions_are_read_as_they_were():
    now = dataclasses.asdict(train.TrainConfig(epochs=3, batch_size=256, learning_rate=0.1))
    before = {name: value for name, value in now.items() if name not in ("optimizer", "precision")}
    assert train.TrainConfig.of_record(before) == train.TrainConfig.of_record(now)
    with pytest.raises(TrainingError, match="optimizer must be one of"):
        train.TrainConfig.of_record({**before, "optimizer": "adam"})


def test_a_checkpoint_of_an_older_version_goes_on(tmp_path):
    """It knows nothing of settings that are new."""
    from hwnas.train import checkpoint

    digits = data.load("digits", resolution=8)
    digits = dataclasses.replace(digits, train=digits.sample("train", 128))
    path, config = tmp_path / "c.safetensors", train.TrainConfig(epochs=2, batch_size=64)
    whole, resumed = small_network(), small_network(seed=9)
    train.fit(whole, digits, config)

    def stop(record):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train.fit(small_network(), digits, config, checkpoint=path, on_epoch=stop)
    tensors, metadata = checkpoint.read_tensors(path, "hwnas-checkpoint/3")
    for name in ("optimizer", "precision"):
        del metadata["config"][name]
    del metadata["scaler"]
    checkpoint.save_tensors(path, tensors, metadata)
    train.fit(resumed, digits, config, checkpoint=path)
    assert all(torch.equal(value, state(whole)[name]) for name, value in state(resumed).items())


@pytest.mark.slow
def test_lars_learns_from_batches_that_are_too_large_for_sgd():
    """Half of all digits in a batch: SGD at the rate that the linear rule gives goes nowhere."""
    digits = data.load("digits", resolution=8)
    found = {}
    for kind in ("sgd", "lars", "lamb"):
        config = train.TrainConfig(epochs=16, batch_size=1024, optimizer=kind)
        found[kind] = train.fit(small_network(), digits, config).val.value
    assert min(found["lars"], found["lamb"]) > max(0.6, found["sgd"] + 0.2)
