"""Trainings that one process and several of torchrun do alike: as a program, all of them in float64.

In float32, what parts of a batch are rounded to is told apart from the whole after some steps. In float64 the
formulas can be compared.
"""

from __future__ import annotations

import dataclasses
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import rectangles
import shapes
import torch
from training_helpers import small_network

from hwnas import data, files, spaces, torchrun, train
from hwnas.data.batches import Batches
from hwnas.evaluators.supernet.config import OneShotConfig
from hwnas.evaluators.supernet.oneshot import OneShot
from hwnas.train import ranks
from hwnas.train.teacher import Teacher

_FRESH = tuple(name for name, _ in small_network().named_parameters() if name.startswith("2."))
CASES = {
    "plain": {"class_weights": "balanced"},
    "mixed": {
        "mixup": 0.4, "cutmix": 1.0, "erasing": 0.3, "ema": 0.99, "optimizer": "lars",
        "learning_rate": 0.3,
    },
    "taught": {"distill_weight": 0.5, "optimizer": "lamb", "learning_rate": 0.02},
    "adapted": {"head_epochs": 1, "layer_decay": 0.5, "freeze_share": 0.3, "frozen_stride": 1},
    "segmented": {"auxiliary": 0.4, "distill_weight": 0.3, "augment": False},
    "detected": {"augment": False},
}  # fmt: skip
BATCHES = {"segmented": 15, "detected": 15}


def digits():
    """So few that the last batch is smaller than the others."""
    found = data.load("digits", resolution=8)
    return dataclasses.replace(found, train=found.sample("train", 180), val=found.sample("val", 61))


def trained(name):
    """What came of a training, and the weights."""
    pictures = {"segmented": shapes, "detected": rectangles}.get(name)
    images = digits() if pictures is None else pictures.images(counts=(40, 21, 4))
    make = small_network if pictures is None else pictures.network
    torch.manual_seed(0)
    network, teacher = make().double(), make().double()
    settings = {"epochs": 2, "batch_size": BATCHES.get(name, 51), "learning_rate": 0.1} | CASES[name]
    result = train.fit(
        network,
        images,
        train.TrainConfig(**settings),
        teacher=Teacher(teacher) if "distill_weight" in settings else None,
        fresh=_FRESH if name == "adapted" else None,
    )
    return result, network


@contextmanager
def in_float64():
    """Batches, answers and all that is made are."""
    take, single = Batches.take, torch.Tensor.float

    def taken(*given):
        images, targets = take(*given)
        return images.double(), targets

    Batches.take = taken
    torch.set_default_dtype(torch.float64)
    torch.Tensor.float = lambda self: self if self.is_floating_point() else self.double()
    try:
        yield
    finally:
        Batches.take, torch.Tensor.float = take, single
        torch.set_default_dtype(torch.float32)


def supernet():
    """Losses of a supernet on paths and under gates, gradients of these, and the weights after all steps."""
    config = OneShotConfig(width=0.25, batch_size=21, crop=0.125, weight_decay=1e-3)
    space = spaces.load("macro", resolution=8, num_classes=10)
    oneshot, rng = OneShot(space, digits(), config), np.random.default_rng(0)
    found = []
    for step in range(4):
        found.append(oneshot.weight_step(space.sample(rng).indices, 0.5))
        logits = [torch.zeros(len(choice.candidates), requires_grad=True) for choice in space.choices]
        loss = oneshot.loss("val", [each.softmax(0) for each in logits], step)
        gradients = torch.autograd.grad(loss, logits)
        ranks.average(gradients)
        found += [float(loss.detach()), *torch.cat(gradients).tolist()]
    return [*found, *(float(value.double().sum()) for value in oneshot.supernet.state_dict().values())]


def numbers():
    """Of every training: what its record says of each epoch, and the sum of each tensor of its weights."""
    found = {}
    with in_float64(), ranks.joined(torch.device("cpu")):
        for name in CASES:
            result, network = trained(name)
            said = [(e.loss, e.value, e.val_value, e.val_loss, e.val_balanced or 0.0) for e in result.history]
            sums = [float(value.double().sum()) for value in network.state_dict().values()]
            found[name] = [*(value for epoch in said for value in epoch), result.val.loss, *sums]
        found["supernet"] = supernet()
    return found


def threads():
    """Names of those that gloo has left behind: they crash an interpreter that ends, now and then."""
    names = [path.read_text().strip() for path in Path("/proc/self/task").glob("*/comm")]
    return [name for name in names if "gloo" in name]


if __name__ == "__main__":
    found = numbers()
    files.write_json(Path(sys.argv[1]) / f"{torchrun.number()}.json", {**found, "threads": threads()})
