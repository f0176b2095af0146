"""The whole chain on one device with settings for a first impression: minutes, not hours.

It is ``hwnas run`` with a config that is fixed here: fewer rounds and steps than one would take
for a network that ships, and random search under the same budgets to compare with.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hwnas import data as images
from hwnas import files, pipeline, spaces
from hwnas.device import Device
from hwnas.pipeline import STAGES, Config, Summary, Tell
from hwnas.runs import outputs
from hwnas.runs.folder import ChainFolder
from hwnas.search.settings import STRATEGY
from hwnas.tracking.base import Tracker

BASELINE = "random"
STEPS = 200
"""Of training, where no number of epochs is given: what two slow cores do in less than a minute."""


@dataclass(frozen=True)
class QuickstartOptions:
    """What may be asked of a quickstart.

    Attributes:
        space: Search space.
        data: Source of images.
        budget: Milliseconds for all targets, or a share of each target's range as "30%".
        epochs: Of training from scratch; as many as take about ``STEPS`` steps, if not given.
        seed: Where all randomness comes from.
        accept_noise: Whether a promise that is NOT PROVEN is taken all the same.
    """

    space: str = "macro"
    data: str = "clutter:10000"
    budget: str = "30%"
    epochs: int | None = None
    seed: int = 0
    accept_noise: bool = False


def run(
    folder: Path,
    device: Device,
    options: QuickstartOptions | None = None,
    tell: Tell = lambda _stage, _text: None,
    track: Sequence[str | Tracker] = (),
) -> Summary:
    """Profile, fit, search, train, export and verify on one device, into one folder.

    Every runtime and precision of the device is a target with a budget of its own; the network
    must keep all of them.

    Args:
        folder: Created; an earlier quickstart that was interrupted goes on.
        device: Where to measure. Training and searching happen on this machine.
        options: What differs from a quickstart without options.
        tell: Called on the way.
        track: Trackers that follow the runs.

    Raises:
        HwnasError: A stage failed; what the earlier ones wrote is kept in ``folder``.
    """
    outputs.require_file(ChainFolder(folder).quickstart, "the folder of a quickstart")
    summary = pipeline.run(config_of(folder, device.name, options), device=device, tell=tell, track=track)
    files.write_json(ChainFolder(folder).quickstart, summary.to_json())
    return summary


def config_of(folder: Path, device: str, options: QuickstartOptions | None = None) -> Config:
    """The config of a quickstart; see ``run``."""
    asked = options or QuickstartOptions()
    return pipeline.make(
        Path.cwd(),
        {
            "folder": str(folder),
            "device": device,
            "space": asked.space,
            "data": asked.data,
            "seed": asked.seed,
            "profile": {
                "rounds": 6,
                "max_rounds": 6,
                "samples": 5,
                "calibration_networks": 10,
                "heldout_networks": 4,
            },
            "search": {
                "strategy": STRATEGY,
                "budgets": [asked.budget],
                "supernet": {"validation_images": 1000},
                "training_steps": 600,
            },
            "promise": {
                "rank": "fp32",
                "finalists": 2,
                "rounds": 3,
                "batch": 2,
                "scored": 8,
                "sessions": 1,
                "gallery_points": 4,
                "gallery_each": 1,
                "measuring": {"rounds": 6, "max_rounds": 6, "samples": 5, "min_round_s": 0.2},
            },
            "baseline": {"strategy": BASELINE, "settings": {"queries": 32}},
            "train": {"epochs": asked.epochs or _epochs(asked)},
            "verify": {"rounds": 8, "min_round_s": 0.25, "accept_noise": asked.accept_noise},
        },
    )


def _epochs(asked: QuickstartOptions) -> int:
    from hwnas.data.batches import steps_per_epoch
    from hwnas.tasks.recipes import FROM_NOTHING

    side = spaces.load(asked.space).input_shape[1]
    count = len(images.load(asked.data, resolution=side, seed=asked.seed).train)
    return max(1, round(STEPS / steps_per_epoch(count, min(FROM_NOTHING.batch_size, count))))


__all__ = ["BASELINE", "STAGES", "STRATEGY", "QuickstartOptions", "Summary", "config_of", "run"]
