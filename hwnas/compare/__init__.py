"""The found network against known ones: same recipe, same data, measured in the same session."""

from __future__ import annotations

from hwnas.compare.rows import FOUND
from hwnas.compare.run import SCHEMA, compare, require_known

__all__ = ["FOUND", "SCHEMA", "compare", "require_known"]
