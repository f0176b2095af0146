"""How networks are scored that are not trained; free of torch."""

from __future__ import annotations

from dataclasses import dataclass

from hwnas.errors import SpaceError

CALLED = {"naswot": "NASWOT", "synflow": "SynFlow", "gradnorm": "gradient norm"}
"""Measures by the name that users type, and what they are called."""


@dataclass(frozen=True, kw_only=True)
class ZeroCostConfig:
    """How networks are scored that are not trained.

    Attributes:
        measure: "naswot", "synflow" or "gradnorm"; see ``measures``.
        images: Training images that are looked at; "synflow" looks at none.
        references: Random networks that a score is a place among.
        seed: Of weights, images and references.
        device: "cpu" or "cuda".
    """

    measure: str = "naswot"
    images: int = 64
    references: int = 32
    seed: int = 0
    device: str = "cpu"

    def __post_init__(self) -> None:
        if self.measure not in CALLED:
            raise SpaceError(f"a measure must be one of {tuple(CALLED)}, but got {self.measure!r}")
        for name in ("images", "references"):
            if getattr(self, name) < 2:
                raise SpaceError(f"{name} must be at least 2, but got {getattr(self, name)}")
