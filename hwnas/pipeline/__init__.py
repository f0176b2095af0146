"""The whole chain from one config; each stage is skipped where its inputs are unchanged.

``hwnas run`` and ``hwnas quickstart`` are this. A stage is skipped if its settings, the files it
reads and the files it wrote have the hashes that they had when it was last finished. What was
interrupted goes on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwnas import device as devices
from hwnas import release
from hwnas.device import Device
from hwnas.pipeline.foresight import ForeseenRun, ForeseenStage, foreseen
from hwnas.pipeline.stages import STAGES, Stages
from hwnas.pipeline.state import RunState
from hwnas.release import against
from hwnas.release.verification import shares_of
from hwnas.runs import outputs, records, runtimes
from hwnas.search.constraints import shares_said
from hwnas.settings.config import Config
from hwnas.settings.reading import make, read
from hwnas.settings.template import template
from hwnas.statistics import use
from hwnas.statistics.differences import Difference
from hwnas.statistics.metric import Metric
from hwnas.statistics.verdict import Verdict, on_baseline, worst
from hwnas.tracking.base import Tracker
from hwnas.tracking.following import usable
from hwnas.verify import Verification

UNCHANGED = "unchanged"

Tell = Callable[[str, str], None]
"""Told (stage, what it is doing); an empty text ends the stage, ``UNCHANGED`` skips it."""


@dataclass(frozen=True)
class Summary:
    """What came of a run.

    Attributes:
        folder: Where everything is.
        run: Folder of the found network; what ships is in ``run / "export"``.
        report: The HTML report.
        verifications: What was measured of the exported variants, on each device.
        metric: What networks of the task are judged by.
        quality: By strategy, the metric on the test split in PyTorch: the search, and the baseline if
            there is one.
        difference: Of the two, on the same test images; None without a baseline.
        why_little: Why the search could not use more of the budgets; empty where it does not say.
        said: What else is to be known of the search: what a budget cost, and its alarms.
        seconds: Wall time by stage, of the last time that it ran.
        ran: Stages that were not skipped.
    """

    folder: Path
    run: Path
    report: Path
    verifications: tuple[Verification, ...]
    metric: Metric
    quality: Mapping[str, float]
    difference: Difference | None
    seconds: Mapping[str, float]
    ran: tuple[str, ...]
    why_little: str = ""
    said: tuple[str, ...] = ()

    @property
    def against(self) -> Verdict | None:
        """FAIL where the search found a clearly worse network than the baseline did."""
        if self.difference is None:
            return None
        name, baseline = (f"{name} search" for name in self.quality)
        return on_baseline(self.difference, name, baseline, self.metric)

    @property
    def verdict(self) -> Verdict | None:
        """Of all that was promised: budgets, what int8 may cost, and not to be worse than the baseline."""
        return worst([*(found.verdict for found in self.verifications), self.against])

    @property
    def accepted_noise(self) -> bool:
        """Whether the user takes what is NOT PROVEN, on every device."""
        return all(found.accepted_noise for found in self.verifications)

    @property
    def little(self) -> str:
        """What to know where little of the tightest budget is used; empty where that is not so."""
        return use.warning(shares_of(self.verifications), self.why_little)

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        first, *others = self.verifications
        return {
            "folder": str(self.folder),
            "run": str(self.run),
            "report": str(self.report),
            "verification": first.to_json(),
            "verdict": None if self.verdict is None else self.verdict.word,
            "reasons": [] if self.verdict is None else list(self.verdict.reasons),
            f"test_{self.metric.key}": dict(self.quality),
            "difference": None if self.difference is None else self.difference.to_json(),
            "seconds": dict(self.seconds),
            "ran": list(self.ran),
            "used": shares_of(self.verifications),
            "warnings": [text for text in (self.little, *self.said) if text],
            **({"verified_elsewhere": [found.to_json() for found in others]} if others else {}),
        }


def run(
    config: Config,
    *,
    device: Device | None = None,
    tell: Tell = lambda _stage, _text: None,
    track: Sequence[str | Tracker] = (),
) -> Summary:
    """Run every stage whose inputs changed since it was last finished.

    Args:
        config: What is wanted.
        device: Where to measure, instead of where the config says.
        tell: Called on the way.
        track: Trackers that follow the runs, instead of those that the config names.

    Raises:
        HwnasError: A stage failed, or another process works in the folder; what earlier stages
            wrote is kept.
    """
    folder = config.folder
    with outputs.claimed(folder):
        state = RunState(folder)
        there = [device] if device else [devices.load(name) for name in config.basics.device]
        trackers = usable(track or config.basics.track, folder)
        stages = Stages(config, there, state, trackers)
        seconds, ran = {}, []
        for stage in stages:
            if state.is_done(stage):
                tell(stage.name, UNCHANGED)
            else:
                began = time.monotonic()
                tell(stage.name, "starting")
                state.begin(stage)
                stage.run(lambda text, name=stage.name: tell(name, text))  # type: ignore[misc]
                state.finish(stage, time.monotonic() - began)
                tell(stage.name, "")
                ran.append(stage.name)
            seconds[stage.name] = state.seconds(stage.name)
        stages.track()
    return _summary(config, stages, seconds, tuple(ran))


def _summary(config: Config, stages: Stages, seconds: Mapping[str, float], ran: tuple[str, ...]) -> Summary:
    manifest = release.read_manifest(stages.run.export)
    run = stages.run.path
    runs = [run] if stages.baseline is None else [run, stages.baseline.path]
    metric = manifest.task.metric
    search = records.search(run)
    measured = search.finalists
    shares = shares_said([item.to_json() for item in search.budgets])
    chosen = (f"{name}: {choice.said}" for name, choice in runtimes.read(run).items())
    said = (*chosen, *shares, *(measured.warnings if measured else ()), *search.alarms)
    return Summary(
        config.folder,
        run,
        stages.run.report,
        manifest.verifications,
        metric,
        {r.name: records.trained(r).test_value for r in runs},
        None if stages.baseline is None else against.read(run),
        seconds,
        ran,
        measured.why_little if measured else "",
        tuple(text for text in said if not use.is_warning(text)),  # that is said of what ships
    )


__all__ = [
    "STAGES",
    "UNCHANGED",
    "Config",
    "ForeseenRun",
    "ForeseenStage",
    "Summary",
    "Tell",
    "foreseen",
    "make",
    "read",
    "run",
    "template",
]
