"""Options of measuring for tests of its form: real agents, real models, numbers of no worth."""

from __future__ import annotations

from typing import Any

from hwnas.measure import ProfileOptions

FORM: dict[str, Any] = {
    "samples": 2,
    "min_sample_ms": 0.05,
    "warmup_min_ms": 0.05,
    "warmup_max_ms": 0.1,
    "min_round_s": 0.0,
}
"""As few and as short samples as there can be, without waiting between rounds."""


def form(rounds: int, **given: Any) -> ProfileOptions:
    """So many rounds, and no more of them where they disagree."""
    return ProfileOptions(**({**FORM, "rounds": rounds, "max_rounds": rounds} | given))
