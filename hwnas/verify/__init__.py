"""Does the network that ships keep what was promised? Measured, through the real runtimes."""

from __future__ import annotations

from hwnas.release.verification import SessionRecord, VariantCheck, Verification
from hwnas.tasks.base import Estimate
from hwnas.verify.checks import MAX_LOSS
from hwnas.verify.verifying import verify, verify_on

__all__ = [
    "MAX_LOSS",
    "Estimate",
    "SessionRecord",
    "VariantCheck",
    "Verification",
    "verify",
    "verify_on",
]
