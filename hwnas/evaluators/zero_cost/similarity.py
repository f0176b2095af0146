"""How alike two networks see the same images: representational similarity.

What a network makes of images is told by how unlike each other it finds them: a matrix of dissimilarities,
one a pair of images. Matrices of networks of any shape, or of recorded brains, compare by rank correlation
(human-model similarity, Blanchard et al., arXiv:1805.10726). That needs few images and no labels, so that it
can stand in for accuracy where training is cut short.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from hwnas.errors import DataError
from hwnas.evaluators.zero_cost.config import Likeness
from hwnas.latency.base import FloatArray
from hwnas.latency.evaluate import rank_correlations
from hwnas.train.teacher import load_teacher

if TYPE_CHECKING:
    from hwnas.data import Dataset

_LEAST = 3  # images: two have one dissimilarity, which has no rank


def features(network: nn.Module, images: torch.Tensor) -> FloatArray:
    """What the last layer with weights reads of each image: (n, channels, height, width) to (n, features)."""
    seen: list[torch.Tensor] = []

    def keep(_module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        seen[:] = [inputs[0]]

    layers = [m for m in network.modules() if isinstance(m, nn.Linear | nn.Conv2d)]
    hooks = [layer.register_forward_pre_hook(keep) for layer in layers]
    try:
        with torch.no_grad():
            network.eval()(images)
    finally:
        for hook in hooks:
            hook.remove()
    return np.asarray(seen[0].flatten(1).double().cpu().numpy())


def dissimilarities(vectors: FloatArray) -> FloatArray:
    """One minus the correlation of each two rows: shape (n, features) to (n, n).

    A row that is the same everywhere correlates with none.
    """
    centred = vectors - vectors.mean(axis=1, keepdims=True)
    lengths = np.linalg.norm(centred, axis=1, keepdims=True)
    unit = np.divide(centred, lengths, out=np.zeros_like(centred), where=lengths > 0)
    found = 1.0 - unit @ unit.T
    np.fill_diagonal(found, 0.0)
    return np.asarray(found)


def similarity(one: FloatArray, other: FloatArray) -> float:
    """Spearman's correlation of two dissimilarities, shape (n, n) each; 0 where one of them ranks nothing."""
    above = np.triu_indices(len(one), 1)
    spearman, _ = rank_correlations(one[above], other[above])
    return 0.0 if spearman is None else spearman


def matrix_in(path: Path) -> FloatArray:
    """A matrix of dissimilarities from an ``.npy`` file, shape (n, n).

    Raises:
        DataError: There is none, or it is not symmetric with zeros on its diagonal.
    """
    must = (
        "a file of dissimilarities must hold a square, symmetric array of finite numbers with a diagonal of 0"
    )
    remedy = "write it with numpy.save"
    try:
        found = np.load(path, allow_pickle=False)
        matrix = np.asarray(found, dtype=np.float64)
    except (OSError, ValueError, EOFError, TypeError) as error:
        raise DataError(f"{must}, but {path} cannot be read: {error}: {remedy}") from error
    if (
        matrix.ndim != 2
        or matrix.shape[0] != matrix.shape[1]
        or not np.isfinite(matrix).all()
        or not np.allclose(matrix, matrix.T)
        or np.any(np.abs(np.diagonal(matrix)) > 1e-6)
    ):
        raise DataError(f"{must}, but {path} has one of shape {matrix.shape}: {remedy}")
    return matrix


def likeness(network: nn.Module, data: Dataset, to: Likeness) -> float:
    """How alike a network sees images to someone else, in [0, 1].

    1 where all pairs of images are ranked alike, 0.5 by chance.

    Raises:
        DataError: There are too few images, or the dissimilarities are not of them.
        TrainingError: The other one is a network that was trained on other images.
    """
    images, reference = _seen(to, data)
    device = next(network.parameters()).device
    own = dissimilarities(features(network, images.to(device)))
    return (1.0 + similarity(own, reference)) / 2.0


@lru_cache(maxsize=1)
def _seen(to: Likeness, data: Dataset) -> tuple[torch.Tensor, FloatArray]:
    """The images that are looked at, and how unlike each other the other one finds them."""
    images = torch.from_numpy(data.normalize(data.val.images[: to.images]))
    count, path = len(images), to.files[0]
    if path.suffix == ".npy":
        reference = matrix_in(path)
    else:
        reference = dissimilarities(features(load_teacher(path.parent, data).network, images))
    if count < _LEAST or reference.shape != (count, count):
        raise DataError(
            f"dissimilarities must be of the validation images that are looked at, {_LEAST} at least, but "
            f"got {count} images and an array of shape {reference.shape}: say how many with --evaluate-images"
        )
    return images, reference
