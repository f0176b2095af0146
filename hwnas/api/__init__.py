"""The stages as functions of one call each: what ``import hwnas`` offers.

A space, a device or a table is given by its name, its path, or as an object. Every function loads what
installed packages bring (``hwnas.plugins``), raises ``HwnasError``, and prints nothing.
"""

from __future__ import annotations

from hwnas.api.measured import fit, profile
from hwnas.api.networks import Found, Trained, search, train
from hwnas.api.shipping import Exported, compare, export, verify

__all__ = ["Exported", "Found", "Trained", "compare", "export", "fit", "profile", "search", "train", "verify"]
