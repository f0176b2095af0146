"""What a run would do: which stages are done, which are left, what is measured. Nothing is written for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from hwnas import device as devices
from hwnas import spaces
from hwnas.device import Device
from hwnas.measure import ProfileOptions
from hwnas.measure.foresight import Foreseen
from hwnas.measure.foresight import foreseen as of_profile
from hwnas.pipeline.stages import Stages
from hwnas.pipeline.state import RunState
from hwnas.settings.config import Config

_MEASURES = {
    "runtimes": "runtimes are measured to choose one",
    "search": "finalists are measured",
    "verify": "each file is measured",
}


@dataclass(frozen=True)
class ForeseenStage:
    """One stage of a run.

    Attributes:
        name: Of the stage.
        is_done: Whether it is skipped as it is.
        seconds: What it took when it was last finished; None where it never was.
        measures: What is measured in it; empty where nothing is.
    """

    name: str
    is_done: bool
    seconds: float | None
    measures: str = ""


@dataclass(frozen=True)
class ForeseenRun:
    """What is left of a run.

    Attributes:
        stages: In their order. After the first that is left all are, as each reads what those before write.
        profile: What is left to be measured for latency tables; empty where nothing is, or where runtimes
            are yet to be chosen.
    """

    stages: tuple[ForeseenStage, ...]
    profile: tuple[Foreseen, ...]

    def to_json(self) -> dict[str, Any]:
        """All of it as JSON."""
        return {
            "stages": [asdict(stage) for stage in self.stages],
            "profile": [item.to_json() for item in self.profile],
        }


def foreseen(config: Config, *, there: Sequence[Device] = ()) -> ForeseenRun:
    """What ``run`` would do with the same config; reads the images where they say how many classes there are.

    Args:
        config: What is wanted.
        there: Where to measure, instead of where the config says.

    Raises:
        HwnasError: The config, the images or what is in the folder cannot be used.
    """
    state = RunState(config.folder, is_kept=False)
    found = list(there) or [devices.load(name) for name in config.basics.device]
    stages = Stages(config, found, state)
    done: list[str] = []
    for stage in stages:
        if not state.is_done(stage):
            break
        done.append(stage.name)
    told = tuple(
        ForeseenStage(name, name in done, state.took(name), "" if name in done else _MEASURES.get(name, ""))
        for name in stages.names
    )
    left = [stage.name for stage in told if not stage.is_done]
    return ForeseenRun(told, tuple(_profile(config, stages, found)) if left[:1] == ["profile"] else ())


def _profile(config: Config, stages: Stages, found: Sequence[Device]) -> list[Foreseen]:
    space, options = spaces.load(stages.space), ProfileOptions(**config.profile)
    return [
        item
        for device in found
        for item in of_profile(
            device,
            space,
            [target for target in stages.targets if target.device == device.name],
            stages.tables / device.name,
            options,
        )
    ]
