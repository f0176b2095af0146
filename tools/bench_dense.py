"""What is a searched segmenter or detector worth beside a known one, in the same measured milliseconds?

    python tools/bench_dense.py --data nuclei/ --resolution 128 --seeds 0 1 --work DIR > segmentation.json
    python tools/bench_dense.py --task detection --data cards/ --resolution 320 --work DIR > detection.json
    python tools/bench_dense.py --resolution 256 --network mobilenetv3-large --from-seed --work DIR

The budget is what a known network (``--baseline``) takes on this machine in int8, measured with random
weights. For each seed a pretrained network with the task's usual decoder is adapted to the images, its space
is profiled, searched under that budget, and what is found is trained: all of it by the product's own
functions and defaults. Beside it stand, trained with the same seed: the baseline from nothing, as no weights
of it can be had everywhere, for several times as many epochs; and the pretrained network with the baseline's
decoder, cut to the width that is measured to be as fast, adapted as the first one was. With ``--from-seed``
no network is pretrained: both that would be begin with random weights, as the baseline does. Epochs are
chosen on validation images; the exported int8 files answer the test images through their runtime. In the end
all files are measured in one session. Differences are in pairs on the same test images (bootstrap over
images). One JSON object on standard output; with ``--work`` everything is kept, and a bench that was cut off
goes on.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _bench import environment, made_folder, parser, report, say, target
from torch import nn

import hwnas
from hwnas import device, export, files, known, release, spaces, tasks
from hwnas.compare import match
from hwnas.data import Dataset
from hwnas.errors import SpaceError
from hwnas.finalists import SearchOptions
from hwnas.known import pretrained
from hwnas.measure import Measurer, measured
from hwnas.release.images import predicted
from hwnas.runs import records
from hwnas.runs.folder import RunFolder
from hwnas.space import Architecture
from hwnas.tasks.base import Predictions
from hwnas.train import TrainConfig, fit, new_network
from hwnas.train.adapting import adapted, space_of
from hwnas.train.checkpoint import load_weights, save_weights
from hwnas.train.optim import pick_device
from hwnas.train.training import dataset_of

FOUND, NOTHING, CUT, TEACHER = "found", "baseline from nothing", "cut to the same time", "teacher"
TARGET = device.Target("host", "litert", "int8")
_DEVICE = pick_device("auto").type
"""What trains, here as by default in the product: an NVIDIA GPU where there is one."""
_CALIBRATION = 256
_USUAL = {
    "segmentation": ("mobilenetv3-small+lraspp128", "nuclei", 128),
    "detection": ("mobilenetv2+ssdlite128", "cards", 320),
}
"""Of each task the baseline, the pictures and their size."""


@dataclass(frozen=True)
class Trained:
    """A network that is trained, and what its exported int8 file says of the test images.

    Attributes:
        name: Of the network.
        file: The int8 model.
        fp32: What PyTorch says.
        int8: What the file says through its runtime.
    """

    name: str
    file: Path
    fp32: Predictions
    int8: Predictions


@dataclass(frozen=True)
class Bench:
    """One seed.

    Attributes:
        folder: Where everything of it is kept.
        seed: Of all randomness.
        options: Of the bench.
    """

    folder: Path
    seed: int
    options: argparse.Namespace

    @cached_property
    def teacher(self) -> Path:
        """The adapted network."""
        options = self.options
        return self._adapted("teacher", options.network, options.teacher_epochs)

    def _adapted(self, folder: str, name: str, epochs: int | None) -> Path:
        options = self.options
        say(f"seed {self.seed}: adapting {name}")
        return adapted(
            self.folder / folder,
            name,
            options.data,
            resolution=options.resolution,
            task=options.task,
            from_seed=options.from_seed,
            config=TrainConfig(epochs=epochs, seed=self.seed, device=_DEVICE),
        )

    @cached_property
    def data(self) -> Dataset:
        """The images, as the pretrained network expects them."""
        return dataset_of(records.trained(self.teacher).data)

    @cached_property
    def baseline(self) -> Architecture:
        """The known network that sets the budget."""
        outputs = tasks.of(self.data).outputs(self.data)
        return known.load(self.options.baseline, resolution=self.options.resolution, num_classes=outputs)

    @cached_property
    def found(self) -> Path:
        """Run folder of what the search finds in the baseline's time."""
        tables, run = self.folder.parent / "tables", self.folder / "found"
        if RunFolder(run).train.exists():
            return run
        space = spaces.load(space_of(self.teacher))
        hwnas.profile(space, runtimes=[TARGET.runtime], precisions=[TARGET.precision], out=tables / "host")
        hwnas.search(
            None,
            {str(TARGET): self.budget_ms},
            run,
            teacher=self.teacher,
            seed=self.seed,
            options=SearchOptions(tables=tables, gallery_points=0),
            warn=say,
        )
        hwnas.train(run, **({"epochs": self.options.epochs} if self.options.epochs else {}))
        return run

    @cached_property
    def budget_ms(self) -> float:
        """What the baseline takes; seeds share it, and the tables."""
        path = self.folder.parent / "budget.json"
        if not path.exists():
            with Measurer(device.load("host")) as measurer:
                models = {"baseline": match.untrained(self.baseline, TARGET)}
                ms = measured(measurer.measure(TARGET, models))["baseline"].latency_ms
            files.write_json(path, {"ms": ms})
        return float(files.read_json(path, "the budget")["ms"])

    @cached_property
    def cut(self) -> Path:
        """The pretrained network with the baseline's decoder, cut to the width that is nearest in time.

        Where no weights can be cut out that narrow, the narrowest that there are; it is slower then.
        """
        path = self.folder / "cut.json"
        family = f"{known.named(self.options.network).family}+{known.named(self.options.baseline).decoder}"
        if not path.exists():
            model = self.folder / "baseline.tflite"
            files.write_atomic(model, match.untrained(self.baseline, TARGET))
            with Measurer(device.load("host")) as measurer:
                best, _ = match.nearest(family, self.baseline, model, measurer, TARGET, say)
            name = best.name if self.options.from_seed else _narrowest(best.name)
            files.write_json(path, {"name": name})
        name = str(files.read_json(path, "the width")["name"])
        return self._adapted("cut", name, self.options.teacher_epochs)

    def nothing(self) -> Path:
        """Weights of the baseline, trained from nothing."""
        path = self.folder / "nothing.safetensors"
        if not path.exists():
            say(f"seed {self.seed}: {self.options.baseline} from nothing")
            model = new_network(self.baseline, self.seed)
            config = TrainConfig(epochs=self.options.nothing_epochs, seed=self.seed, device=_DEVICE)
            fit(model, self.data, config)
            save_weights(model, path, {"architecture": self.baseline.to_json()})
        return path

    def shipped(self, name: str, arch: Architecture, weights: Path) -> Trained:
        """A network's int8 file, and what both say of the test images."""
        model: nn.Module = new_network(arch, 0)
        load_weights(model, weights)
        sample = tasks.of(self.data).sample(self.data, "train", _CALIBRATION)
        lowered = export.lower(
            model.eval(),
            arch.space.input_shape,
            TARGET.runtime,
            TARGET.precision,
            calibration=self.data.normalize(sample.images),
            check=False,
        )
        file = self.folder / f"{name.replace(' ', '-')}.tflite"
        files.write_atomic(file, lowered.model)
        fp32 = predicted(model, self.data, self.data.test)
        return Trained(
            name, file, fp32, release.predicted_by(file, TARGET.runtime, self.data, self.data.test)
        )

    def all(self) -> list[Trained]:
        """Every network of this seed."""
        runs = {TEACHER: self.teacher, FOUND: self.found, CUT: self.cut}
        made = [
            self.shipped(name, spaces.architecture_from_json(records.arch(run)), RunFolder(run).weights)
            for name, run in runs.items()
        ]
        return [*made, self.shipped(NOTHING, self.baseline, self.nothing())]


def _narrowest(name: str) -> str:
    """The first width from that of a name on of which there are weights."""
    said = known.named(name)
    for percent in range(round(100 * said.width), 101):
        try:
            pretrained.weights_of(said.at(percent / 100))
        except SpaceError:
            continue
        return said.at(percent / 100)
    return said.at(1.0)


def main() -> None:
    """Adapt, search, train, ship, measure, print."""
    options = _options()
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as name:
        folder, began = options.work or Path(name), time.monotonic()
        benches = [Bench(made_folder(str(folder / str(seed))), seed, options) for seed in options.seeds]
        networks = {bench.seed: bench.all() for bench in benches}
        seconds = time.monotonic() - began
        with Measurer(device.load("host")) as measurer:
            models: dict[str, Path | bytes] = {
                f"{seed} {each.name}": each.file for seed, found in networks.items() for each in found
            }
            session = measured(measurer.measure(TARGET, models))
    seeds = {str(bench.seed): _seed(bench, networks[bench.seed], session) for bench in benches}
    task = tasks.get(options.task)
    over = {
        name: task.difference(
            [_named(found, FOUND).int8 for found in networks.values()],
            [_named(found, name).int8 for found in networks.values()],
        ).to_json()
        for name in (NOTHING, CUT, TEACHER)
    }
    found = [part["networks"][FOUND] for part in seeds.values()]
    results = {"seeds": seeds, "found_minus": over, "session": session.quality.word, "seconds": seconds}
    lost = max(each["fp32"]["value"] - each["int8"]["value"] for each in found)
    report(
        options,
        results,
        [
            target("found over the baseline", over[NOTHING]["mean"], ">=", 0.01),
            target("found over the cut network", over[CUT]["mean"], ">=", 0.01),
            target("share of budgets kept", float(np.mean([each["kept"] for each in found])), ">=", 1.0),
            target("most that int8 loses", lost, "<=", 0.01),
        ],
        environment("torch", training=_DEVICE),
    )


def _seed(bench: Bench, networks: list[Trained], session: Any) -> dict[str, Any]:
    rows = {}
    for each in networks:
        row = session[f"{bench.seed} {each.name}"]
        rows[each.name] = {
            "ms": row.latency_ms,
            "interval_ms": row.interval_ms,
            "kept": row.latency_ms <= bench.budget_ms,
            **{
                kind: {"value": of.value, "interval": list(of.interval)}
                for kind, of in (("fp32", each.fp32), ("int8", each.int8))
            },
        }
    return {"budget_ms": bench.budget_ms, "cut": bench.cut.name, "networks": rows}


def _named(networks: list[Trained], name: str) -> Trained:
    return next(each for each in networks if each.name == name)


def _options() -> argparse.Namespace:
    found = parser(__doc__, seeds=[0, 1])
    found.add_argument("--data", help="pictures; those of the task in shared data by default")
    found.add_argument("--task", default="segmentation", choices=tuple(_USUAL))
    found.add_argument("--network", default="efficientnet-lite0")
    found.add_argument("--from-seed", action="store_true", help="the network begins with random weights")
    found.add_argument(
        "--baseline", help="of the task by default: " + ", ".join(n for n, *_ in _USUAL.values())
    )
    found.add_argument("--resolution", type=int)
    found.add_argument("--teacher-epochs", type=int, help="those of `hwnas train --from` by default")
    found.add_argument("--epochs", type=int, help="of what is found; those of `hwnas train` by default")
    found.add_argument("--nothing-epochs", type=int, default=60, help="of the baseline from nothing")
    found.add_argument("--threads", type=int, default=2)
    found.add_argument("--work", type=made_folder, help="folder to keep everything in")
    options = found.parse_args()
    baseline, data, resolution = _USUAL[options.task]
    shared = Path(__file__).resolve().parents[2] / "shared" / "data" / data
    options.baseline, options.data = options.baseline or baseline, options.data or str(shared)
    options.resolution = options.resolution or resolution
    return options


if __name__ == "__main__":
    main()
