"""Does the network that ships keep what was promised? Measured, through the real runtimes."""

from __future__ import annotations

from hwnas.verify.result import Session, VariantCheck, Verification
from hwnas.verify.run import MAX_ACCURACY_LOSS, verify

__all__ = ["MAX_ACCURACY_LOSS", "Session", "VariantCheck", "Verification", "verify"]
