"""A network that trains in a second, and how weights are compared."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from hwnas import blocks


def small_network(seed=0):
    """A network of this project's blocks that trains in a second."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return blocks.build(
            [
                blocks.Conv(3, 16),
                blocks.MBConv(16, 24, stride=2, expansion_ratio=2.0),
                blocks.Head(24, 64, 10),
            ]
        )


def state(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def same(one, two):
    return all(torch.equal(one[name], two[name]) for name in one) and one.keys() == two.keys()


class StopAfter:
    def __init__(self, epochs):
        self.epochs = epochs

    def __call__(self, record):
        if record.epoch == self.epochs:
            raise KeyboardInterrupt


def make_int8_hard(network, factor):
    """Leave large weights on channels that are dead: in fp32 they do nothing, in int8 a lot.

    One channel before each dense layer is made to be zero always; the weights that read it are
    made ``factor`` times the largest of their rows. That is what weight decay leaves of dying
    channels, only more. The rows' int8 steps then are ``factor`` times as coarse.
    """
    norm, active = None, False
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            if active and layer.weight.shape[1] == norm.num_features:
                _load(norm, layer.weight, factor)
            active = False
        elif isinstance(layer, nn.BatchNorm2d):
            norm = layer
        elif isinstance(layer, nn.ReLU):
            active = True


@torch.no_grad()
def _load(norm, weight, factor):
    dead = int(norm.weight.abs().argmin())
    norm.weight[dead], norm.bias[dead] = 0.0, -1.0
    rows = weight.flatten(1).abs().amax(1)
    weight[:, dead] = factor * rows.view(-1, *(1,) * (weight.ndim - 2))


def write_noise(path):
    """An npz file of random images with random labels: nothing can be learnt from it."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 255, (600, 8, 8)).astype(np.uint8)
    np.savez(path, images=images, labels=rng.integers(0, 10, 600))
    return path
