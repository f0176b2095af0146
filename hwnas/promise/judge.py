"""How good an architecture is believed to be: by the supernet, in fp32 or in int8."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import sqrt
from statistics import NormalDist

import numpy as np

from hwnas import export
from hwnas.errors import SpaceError
from hwnas.export import runtime as runtimes
from hwnas.promise.beliefs import Indices
from hwnas.search.oneshot import OneShot

RANKS = ("fp32", "int8")

CALIBRATION_IMAGES = 128

_ONE_SIDED = NormalDist().inv_cdf(0.95)


class Judge:
    """Scores architectures with the weights of a supernet; each is scored once.

    Args:
        oneshot: The trained supernet.
        rank: "fp32", or "int8" for finalists ranked by the accuracy of quantised sub-networks.
        runtime: "litert" or "onnxruntime": what runs those.
        known: Accuracies in fp32 that the search has estimated already.

    Raises:
        SpaceError: There is no such ranking.
    """

    def __init__(
        self,
        oneshot: OneShot,
        rank: str,
        runtime: str = "litert",
        known: Mapping[Indices, float] | None = None,
    ) -> None:
        if rank not in RANKS:
            raise SpaceError(f"finalists must be ranked by one of {RANKS}, but got {rank!r}")
        self.rank, self._oneshot, self._runtime = rank, oneshot, runtime
        self._fp32 = dict(known or {})
        self._int8: dict[Indices, float] = {}

    @property
    def images(self) -> int:
        """Validation images that an accuracy is estimated on."""
        return self._oneshot.scored_images

    def fp32(self, indices: Indices) -> float:
        """Estimated accuracy of the sub-network, in [0, 1]."""
        if indices not in self._fp32:
            self._fp32[indices] = self._oneshot(self._oneshot.space.architecture(indices))
        return self._fp32[indices]

    def int8(self, indices: Indices) -> float:
        """The same after post-training quantisation, run by the runtime that devices use.

        The sub-network is one of the supernet's proxy: its batch norm is recalibrated, and the
        ranges of int8 come from training images.
        """
        if indices not in self._int8:
            self._int8[indices] = self._quantised(indices)
        return self._int8[indices]

    def estimates(self, indices: Indices) -> dict[str, float]:
        """What is to be recorded of a finalist."""
        return {"fp32": self.fp32(indices)} | ({"int8": self.int8(indices)} if self.rank == "int8" else {})

    def final(self, indices: Indices) -> float:
        """What finalists are ranked by."""
        return self.int8(indices) if self.rank == "int8" else self.fp32(indices)

    def best(self, architectures: Sequence[Indices], count: int) -> list[Indices]:
        """The best few, the best one first: a short list by fp32, then by what ranks."""
        listed = sorted(architectures, key=self.fp32, reverse=True)
        return sorted(listed[: 2 * count], key=self.final, reverse=True)[:count]

    def clearly_worse(self, one: Indices, other: Indices) -> bool:
        """Whether one is less accurate than another by more than a chance of 5 % explains.

        One-sided, with the binomial standard error of a difference of two accuracies. That one
        of the two was chosen for its estimate is not counted, and only widens the doubt.
        """
        first, second = self.final(one), self.final(other)
        mean = (first + second) / 2
        error = sqrt(2 * max(mean * (1 - mean), 1 / self.images) / self.images)
        return first < second - _ONE_SIDED * error

    def _quantised(self, indices: Indices) -> float:
        oneshot = self._oneshot
        calibration = _images(oneshot, "train")[0][:CALIBRATION_IMAGES]
        images, labels = _images(oneshot, "val")
        network = oneshot.subnetwork(indices).cpu()
        lowered = export.lower(
            network, oneshot.proxy.input_shape, self._runtime, "int8", calibration=calibration, check=False
        )
        logits = runtimes.run(lowered.model, self._runtime, images)
        return float((logits.argmax(axis=1) == labels).mean())


def _images(oneshot: OneShot, split: str) -> tuple[np.ndarray, np.ndarray]:
    """The images that architectures are recalibrated or scored with, and their labels."""
    count = {"train": CALIBRATION_IMAGES, "val": oneshot.config.validation_images}[split]
    batches = [(images.cpu().numpy(), labels.cpu().numpy()) for images, labels in oneshot.some(split, count)]
    return np.concatenate([i for i, _ in batches]), np.concatenate([n for _, n in batches])
