"""Tiny sets of pictures that are drawn at random, and networks that learn them in some seconds."""

from __future__ import annotations

import numpy as np
import torch

from hwnas import train
from hwnas.data import Dataset, Split


def drawn(name, names, picture, counts, seed, *, flip, task):
    """A set of pictures; ``picture(rng)`` gives one, and what is said of it."""
    rng = np.random.default_rng(seed)
    splits = {}
    for split, count in zip(("train", "val", "test"), counts, strict=True):
        pictures, truth = zip(*(picture(rng) for _ in range(count)), strict=True)
        splits[split] = Split(np.stack(pictures), np.stack(truth))
    return Dataset(
        name, names, **splits, mean=(0.4,) * 3, std=(0.2,) * 3, flip=flip, seed=seed, val_share=0.2,
        test_share=0.2, task=task,
    )  # fmt: skip


def trained_on(pictures, make, config):
    """A network after some seconds, the record of its training, and what it says of the test images."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = make()
    result = train.fit(network, pictures, config)
    return network, result, train.predictions(network, pictures, "test")
