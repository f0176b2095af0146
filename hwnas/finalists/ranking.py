"""How good an architecture is believed to be: by what scored it in the search, in fp32 or in int8."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from hwnas import runtimes, tasks
from hwnas.errors import SpaceError
from hwnas.evaluators.base import TrainedNetworks
from hwnas.evaluators.of_run import scores
from hwnas.export import lower
from hwnas.finalists.reading import Indices

if TYPE_CHECKING:
    import torch

RANKS = ("fp32", "int8")

CALIBRATION_IMAGES = 128


class Ranking:
    """Scores architectures as the search did; each is scored once.

    Args:
        scorer: The trained supernet, or what trains each from scratch.
        rank: "fp32", or "int8" for finalists ranked by the scores of quantised sub-networks.
        runtime: Name of what runs those.
        known: Scores in fp32 that the search has estimated already.

    Raises:
        SpaceError: There is no such ranking, or what scores knows no answers that could be rounded.
    """

    def __init__(
        self,
        scorer: TrainedNetworks,
        rank: str,
        runtime: str = runtimes.DEFAULT,
        known: Mapping[Indices, float] | None = None,
    ) -> None:
        if rank not in RANKS:
            raise SpaceError(f"finalists must be ranked by one of {RANKS}, but got {rank!r}")
        if rank == "int8" and not has_answers(scorer):
            raise SpaceError(
                'finalists must be ranked by "fp32" where networks are not trained, but got "int8" and '
                f"scores by {scorer.merits.name}: leave rank out"
            )
        self.rank, self._scorer, self._runtime = rank, scorer, runtime
        self._fp32 = dict(known or {})
        self._int8: dict[Indices, float] = {}

    @property
    def score(self) -> str:
        """What is estimated: "accuracy", or "balanced accuracy" where classes are weighed."""
        return self._scorer.merits.name

    @property
    def score_key(self) -> str:
        """What that is called in records."""
        return self._scorer.merits.key

    def fp32(self, indices: Indices) -> float:
        """Score of the sub-network, in [0, 1]."""
        if indices not in self._fp32:
            self._fp32[indices] = self._scorer(self._scorer.space.architecture(indices))
        return self._fp32[indices]

    def int8(self, indices: Indices) -> float:
        """The same after post-training quantisation, run by the runtime that devices use.

        The sub-network is one of the supernet's proxy, its batch norm recalibrated, or the one that
        was trained from scratch; the ranges of int8 come from training images.
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
        fresh = [i for i in architectures if i not in self._fp32]
        self._fp32 |= dict(zip(fresh, scores(self._scorer, fresh), strict=True))
        listed = sorted(architectures, key=self.fp32, reverse=True)
        return sorted(listed[: 2 * count], key=self.final, reverse=True)[:count]

    def clearly_worse(self, one: Indices, other: Indices) -> bool:
        """Whether one is worse than another by more than a chance of 5 % explains.

        That one of the two was chosen for its estimate is not counted, and only widens the doubt.
        """
        return self._scorer.merits.is_clearly_worse(self.final(one), self.final(other))

    def _quantised(self, indices: Indices) -> float:
        scorer = self._scorer
        calibration = np.concatenate([images.numpy(force=True) for images, _ in _some(scorer, "train")])
        network = scorer.subnetwork(indices).cpu()
        lowered = lower(
            network, scorer.proxy.input_shape, self._runtime, "int8", calibration=calibration, check=False
        )
        answer = runtimes.opened(lowered.model, self._runtime)
        found = scorer.task.predictions(
            (tasks.as_tensors(answer(images.numpy(force=True))), targets.cpu())
            for images, targets in _some(scorer, "val")
        )
        return scorer.task.merit(found.score, scorer.class_weights)


def has_answers(scorer: TrainedNetworks) -> bool:
    """Whether networks are scored by what they answer, so that answers in int8 score them too."""
    return scorer.merits.images is not None


def _some(scorer: TrainedNetworks, split: str) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Batches of the images that architectures are recalibrated or scored with, and their targets."""
    return scorer.some(split, {"train": CALIBRATION_IMAGES, "val": scorer.scored_images}[split])
