"""Proves that an imported network answers as its source does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import softmax

from hwnas.errors import DataError, ParityError
from hwnas.export import parity, random_calibration
from hwnas.importing.scaling import InputScale
from hwnas.importing.sources import GivenNetwork

if TYPE_CHECKING:
    from torch import nn

    from hwnas.space import Shape

_IMAGES = 4
_SEED = 0


@dataclass(frozen=True)
class Proof:
    """How near the answers of an imported network are to its source's.

    Attributes:
        images: How many images both answered.
        given: How many of them were given; the others are random.
        max_error: Largest difference over the source's largest answer.
        sqnr_db: Power of the source's answers over that of the differences, in decibels; None where there is
            no difference at all.
        is_whole: Whether the source computes in whole numbers, so that its answers are rounded.
    """

    images: int
    given: int
    max_error: float
    sqnr_db: float | None
    is_whole: bool

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        return asdict(self)


def prove(
    network: nn.Module,
    source: GivenNetwork,
    shape: Shape,
    scale: InputScale,
    given: np.ndarray | None,
    depth: int,
    where: Callable[[np.ndarray], str] = lambda _: "",
) -> Proof:
    """Compare a network with what it was imported from, on random images and given ones.

    Args:
        network: The imported network.
        source: What it was imported from.
        shape: Of one image.
        scale: How its images are scaled.
        given: Further images, shape (n, channels, height, width).
        depth: Weighted layers, as of ``parity.least_sqnr_db``.
        where: Says of one image where the first difference is: the end of a sentence.

    Raises:
        ParityError: Its answers are others.
        DataError: The given images do not fit.
    """
    images, count = _random(source, shape, scale), 0
    if given is not None:
        _require_images(given, shape)
        images, count = np.concatenate([images, given.astype(np.float32)]), len(given)
    expected = source.answers(images)
    actual = _as(parity.answers(network, images), expected.shape)
    if source.raw.lost_softmax:
        actual = softmax(actual, axis=1)
    max_error, sqnr_db = parity.differences(expected, actual)
    found = Proof(len(images), count, max_error, sqnr_db, source.is_whole)
    _demand(found, source, expected, depth, lambda: where(images[:1]))
    return found


def _random(source: GivenNetwork, shape: Shape, scale: InputScale) -> np.ndarray:
    """Random images: of pixels for what computes in whole numbers, which cut off all that no pixel can be."""
    if not source.is_whole:
        return random_calibration(shape, _IMAGES, _SEED)
    pixels = np.random.default_rng(_SEED).random((_IMAGES, *shape), np.float32)
    mean, std = (np.array(part, np.float32)[:, None, None] for part in (scale.mean, scale.std))
    found: np.ndarray = (pixels - mean) / std
    return found


def _as(answers: Any, shape: tuple[int, ...]) -> np.ndarray:
    """Answers of one pixel with or without height and width, as the source gives them."""
    found = np.asarray(answers)
    return found.reshape(shape) if found.size == np.prod(shape) and found.shape[:2] == shape[:2] else found


def _require_images(given: np.ndarray, shape: Shape) -> None:
    is_number = given.dtype.kind in "fiu" and np.isfinite(given).all()
    if given.ndim != 4 or given.shape[1:] != shape or not len(given) or not is_number:
        raise DataError(
            f"inputs must be finite numbers of shape (n, {', '.join(map(str, shape))}), but got "
            f"{given.dtype} of shape {given.shape}"
        )


def _demand(
    found: Proof, source: GivenNetwork, expected: np.ndarray, depth: int, where: Callable[[], str]
) -> None:
    if not np.isfinite(expected).all() or not expected.any():
        raise ParityError(
            f"the answers of {source.name} must be finite and not all zero to be compared, but they are not: "
            "check its weights, or give --inputs"
        )
    if source.is_whole:
        least = parity.least_sqnr_db(depth)
        if found.sqnr_db is not None and not found.sqnr_db >= least:
            raise ParityError(
                f"an imported network must have {least:.1f} dB of signal to noise to its int8 source, "
                f"but has {found.sqnr_db:.1f} dB: {source.name} rounds more, or hwnas misreads it"
            )
    elif not found.max_error <= parity.FP32_TOLERANCE:
        raise ParityError(
            f"an imported network must answer within {parity.FP32_TOLERANCE:g} of the largest answer of its "
            f"source, but differs from {source.name} by {found.max_error:.3g}: hwnas reads an operator of it "
            f"wrongly{where()}"
        )
