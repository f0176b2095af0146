"""Reads messages of Protocol Buffers as they stand on the wire: numbers of fields and their values.

What a field means is for who knows the message. Nothing of Google's is needed.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

_VARINT, _EIGHT, _BYTES, _FOUR = 0, 1, 2, 5
_MOST_BYTES = 10  # of a number of 64 bits


def fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """The fields of a message in their order: whole numbers, and the bytes of all others.

    Raises:
        ValueError: It is cut off, or no message.
    """
    place = 0
    while place < len(message):
        tag, place = _varint(message, place)
        kind = tag & 7
        if kind == _VARINT:
            value, place = _varint(message, place)
            yield tag >> 3, value
            continue
        length = {_EIGHT: 8, _FOUR: 4}.get(kind)
        if kind == _BYTES:
            length, place = _varint(message, place)
        if length is None or place + length > len(message):
            raise ValueError(f"field {tag >> 3} of a message is cut off")
        yield tag >> 3, message[place : place + length]
        place += length


def double(value: int | bytes) -> float:
    """A field as a number of eight bytes; raises ValueError where it is none."""
    if not isinstance(value, bytes) or len(value) != 8:
        raise ValueError(f"a number must have 8 bytes, but got {value!r}")
    found: float = struct.unpack("<d", value)[0]
    return found


def _varint(message: bytes, place: int) -> tuple[int, int]:
    """A whole number, and where it ends: seven bits a byte, the lowest first."""
    found = 0
    for count, byte in enumerate(message[place : place + _MOST_BYTES]):
        found |= (byte & 127) << 7 * count
        if byte < 128:
            return found, place + count + 1
    raise ValueError("a number of a message is cut off")
