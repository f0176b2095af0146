"""Options of measuring for tests of its form: real agents, real models, numbers of no worth."""

from __future__ import annotations

from typing import Any

import pytest

from hwnas.measure import ProfileOptions

FORM: dict[str, Any] = {
    "samples": 2,
    "min_sample_ms": 0.2,
    "warmup_min_ms": 0.5,
    "warmup_max_ms": 1.0,
    "min_round_s": 0.0,
}
"""As few and as short samples as there can be, without waiting between rounds."""


JOB: dict[str, Any] = {
    "threads": 1,
    "cpus": None,
    "samples": 2,
    "min_sample_ns": 100_000,
    "warmup_min_ns": 100_000,
    "warmup_max_ns": 200_000,
    "keep": False,
    "seed": 0,
}
"""A line of a plan, but for its model: as little as an agent can do."""


def form(rounds: int, **given: Any) -> ProfileOptions:
    """So many rounds, and no more of them where they disagree."""
    return ProfileOptions(**({**FORM, "rounds": rounds, "max_rounds": rounds} | given))


def hurry(patch: pytest.MonkeyPatch) -> None:
    """Commands that measure do so in the rounds that they are asked for, as quickly as can be."""
    checked = ProfileOptions.__post_init__

    def quick(options: ProfileOptions) -> None:
        for name, value in (FORM | {"max_rounds": options.rounds}).items():
            object.__setattr__(options, name, value)
        checked(options)

    patch.setattr(ProfileOptions, "__post_init__", quick)
