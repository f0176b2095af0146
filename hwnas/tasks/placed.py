"""What tasks about places of images have in common: pictures are stretched, and classes count alike."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hwnas.tasks.base import Score
from hwnas.tasks.common import stretched
from hwnas.tasks.shares import OfShares

if TYPE_CHECKING:
    from hwnas.data import Dataset

_LEAST_OF_LOSS = 1e-6  # of a merit, that the loss tells equals apart by


class OnPlaces(OfShares):
    """A network that says for places of a picture what they show; its metric is a mean over classes."""

    def shown(self, targets: NDArray[Any]) -> NDArray[np.int64]:
        """How much of each class each image shows, shape (images, classes)."""
        raise NotImplementedError

    def guesses(self, targets: NDArray[Any]) -> tuple[float, float]:
        """The metric of the best answer that does not look at images, and the upper end of its interval."""
        raise NotImplementedError

    def preprocessing(self, data: Dataset) -> dict[str, Any]:
        """Stretched, so that nothing is lost, and standardised."""
        _, height, width = data.image_shape
        return {**super().preprocessing(data), "resize": stretched(height, width)}

    def merit(self, score: Score, class_weights: str, counts: tuple[int, int] | None = None) -> float:
        """The metric, in which every class counts the same anyway."""
        less = _LEAST_OF_LOSS * (1 - math.exp(-score.loss)) if counts else 0.0
        return max(0.0, score.value - less)

    def merit_name(self, class_weights: str) -> str:
        """As the metric."""
        return self.metric.name

    def effective_images(self, targets: NDArray[Any], class_weights: str) -> int:
        """As many images as the metric is at least as certain as, before any network is looked at.

        A class of which few images show most is as certain as those few: Kish's effective
        size of a sample (Survey Sampling, 1965). Errors of the classes are taken to go together, and images
        to be wholly right or wrong, so that this is cautious.
        """
        counts = self.shown(targets)
        shown = counts[:, counts.any(axis=0)].astype(np.float64)
        if not shown.size:
            return 1
        of_class = shown.sum(axis=0) ** 2 / (shown**2).sum(axis=0)
        return max(1, int(1 / np.mean(of_class**-0.5) ** 2 + 1e-6))

    def blind_search(
        self, merits: Iterable[float], targets: NDArray[Any], images: int, class_weights: str
    ) -> str | None:
        """Compares the mean merit with the best of an answer that does not look at the images."""
        guess, most = self.guesses(targets)
        mean = float(np.mean(list(merits)))
        if mean > most:
            return None
        facts = f"the {self.metric.name} of architectures is {mean:.1%} on average, and the best without a "
        facts += f"look at the images {guess:.1%} (95 %: up to {most:.1%})"
        if most > (1 + guess) / 2:
            return f"the validation images cannot tell scores from guesses: {facts}: give more images"
        return f"scored blindly: {facts}, so that their order is chance: train what scores them longer"
