"""Does the network that ships keep what was promised? Measured, through the real runtimes."""

from __future__ import annotations

from hwnas.release.verification import Accuracy, Session, VariantCheck, Verification
from hwnas.verify.checks import MAX_ACCURACY_LOSS
from hwnas.verify.run import verify

__all__ = [
    "MAX_ACCURACY_LOSS",
    "Accuracy",
    "Session",
    "VariantCheck",
    "Verification",
    "verify",
]
