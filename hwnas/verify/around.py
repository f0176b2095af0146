"""Times what stands around a network, by the programs that ship, on the machine that hwnas runs on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import numpy as np

from hwnas import release, runtimes
from hwnas.device import Device
from hwnas.errors import HwnasError
from hwnas.release import ShippedModel, probes
from hwnas.release.verification import VariantCheck
from hwnas.runs.around import Around
from hwnas.tables.measurement import MIN_ROUNDS, interval_of_rounds
from hwnas.verify.folder import CheckedFolder

if TYPE_CHECKING:
    from hwnas.data import Dataset

_PICTURES = 8  # at most; fewer where they are large
_PIXELS = 8_000_000  # of all of them
_TIMES = 3  # as many rounds as of a latency, for they follow on each other at once
_LONGEST_S = 180.0
_WHAT = "what preparing a picture and reading its answer"
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


def completed(
    checked: CheckedFolder,
    device: Device,
    variants: Sequence[VariantCheck],
    dataset: Dataset | None,
    rounds: int,
    on_step: Callable[[str], None],
) -> tuple[tuple[VariantCheck, ...], list[str]]:
    """Variants with what preparing pictures and reading answers takes, and notes on where that is not known.

    Those that a budget was asked for, or all where there is none, as far as they were measured.

    Args:
        checked: The folder.
        device: Where the variants were measured.
        variants: What was found there.
        dataset: Its test images are prepared; without them it is the probes.
        rounds: That a latency is measured in at least.
        on_step: Called with a line for people before each program is run.
    """
    measured = [item for item in variants if item.measured_ms is not None]
    wanted = [item for item in measured if item.budget_ms is not None] or measured
    if not wanted:
        return tuple(variants), []
    if device.transport != "local":
        said = f"{_WHAT} take on {device.name} is not known: the programs that do it are timed only "
        said += "on the machine that hwnas runs on"
        return tuple(variants), [said]
    found, notes, files = {}, [], {item.file for item in wanted}
    with tempfile.TemporaryDirectory(prefix="hwnas-") as name:
        pictures = _Pictures(checked, dataset, Path(name))
        for model in (each for each in checked.manifest.models if each.file in files):
            on_step(f"preparing pictures and reading answers of {model.file}")
            try:
                found[model.file] = pictures.times(model, _TIMES * rounds)
            except HwnasError as error:
                notes.append(str(error))
    names = {item.name for item in wanted}
    return tuple(
        replace(item, around=found.get(item.file)) if item.name in names else item for item in variants
    ), notes


class _Pictures:
    """Pictures of a typical size, as files in a folder.

    Args:
        checked: The shipping folder.
        dataset: Gives the test images, at what size the network reads; they are stretched to that of the
            pictures that they were made of.
        folder: Where the files go.
    """

    def __init__(self, checked: CheckedFolder, dataset: Dataset | None, folder: Path) -> None:
        from PIL import Image

        self._checked, self._folder = checked, folder
        height, width = (checked.preprocessing["resize"][name] for name in ("height", "width"))
        wide, high = checked.manifest.data.get("picture_size", (width, height))
        self.size, self.shown = (wide, high), "probes" if dataset is None else "test images"
        count = max(1, min(_PICTURES, _PIXELS // (wide * high)))
        if dataset is None:
            channels = len(checked.preprocessing["mean"])
            images = probes.images(channels, height, width)[:count]
        else:
            images = checked.task.sample(dataset, "test", count).images
        self.given = list[str]()
        for number, image in enumerate(images):
            paths = [folder / f"{number}.{first}.ppm" for first in range(0, len(image), 3)]
            for path, picture in zip(paths, np.split(image, len(paths)), strict=True):
                Image.fromarray(picture.transpose(1, 2, 0)).resize(self.size).save(path)
            self.given.append(",".join(map(str, paths)))

    def times(self, model: ShippedModel, rounds: int) -> Around:
        """What a model's program takes.

        Raises:
            HwnasError: There is none, or another one, or it does not do its work.
        """
        program = runtimes.get(model.runtime).example
        self._require_own(program, model)
        done = self._run(program, model, rounds)
        steps = {name: (median(ms), _interval(ms)) for name, ms in done.items()}
        preparing, reading = steps["preparing_ms"], steps["reading_ms"]
        return Around(program, *preparing, *reading, len(self.given), self.size, self.shown, rounds)

    def _require_own(self, program: str, model: ShippedModel) -> None:
        """No program of a folder is run that this version of hwnas did not write."""
        if not program:
            raise _unknown(model, f"no program ships for {model.runtime}")
        own, path = release.program(program, self._checked.task.example), self._checked.path / program
        if not path.is_file() or path.read_bytes() != own.encode():
            raise _unknown(model, f"{program} is not as this version of hwnas writes it: export again")

    def _run(self, program: str, model: ShippedModel, rounds: int) -> dict[str, list[float]]:
        """Milliseconds of each step, one number a round."""
        folder = self._checked.path.resolve()
        given = [str(rounds), *self.given, str(folder / model.file)]
        try:
            done = subprocess.run(
                [sys.executable, "-I", str(folder / program), "--time", *given],
                capture_output=True,
                check=True,
                cwd=self._folder,
                env={**os.environ, **_ONE_THREAD},
                timeout=_LONGEST_S,
            )
        except subprocess.TimeoutExpired as error:
            why = f"{program} took longer than {_LONGEST_S:.0f} s: measure fewer rounds"
            raise _unknown(model, why) from error
        except subprocess.CalledProcessError as error:
            last = error.stderr.decode(errors="replace").strip().rpartition("\n")[2]
            raise _unknown(model, f"{program} ended with {last or error.returncode}") from error
        found: dict[str, list[float]] = json.loads(done.stdout)
        return found


def _unknown(model: ShippedModel, why: str) -> HwnasError:
    return HwnasError(f"{_WHAT} take with {model.file} is not known: {why}")


def _interval(values: Sequence[float]) -> tuple[float, float] | None:
    return interval_of_rounds(values) if len(values) >= MIN_ROUNDS else None
