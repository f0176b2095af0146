"""Compound scaling: depth, width and resolution grow or shrink together (arXiv:1905.11946, section 3.3)."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from hwnas.errors import SpaceError

_DOUBLING = (1.8, 2.2)  # "about 2"; what was published is 1.92
_PIXEL_STEP = 8
_WIDTH_DIGITS = 2


@dataclass(frozen=True)
class Compound:
    """What a network is scaled by: ``depth * width**2 * resolution**2`` times the multiply-adds.

    Attributes:
        depth: Of the layers of a stage, as a multiple; alpha to the power of phi.
        width: Of the channels; beta to the power of phi.
        resolution: Of the pixels of a side; gamma to the power of phi.
    """

    depth: float
    width: float
    resolution: float

    def __post_init__(self) -> None:
        scales = (self.depth, self.width, self.resolution)
        if not all(0 < scale < inf for scale in scales):
            raise SpaceError(
                f"scales must be positive and finite, but got {scales}: give multiples, as 1.2, 1.1 and 1.15"
            )

    @property
    def macs(self) -> float:
        """Multiply-adds as a multiple, but for rounding."""
        return self.depth * self.width**2 * self.resolution**2

    def to_the(self, phi: float) -> Compound:
        """The scales of a compound coefficient.

        Args:
            phi: How many times the multiply-adds are doubled; below 0, halved.

        Raises:
            SpaceError: These scales do not about double the multiply-adds, as those of phi = 1 must.
        """
        least, most = _DOUBLING
        if not least <= self.macs <= most:
            raise SpaceError(
                "scales must double the multiply-adds, as depth * width**2 * resolution**2 = "
                f"{least:g} to {most:g} do, but got {self.macs:g} of {self}: scale less, or more"
            )
        return Compound(self.depth**phi, self.width**phi, self.resolution**phi)

    def wide(self, width: float) -> float:
        """A multiplier of channels scaled, to the hundredth."""
        return round(width * self.width, _WIDTH_DIGITS)

    def pixels(self, side: int) -> int:
        """Height and width of images scaled: a multiple of 8 unless they stay as they are."""
        scaled = round(side * self.resolution / _PIXEL_STEP) * _PIXEL_STEP
        return side if self.resolution == 1 else max(_PIXEL_STEP, scaled)


EFFICIENTNET = Compound(1.2, 1.1, 1.15)
"""Alpha, beta and gamma as they were found for EfficientNet."""
