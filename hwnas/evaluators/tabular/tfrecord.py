"""Reads TFRecord files, one record after the other, each checked against its checksum.

A record is its length (8 bytes), the checksum of these, as many bytes, and the checksum of those; checksums
are CRC-32C (RFC 3720), turned by 15 bits and shifted by a constant. TensorFlow is not needed.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np

from hwnas.errors import DataError

_POLYNOMIAL = 0x82F63B78  # Castagnoli's, its bits in reverse
_SHIFT = 0xA282EAD8
_AT_ONCE = 1024
_HEAD = 12


def records(path: Path) -> Iterator[bytes]:
    """The records of a file, which need not fit in memory.

    Raises:
        DataError: It cannot be read, is cut off, or a checksum is wrong; the message names the record.
    """
    number = 0
    try:
        with path.open("rb") as file:
            while head := file.read(_HEAD):
                number += 1
                length = _length(head, path, number)
                body = file.read(length + 4)
                if len(body) < length + 4:
                    raise _broken(path, number, "the file ends in it")
                if struct.unpack("<I", body[-4:])[0] != masked_crc(body[:-4]):
                    raise _broken(path, number, "its checksum is of other bytes")
                yield body[:-4]
    except OSError as error:
        raise DataError(f"a TFRecord file must be readable, but {path} is not: {error.strerror}") from error


def is_tfrecord(head: bytes) -> bool:
    """Whether a file that begins so is one: the checksum of its first length is right."""
    return len(head) >= _HEAD and struct.unpack("<I", head[8:_HEAD])[0] == masked_crc(head[:8])


def masked_crc(data: bytes) -> int:
    """The checksum as it stands in a file."""
    crc = crc32c(data)
    return (((crc >> 15) | (crc << 17)) + _SHIFT) & 0xFFFFFFFF


def crc32c(data: bytes) -> int:
    """CRC-32C of bytes.

    What a byte adds depends on itself and on how many follow, and all that is added is joined by "exclusive
    or": so a stretch of bytes is looked up at once, and the checksum until then goes into its first four.
    """
    state = 0xFFFFFFFF
    for start in range(0, len(data), _AT_ONCE):
        part = np.frombuffer(data[start : start + _AT_ONCE], np.uint8).copy()
        count = len(part)
        part[:4] ^= np.frombuffer(state.to_bytes(4, "little"), np.uint8)[:count]
        added = _tables()[np.arange(count - 1, -1, -1), part]
        state = (state >> 8 * count) ^ int(np.bitwise_xor.reduce(added))
    return state ^ 0xFFFFFFFF


@lru_cache(maxsize=1)
def _tables() -> np.ndarray:
    """What a byte adds to a checksum, by how many bytes follow it: shape (at once, 256)."""
    first: np.ndarray = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        first = (first >> 1) ^ np.where(first & 1, np.uint32(_POLYNOMIAL), np.uint32(0))
    found = [first]
    while len(found) < _AT_ONCE:
        found.append(first[found[-1] & 255] ^ (found[-1] >> 8))
    return np.array(found, dtype=np.uint32)


def _length(head: bytes, path: Path, number: int) -> int:
    if len(head) < _HEAD:
        raise _broken(path, number, "the file ends in it")
    if not is_tfrecord(head):
        raise _broken(path, number, "the checksum of its length is of other bytes")
    length: int = struct.unpack("<Q", head[:8])[0]
    return length


def _broken(path: Path, number: int, why: str) -> DataError:
    return DataError(
        f"a record must be whole, but record {number} of {path} is not: {why}: get the file again from who "
        "publishes it"
    )
