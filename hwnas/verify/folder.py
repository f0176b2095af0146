"""What can be said about a shipping folder without data and without a device."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwnas import release, runtimes
from hwnas.errors import ExportError, HwnasError, ParityError, in_words
from hwnas.export import metadata, parity
from hwnas.release import Manifest, ShippedModel, probes
from hwnas.runtimes.base import Values, arrays
from hwnas.tasks import Task


@dataclass(frozen=True)
class CheckedFolder:
    """A shipping folder whose files are whole and agree with each other.

    Attributes:
        path: Where it is.
        manifest: Its manifest.
        preprocessing: Content of ``preprocessing.json``.
        labels: Content of ``labels.txt``.
    """

    path: Path
    manifest: Manifest
    preprocessing: Mapping[str, Any]
    labels: tuple[str, ...]

    @property
    def task(self) -> Task:
        """What its network is for."""
        return self.manifest.task


def read(path: Path) -> CheckedFolder:
    """Read a folder; hashes, labels and embedded metadata must agree.

    Raises:
        SchemaMismatch: The manifest or the probes are of another version.
        HwnasError: A file is missing, was changed, or contradicts another one.
    """
    manifest = release.read_manifest(path)
    how = release.read_json(path, release.PREPROCESSING, "the preprocessing of a shipping folder")
    folder = CheckedFolder(path, manifest, how, tuple(release.read_labels(path)))
    for model in manifest.models:
        _require_same_metadata(folder, model)
    return folder


def answers_to_probes(folder: CheckedFolder) -> dict[str, tuple[str, ...]]:
    """Failures by file name: who no longer answers to the probes as PyTorch did at export.

    Raises:
        SchemaMismatch: The probes are damaged.
        HwnasError: The models do not answer what the labels are of, or do not read images of the size
            that the preprocessing makes.
    """
    recorded = release.read_json(folder.path, release.PROBES, "the probes of a shipping folder")
    images = _probes(folder.preprocessing)
    found = {}
    for model in folder.manifest.models:
        answered = _run(folder, model, images)
        shapes = tuple(each.shape[1:] for each in arrays(answered))
        if not folder.task.fits(shapes if len(shapes) > 1 else shapes[0], folder.labels):
            raise HwnasError(
                "labels must be those of the answers of a model, but "
                f"{release.LABELS} has {len(folder.labels)} and {model.file} answers with "
                f"{', '.join(map(str, shapes))}: export again"
            )
        found[model.file] = _compare(model, recorded, answered)
    return found


def _compare(model: ShippedModel, recorded: Mapping[str, Any], answered: Values) -> tuple[str, ...]:
    """Both fp32 models must answer as PyTorch did, one in whole numbers as it did itself."""
    is_fp32 = model.precision == "fp32"
    expected = probes.answers(recorded, probes.PYTORCH if is_fp32 else model.file)
    max_error, sqnr_db = parity.differences(expected, probes.thinned(answered))
    if is_fp32 and not max_error <= parity.FP32_TOLERANCE:
        return (
            f"answers to the probes must be within {parity.FP32_TOLERANCE:g} of those of the exported "
            f"network, but differ by {max_error:.3g}: this is another model",
        )
    if is_fp32 or sqnr_db is None:
        return ()
    least = parity.SQNR_DB[model.precision]
    if not sqnr_db >= least:
        return (
            f"answers to the probes must agree with those at export to {least:.0f} dB, "
            f"but do to {sqnr_db:.1f} dB: this is another model, or its {model.precision} kernels are wrong "
            "here",
        )
    return ()


def _run(folder: CheckedFolder, model: ShippedModel, images: Values) -> Values:
    try:
        return runtimes.run(folder.path / model.file, model.runtime, images)
    except (ExportError, ParityError) as error:
        raise HwnasError(f"{folder.path / model.file} must run as it did at export, but: {error}") from error


def normalized(how: Mapping[str, Any], images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Images as the preprocessing data say, same shape (n, channels, height, width).

    Raises:
        HwnasError: The preprocessing does not say how.
    """
    try:
        mean, std = (np.array(how[name], np.float32).reshape(1, -1, 1, 1) for name in ("mean", "std"))
        if images.shape[1] != mean.size:
            raise HwnasError(
                f"images must have the {mean.size} channels that {release.PREPROCESSING} names, but have "
                f"{images.shape[1]}: give images like those that the network was trained on"
            )
        return ((images.astype(np.float32) * np.float32(how["scale"]) - mean) / std).astype(np.float32)
    except (KeyError, TypeError, ValueError) as error:
        raise _odd(error) from error


def _probes(how: Mapping[str, Any]) -> NDArray[np.float32]:
    """The probes as the preprocessing data say, shape (8, 3, height, width)."""
    try:
        height, width, channels = how["resize"]["height"], how["resize"]["width"], len(how["mean"])
        images = probes.images(channels, height, width)
    except (KeyError, TypeError, ValueError) as error:
        raise _odd(error) from error
    return normalized(how, images)


def _odd(error: Exception) -> HwnasError:
    return HwnasError(
        f"{release.PREPROCESSING} must hold resize, scale, mean and std, but: {in_words(error)}: export again"
    )


def _require_same_metadata(folder: CheckedFolder, model: ShippedModel) -> None:
    path = folder.path / model.file
    text = metadata.embedded(path.read_bytes(), model.runtime)
    try:
        inside = json.loads(text) if text is not None else None
    except json.JSONDecodeError:
        inside = None
    outside = {"preprocessing": folder.preprocessing, "labels": list(folder.labels)}
    if not isinstance(inside, dict):
        raise HwnasError(f"{path} must carry its preprocessing and labels, but does not: export again")
    for name, file in (("preprocessing", release.PREPROCESSING), ("labels", release.LABELS)):
        if not release.same(inside.get(name), outside[name]):
            raise HwnasError(
                f"the {name} inside {path} must be those of {file}, but they differ: export again"
            )
