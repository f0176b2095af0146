"""The stages as functions of one call each: what ``import hwnas`` offers.

A space, a device or a table is given by its name, its path, or as an object. Every function loads what
installed packages bring (``hwnas.plugins``), raises ``HwnasError``, and prints nothing.
"""

from __future__ import annotations

from hwnas.api.adapted import adapt
from hwnas.api.found import Found, search
from hwnas.api.imported import import_model
from hwnas.api.measured import fit, measure, profile
from hwnas.api.shipping import Exported, compare, export, verify
from hwnas.api.trained import Trained, train

__all__ = [
    "Exported",
    "Found",
    "Trained",
    "adapt",
    "compare",
    "export",
    "fit",
    "import_model",
    "measure",
    "profile",
    "search",
    "train",
    "verify",
]
