"""The whole chain on one device with settings for a first impression: minutes, not hours.

Each stage is the public function behind a verb of the command line, with fewer rounds and
steps than one would take for a network that ships.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwnas import files, latency, profile, promise, report, ship, spaces, verify
from hwnas.device import Device, Target
from hwnas.search.oneshot import OneShotConfig
from hwnas.search.run import SearchRequest, search_run
from hwnas.train import TrainConfig
from hwnas.train.run import train_run
from hwnas.verify import Verification

STAGES = ("profile", "fit", "search", "promise", "baseline", "train", "export", "verify", "report")
STRATEGY, BASELINE = "fbnet", "random"

_PROFILE = profile.ProfileOptions(
    rounds=6, max_rounds=6, samples=5, calibration_networks=14, heldout_networks=8
)
_MEASURING = profile.ProfileOptions(rounds=6, max_rounds=6, samples=5, min_round_s=0.2)
_PROMISE = promise.PromiseOptions(finalists=2, rounds=3, batch=2, scored=8, sessions=1)
_WARMUP_STEPS, _SEARCH_STEPS, _QUERIES = 400, 200, 32

Tell = Callable[[str, str], None]
"""Told (stage, what it is doing); an empty text ends the stage."""


@dataclass(frozen=True)
class Summary:
    """What came of a quickstart.

    Attributes:
        folder: Where everything is; the found network in ``folder / STRATEGY``.
        report: The HTML report.
        verification: What was measured of the exported variants.
        test_accuracy: By strategy, in PyTorch: the search, and random search as its baseline.
        seconds: Wall time by stage.
    """

    folder: Path
    report: Path
    verification: Verification
    test_accuracy: Mapping[str, float]
    seconds: Mapping[str, float]

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        return {
            "folder": str(self.folder),
            "report": str(self.report),
            "verification": self.verification.to_json(),
            "test_accuracy": dict(self.test_accuracy),
            "seconds": dict(self.seconds),
        }


def run(
    folder: Path,
    device: Device,
    *,
    space: str = "macro",
    data: str = "digits",
    budget: str = "60%",
    epochs: int = 6,
    seed: int = 0,
    tell: Tell = lambda _stage, _text: None,
) -> Summary:
    """Profile, fit, search, train, export and verify on one device, into one folder.

    Every runtime and precision of the device is a target with a budget of its own; the network
    must keep all of them.

    Args:
        folder: Created; must not hold an earlier quickstart.
        device: Where to measure. Training and searching happen on this machine.
        space: Search space.
        data: Source of images.
        budget: Milliseconds for all targets, or a share of each target's range as "60%".
        epochs: Of training from scratch.
        seed: Where all randomness comes from.
        tell: Called on the way.

    Raises:
        HwnasError: A stage failed; what the earlier ones wrote is kept in ``folder``.
    """
    stage = _Stages(tell)
    searched = spaces.load(space)
    targets = [device.target(r, p) for r in device.runtimes for p in ("int8", "fp32")]
    tables = folder / "tables"
    with stage("profile"):
        paths = profile.run(device, searched, targets, tables, _PROFILE, stage.profiling)
    with stage("fit"):
        models = _fit(paths, searched.name, folder / "latency", stage)
    found, baseline = folder / STRATEGY, folder / BASELINE
    request = _request(searched.name, data, budget, seed, models)
    with stage("search"):
        search_run(request(STRATEGY), found, live=stage.searching)
    with stage("promise"):
        promise.keep(
            found,
            rank="fp32",
            tables=tables,
            devices={device.name: device},
            options=_PROMISE,
            measuring=_MEASURING,
            tell=stage.say,
        )
    with stage("baseline"):
        supernet = found / "supernet.safetensors"
        search_run(request(BASELINE, supernet), baseline, live=stage.searching)
    with stage("train"):
        config = TrainConfig(epochs=epochs, batch_size=32, seed=seed)
        trained = {run.name: _train(run, config, stage) for run in (found, baseline)}
    with stage("export"):
        dataset = ship.load_data(trained[STRATEGY]["data"])
        manifest = ship.export_run(found, dataset, on_variant=stage.say)
    with stage("verify"):
        verification = verify.verify(manifest.parent, device, dataset, tables=tables, on_step=stage.say)
    with stage("report"):
        page = report.write(found, latencies=models, baseline=baseline)
    summary = Summary(
        folder,
        page,
        verification,
        {name: record["test_accuracy"] for name, record in trained.items()},
        stage.seconds,
    )
    files.write_json(folder / "quickstart.json", summary.to_json())
    return summary


def _fit(paths: Mapping[Target, Path], space: str, folder: Path, stage: _Stages) -> tuple[Path, ...]:
    from hwnas.table import LatencyTable

    written = []
    for target, path in paths.items():
        stage.say(str(target))
        model = latency.fit(LatencyTable.load(path), spaces.load(space))
        latency.save(model, folder / f"{target.slug}.json")
        written.append(folder / f"{target.slug}.json")
    return tuple(written)


def _request(
    space: str, data: str, budget: str, seed: int, latencies: Sequence[Path]
) -> Callable[..., SearchRequest]:
    """The request of a strategy: all that both searches share is fixed here."""
    settings = {
        STRATEGY: {"warmup_steps": _WARMUP_STEPS, "steps": _SEARCH_STEPS},
        BASELINE: {"queries": _QUERIES},
    }
    resolution = max(8, spaces.load(space).input_shape[1] // 2)

    def request(strategy: str, supernet: Path | None = None) -> SearchRequest:
        return SearchRequest(
            space=space,
            latencies=tuple(latencies),
            budgets=(budget,),
            data=data,
            strategy=strategy,
            seed=seed,
            oneshot=OneShotConfig(width=0.5, resolution=resolution, seed=seed),
            settings=settings[strategy],
            supernet=supernet,
        )

    return request


def _train(run: Path, config: TrainConfig, stage: _Stages) -> dict[str, Any]:
    def tell(record: Any) -> None:
        stage.say(f"{run.name}: epoch {record.epoch}/{config.epochs}, validation {record.val_accuracy:.1%}")

    stage.say(run.name)
    return train_run(run, config, on_epoch=tell)


class _Stages:
    """Times the stages and passes on what they say."""

    def __init__(self, tell: Tell) -> None:
        self.seconds: dict[str, float] = {}
        self._tell, self._name = tell, ""

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        self._name = name
        began = time.monotonic()
        self.say("starting")
        yield
        self.seconds[name] = time.monotonic() - began
        self.say("")

    def say(self, text: str) -> None:
        """Pass on what the stage is doing; an empty text ends it."""
        self._tell(self._name, text)

    def profiling(self, progress: profile.Progress) -> None:
        """Where a profiling run is."""
        self.say(f"{progress.target}: {progress.stage} {progress.done}/{progress.total}")

    def searching(self, record: Mapping[str, Any]) -> None:
        """Where a search is."""
        done = record.get("step", record.get("query"))
        total = record.get("steps", record.get("queries"))
        self.say(f"{record.get('phase', 'scoring')} {done}/{total}")
