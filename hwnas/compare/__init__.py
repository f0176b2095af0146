"""The found network against known ones: same recipe, same data, measured in the same session."""

from __future__ import annotations

from hwnas.compare.comparing import compare, require_known
from hwnas.compare.rows import FOUND

__all__ = ["FOUND", "compare", "require_known"]
