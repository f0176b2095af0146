"""How networks are scored that are not trained; free of torch."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hwnas import files
from hwnas.errors import DataError, SpaceError
from hwnas.runs.folder import RunFolder

SIMILARITY = "similarity"
CALLED = {"naswot": "NASWOT", "synflow": "SynFlow", "gradnorm": "gradient norm", SIMILARITY: "similarity"}
"""Measures by the name that users type, and what they are called."""


@dataclass(frozen=True)
class Likeness:
    """Whom networks are to see images like, and which: see ``similarity``.

    Attributes:
        reference: Run folder of a trained network, or an ``.npy`` file of dissimilarities.
        images: The first so many of the validation split are looked at.
    """

    reference: str
    images: int = 64

    @property
    def files(self) -> tuple[Path, ...]:
        """What says how the other one sees them.

        Raises:
            DataError: There is neither a trained network nor a file.
        """
        path = Path(self.reference).expanduser()
        found = (path,) if path.is_file() else (RunFolder(path).arch, RunFolder(path).weights)
        if not all(each.is_file() for each in found):
            raise DataError(
                "networks must be compared with the run folder of a trained network, or with an .npy file of "
                f"dissimilarities, but {self.reference} is neither: train one, or write it with numpy.save"
            )
        return found

    def identity(self) -> dict[str, Any]:
        """What must be the same for scores to be taken over, as JSON."""
        return {"images": self.images, "reference": [files.sha256(path) for path in self.files]}


@dataclass(frozen=True, kw_only=True)
class ZeroCostConfig:
    """How networks are scored that are not trained.

    Attributes:
        measure: "naswot", "synflow" or "gradnorm"; see ``measures``. Or "similarity", to ``alike``.
        images: Images that are looked at, of training, or of validation by "similarity"; "synflow" looks at
            none.
        references: Random networks that a score is a place among.
        seed: Of weights, images and references.
        device: "cpu" or "cuda".
        alike: As ``Likeness.reference``; only with "similarity".
    """

    measure: str = "naswot"
    images: int = 64
    references: int = 32
    seed: int = 0
    device: str = "cpu"
    alike: str | None = None

    def __post_init__(self) -> None:
        if self.measure not in CALLED:
            raise SpaceError(f"a measure must be one of {tuple(CALLED)}, but got {self.measure!r}")
        for name in ("images", "references"):
            if getattr(self, name) < 2:
                raise SpaceError(f"{name} must be at least 2, but got {getattr(self, name)}")
        if (self.measure == SIMILARITY) != (self.alike is not None):
            raise SpaceError(
                f"somebody to be alike must be given with the measure {SIMILARITY!r} and only then, but got "
                f"{self.measure!r} and {self.alike!r}"
            )

    @property
    def likeness(self) -> Likeness | None:
        """Whom networks are to see images like."""
        return None if self.alike is None else Likeness(self.alike, self.images)

    def recorded(self) -> dict[str, Any]:
        """The settings as JSON, without what earlier versions had not where it is not set."""
        return {name: value for name, value in asdict(self).items() if (name, value) != ("alike", None)}
