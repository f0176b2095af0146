"""Packs plain data as a flatbuffer, for schemas that no Python package has classes of.

A table is a dictionary: slots of its fields, and what they hold. NumPy's scalars are numbers of their own
width, its arrays are lists of numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import flatbuffers
import numpy as np
from flatbuffers import number_types

Table = Mapping[int, Any]
"""Fields by slot: a NumPy scalar, a NumPy array, a text, a table, or a list of tables."""

_FLAGS = {
    np.dtype(kind): getattr(number_types, f"{name}Flags")
    for kind, name in {
        "?": "Bool",
        "u1": "Uint8",
        "i1": "Int8",
        "i2": "Int16",
        "u4": "Uint32",
        "i4": "Int32",
        "u8": "Uint64",
        "f4": "Float32",
    }.items()
}


def pack(root: Table, identifier: bytes) -> bytes:
    """A buffer that begins with a table.

    Args:
        root: The table.
        identifier: Four bytes that say of which schema it is.
    """
    builder = flatbuffers.Builder(1024)
    builder.Finish(_table(builder, root), file_identifier=identifier)
    return bytes(builder.Output())


def _table(builder: Any, table: Table) -> int:
    placed = {slot: _place(builder, field) for slot, field in table.items() if not _is_number(field)}
    builder.StartObject(max(table, default=-1) + 1)
    for slot, field in table.items():
        if slot in placed:
            builder.PrependUOffsetTRelative(placed[slot])
        else:
            builder.Prepend(_FLAGS[field.dtype], field.item())
        builder.Slot(slot)
    return int(builder.EndObject())


def _place(builder: Any, field: np.ndarray | str | Table | Sequence[Table]) -> int:
    """Write what a table only points at; returns where it is."""
    if isinstance(field, np.ndarray):
        return int(builder.CreateNumpyVector(field))
    if isinstance(field, str):
        return int(builder.CreateString(field))
    if isinstance(field, Mapping):
        return _table(builder, field)
    places = [_table(builder, item) for item in field]
    builder.StartVector(4, len(places), 4)
    for place in reversed(places):
        builder.PrependUOffsetTRelative(place)
    return int(builder.EndVector())


def _is_number(field: Any) -> bool:
    return isinstance(field, np.generic) and not isinstance(field, str)
