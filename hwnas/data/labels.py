"""From labels as people store them to numbers from 0, without losing or inventing a class."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwnas.data import names
from hwnas.data.images import some
from hwnas.errors import DataError

_LARGEST = 2**53  # whole numbers up to here are the same as floats


_MISSING = ("nan", "<na>", "none", "null")  # what tables write where there is no label


def encode(
    parts: Mapping[str, NDArray[Any]], where: str, class_names: tuple[str, ...] | None = None
) -> tuple[tuple[str, ...], dict[str, NDArray[np.int64]]]:
    """Class names and labels from 0 of each split.

    Labels may be whole numbers, words, truth values or one-hot rows. Without names, every label
    of the training split is a class, in order.

    Args:
        parts: By split, "train" among them; arrays of labels.
        where: What the source is called in errors.
        class_names: Name of each number, where the source says them.

    Raises:
        DataError: A label is missing, is no whole number from 0, or does not occur in training.
    """
    whole = {split: _values(array, f"{where} ({split})") for split, array in parts.items()}
    if len({array.dtype.kind for array in whole.values()}) > 1:
        raise DataError(f"labels must be numbers or words in all splits, but {where} mixes them")
    if class_names is not None and whole["train"].dtype.kind == "i":
        _require_named(whole, class_names, where)
        return names.check_class_names(class_names), whole
    known = np.unique(whole["train"])
    for split, array in whole.items():
        strange = np.setdiff1d(array, known)
        if len(strange):
            raise DataError(
                f"{split} labels must occur in training, but {where} has {np.isin(array, strange).sum()} "
                f"that do not ({some(map(str, strange))}): remove those images, or add some to training"
            )
    numbers = {split: np.searchsorted(known, array).astype(np.int64) for split, array in whole.items()}
    words = [str(value) for value in known]
    if known.dtype.kind != "i" and (lost := [word for word in words if word.strip().casefold() in _MISSING]):
        raise DataError(
            f"each image must have a label, but {where} has some that stand for none "
            f"({', '.join(map(repr, lost))}): remove those images, or name the class otherwise"
        )
    return names.check_class_names(words), numbers


def _require_named(parts: Mapping[str, NDArray[np.int64]], class_names: tuple[str, ...], where: str) -> None:
    largest = max(int(array.max()) for array in parts.values())
    if largest >= len(class_names):
        raise DataError(
            f"every label must have a name, but {where} has a label {largest} and {len(class_names)} names: "
            "correct the names, or remove the images"
        )


def _values(labels: NDArray[Any], where: str) -> NDArray[Any]:
    """Shape (n,), int64 or words."""
    if labels.ndim == 2 and labels.shape[1] > 1:
        labels = _from_one_hot(labels, where)
    if labels.ndim not in (1, 2) or labels.size == 0:
        raise DataError(f"labels must be one for each image, but {where} has {_of_shape(labels)}")
    labels = labels.reshape(-1)
    kind = labels.dtype.kind
    if kind == "b":
        return labels.astype(str)
    if kind == "U":
        return labels
    if kind == "S":
        return _decoded(labels, where)
    if kind not in "iuf":
        raise DataError(f"labels must be whole numbers from 0, or words, but {where} has {labels.dtype}")
    return _from_numbers(labels, where)


def _from_numbers(labels: NDArray[Any], where: str) -> NDArray[np.int64]:
    if not np.isfinite(labels).all():
        rows = np.flatnonzero(~np.isfinite(labels))
        raise DataError(
            f"every image must have a label, but {where} has {len(rows)} without (row {rows[0]} is "
            f"{labels[rows[0]]}): remove those images"
        )
    bad = (labels < 0) | (labels > _LARGEST)
    if labels.dtype.kind == "f":
        bad |= labels != np.floor(labels)
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise DataError(
            f"labels must be whole numbers from 0, but {where} has {bad.sum()} others (row {row} is "
            f"{labels[row]}): number the classes from 0"
        )
    return labels.astype(np.int64)


def _from_one_hot(labels: NDArray[Any], where: str) -> NDArray[np.int64]:
    if labels.dtype.kind not in "biuf" or not (((labels == 0) | (labels == 1)).all(axis=1)).all():
        raise DataError(f"labels must be one for each image, but {where} has {_of_shape(labels)}")
    chosen = (labels == 1).sum(axis=1)
    if (chosen != 1).any():
        row = int(np.flatnonzero(chosen != 1)[0])
        raise DataError(
            f"every image must be of one class, but row {row} of {where} is of {chosen[row]}: hwnas learns "
            "one class an image"
        )
    found: NDArray[np.int64] = labels.argmax(axis=1).astype(np.int64)
    return found


def _decoded(labels: NDArray[Any], where: str) -> NDArray[Any]:
    try:
        return np.char.decode(labels, "utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"labels must be UTF-8, but {where} has others: {error}") from error


def _of_shape(labels: NDArray[Any]) -> str:
    return f"{labels.dtype} of shape {labels.shape}"
