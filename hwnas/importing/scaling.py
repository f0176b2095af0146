"""How a network wants its images scaled: what its file says, or whoever imports it.

A mean and a standard deviation a channel, of pixels from 0 to 1. A file says it in the text that this project
embeds, a TFLite file also in the metadata that Google's tools write, of pixels from 0 to 255.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import flatbuffers
from flatbuffers import number_types
from flatbuffers.table import Table

from hwnas.errors import ExportError, HwnasError
from hwnas.export import _flatbuffer, metadata

BY_OPTIONS = "options"
_PIXEL = 255.0
_GOOGLES = "TFLITE_METADATA"
_DAMAGES = (struct.error, IndexError, TypeError, ValueError, KeyError, AttributeError)

# where fields are in a table of metadata_schema.fbs: 4 + 2 * their number
_SUBGRAPHS, _INPUTS, _UNITS, _KIND, _OPTIONS, _MEAN, _STD = 10, 8, 12, 4, 6, 4, 6
_NORMALISES = 1  # of the kinds of process units


@dataclass(frozen=True)
class InputScale:
    """What is taken off pixels from 0 to 1 and what they are then divided by.

    Attributes:
        mean: One number a channel.
        std: One number a channel.
        said_by: ``BY_OPTIONS``, "file", or "nobody" where pixels are taken as they are.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    said_by: str = BY_OPTIONS


def scale_of(
    mean: Sequence[float] | None, std: Sequence[float] | None, said: InputScale | None, channels: int
) -> InputScale:
    """The scale that was asked for, else that of the file, else none.

    Args:
        mean: One number, or one a channel; 0 where only ``std`` is given.
        std: One number, or one a channel; 1 where only ``mean`` is given.
        said: What the file says.
        channels: Of an image.

    Raises:
        HwnasError: They are not as many as there are channels, or cannot be.
    """
    by = BY_OPTIONS
    if mean is None and std is None:
        by = "nobody"
        if said is not None:
            mean, std, by = said.mean, said.std, said.said_by
    means = _as_many("mean", [0.0] if mean is None else mean, channels)
    stds = _as_many("std", [1.0] if std is None else std, channels)
    if min(stds) <= 0:
        raise HwnasError(f"std must be positive, but got {', '.join(f'{value:g}' for value in stds)}")
    return InputScale(means, stds, by)


def _as_many(name: str, values: Sequence[float], channels: int) -> tuple[float, ...]:
    given = tuple(float(value) for value in values)
    if len(given) not in (1, channels) or not all(map(math.isfinite, given)):
        raise HwnasError(
            f"{name} must be one number or one for each of the {channels} channels of an image, but got "
            f"{', '.join(f'{value:g}' for value in given) or 'none'}"
        )
    return given * (channels // len(given))


def of_embedded(content: bytes, runtime: str) -> InputScale | None:
    """What this project wrote into a model file; None where there is nothing.

    Args:
        content: Of the file.
        runtime: Name of the runtime that it is for.
    """
    try:
        how = json.loads(metadata.embedded(content, runtime) or "")["preprocessing"]
        return _scale(how["mean"], how["std"])
    except (*_DAMAGES, ExportError):
        return None


def of_tflite(content: bytes) -> InputScale | None:
    """What the metadata of a TFLite file say; None where they say nothing that can be read."""
    try:
        found = _flatbuffer.metadata(content).get(_GOOGLES)
        return None if found is None else _of_first_image(found)
    except (*_DAMAGES, ExportError):
        return None


def _of_first_image(content: bytes) -> InputScale | None:
    """Of the first input's process units the one that normalises."""
    root = Table(content, flatbuffers.encode.Get(number_types.UOffsetTFlags.packer_type, content, 0))
    for graph in _tables(root, _SUBGRAPHS):
        for image in [*_tables(graph, _INPUTS)][:1]:
            for unit in _tables(image, _UNITS):
                kind = unit.Offset(_KIND)
                if kind and unit.Get(number_types.Uint8Flags, unit.Pos + kind) == _NORMALISES:
                    options = Table(unit.Bytes, unit.Indirect(unit.Pos + unit.Offset(_OPTIONS)))
                    mean, std = (list(_floats(options, field)) for field in (_MEAN, _STD))
                    return _scale((v / _PIXEL for v in mean), (v / _PIXEL for v in std))
    return None


def _tables(table: Table, field: int) -> Iterable[Table]:
    """The tables of a list in a table."""
    offset = table.Offset(field)
    for number in range(table.VectorLen(offset) if offset else 0):
        yield Table(table.Bytes, table.Indirect(table.Vector(offset) + 4 * number))


def _floats(table: Table, field: int) -> Iterable[float]:
    """The numbers of a list in a table."""
    offset = table.Offset(field)
    for number in range(table.VectorLen(offset) if offset else 0):
        yield table.Get(number_types.Float32Flags, table.Vector(offset) + 4 * number)


def _scale(mean: Iterable[Any], std: Iterable[Any]) -> InputScale | None:
    found = tuple(map(float, mean)), tuple(map(float, std))
    is_scale = found[0] and found[1] and all(map(math.isfinite, sum(found, ()))) and min(found[1]) > 0
    return InputScale(*found, said_by="file") if is_scale else None
