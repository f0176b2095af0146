"""What a benchmark would measure; models are read, and nothing is made, measured or written."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hwnas.benchmark import networks
from hwnas.benchmark.asked import Asked
from hwnas.benchmark.choosing import chosen
from hwnas.benchmark.facts import Failure
from hwnas.benchmark.files import ReadFile, read
from hwnas.measure import ProfileOptions
from hwnas.measure.engine import Given
from hwnas.measure.foresight import ForeseenModels, of_models
from hwnas.runtimes.base import Description


def foreseen(
    asked: Asked, options: ProfileOptions | None = None
) -> tuple[list[ForeseenModels], Sequence[Failure]]:
    """What ``benchmark`` would do with the same arguments, and what it would leave out.

    Raises:
        HwnasError: As of ``benchmark``.
    """
    options = options or ProfileOptions()
    found, failures = read(asked)
    found += [
        ReadFile(Path(name), name, runtime.format.name, "", Description((), (), {}, precision), Given())
        for name, precision, runtime in networks.planned(asked)
    ]
    sessions = []
    for device in asked.devices if found else ():
        for target, models in chosen(asked, device, found, failures):
            alone_s = (asked.repeat_s or 0.0) * len(models)
            names = [model.name for model in models]
            sessions.append(of_models(target, names, options, further_s=alone_s))
    return sessions, failures
