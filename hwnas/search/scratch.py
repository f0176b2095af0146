"""Scoring architectures by training each from scratch for some epochs, in worker processes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from multiprocessing import get_context

from hwnas import data
from hwnas.data import Dataset
from hwnas.space import Architecture
from hwnas.train.config import TrainConfig


@dataclass(frozen=True)
class FromScratch:
    """Validation accuracy after a short training; callable as ``SearchTask.evaluate``.

    It holds the name of the data, not the images, so that it can be sent to another process.

    Attributes:
        source: What ``data.load`` takes.
        resolution: Of the images.
        data_seed: Of the splits.
        config: The training; a short one.
        threads: Of PyTorch in the process that trains; None leaves them as they are.
    """

    source: str
    resolution: int
    data_seed: int = 0
    config: TrainConfig = field(default_factory=lambda: TrainConfig(epochs=2))
    threads: int | None = None

    def __call__(self, arch: Architecture) -> float:
        """Accuracy on the validation split."""
        import torch

        from hwnas import train

        before = torch.get_num_threads()
        torch.set_num_threads(self.threads or before)
        try:
            network = train.new_network(arch, self.config.seed)
            images = _loaded(self.source, self.resolution, self.data_seed)
            return train.fit(network, images, self.config).val.accuracy
        finally:
            torch.set_num_threads(before)


@lru_cache(maxsize=1)
def _loaded(source: str, resolution: int, seed: int) -> Dataset:
    return data.load(source, resolution=resolution, seed=seed)


@contextmanager
def workers(
    count: int,
) -> Iterator[Callable[[Callable[[Architecture], float], Iterable[Architecture]], Iterable[float]]]:
    """A ``mapper`` for sampling strategies that scores in so many processes.

    Yields:
        Like ``map``, in order; the function it is given must be one that can be pickled.
    """
    with ProcessPoolExecutor(count, mp_context=get_context("spawn")) as pool:
        yield pool.map
