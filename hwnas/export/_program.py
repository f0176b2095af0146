"""An ExecuTorch program that does nothing but call XNNPACK once, as ExecuTorch's own exporter writes it.

Slots and numbers of kinds are those of ``program.fbs``. What XNNPACK computes follows the program in
segments of its own, and so does each of its constants, so that a device can give back what it has packed.
Before these is an empty one of the program's own constants, without which runtimes take it for an older file.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence

import numpy as np

from hwnas.export._tables import Table, pack
from hwnas.runtimes._pte_file import EXTENDED, MAGIC, XNNPACK

_HEADER = "<4sIQQQ"  # of a program with segments; stands behind its magic
_SEGMENT_ALIGNMENT = 128
_TENSOR_ALIGNMENT = 16
_TENSOR, _FLOAT = 5, 6  # of KernelTypes and of ScalarType
_DELEGATE_CALL, _SEGMENT = 2, 1  # of InstructionArguments and of DataLocation
_ARENA = 1  # memory that inputs and outputs are in


def program(
    graph: bytes,
    constants: Mapping[str, bytes],
    sources: Sequence[tuple[int, ...]],
    results: Sequence[tuple[int, ...]],
) -> bytes:
    """A ``.pte`` file with the one method ``forward``, from float32 tensors to others.

    Args:
        graph: What XNNPACK computes.
        constants: That it names.
        sources: Shapes of what goes in.
        results: Shapes of what comes out.
    """
    body, places = bytearray(), []
    for segment in (b"", graph, *constants.values()):
        body += bytes(-len(body) % _SEGMENT_ALIGNMENT)
        places.append({0: np.uint64(len(body)), 1: np.uint64(len(segment))})
        body += segment
    named = [{0: key, 1: np.uint32(number)} for number, key in enumerate(constants, 2)]
    none = {0: np.uint32(0), 1: np.array([0], np.uint64)}
    root = {0: np.uint32(0), 1: [_plan(sources, results)], 4: places, 5: none, 7: named}
    content = _with_header(pack(root, MAGIC), len(body))
    return content.ljust(_aligned(len(content), _SEGMENT_ALIGNMENT), b"\0") + bytes(body)


def _with_header(content: bytes, segment_bytes: int) -> bytes:
    """The program with a header that says where its segments begin."""
    size = len(content) + struct.calcsize(_HEADER)
    base = _aligned(size, _SEGMENT_ALIGNMENT)
    header = struct.pack(_HEADER, EXTENDED, struct.calcsize(_HEADER), size, base, segment_bytes)
    root = struct.unpack_from("<I", content)[0] + len(header)
    return struct.pack("<I", root) + content[4:8] + header + content[8:]


def _plan(sources: Sequence[tuple[int, ...]], results: Sequence[tuple[int, ...]]) -> Table:
    values, needed = [], 0
    for shape in (*sources, *results):
        values.append(_value(shape, needed))
        needed += _aligned(4 * math.prod(shape), _TENSOR_ALIGNMENT)
    ends = np.arange(len(values), dtype=np.int32)
    call = {0: np.int32(0), 1: ends}
    nothing = np.array([], np.int32)
    return {
        0: "forward",
        1: {0: "", 1: ""},
        2: values,
        3: ends[: len(sources)],
        4: ends[len(sources) :],
        5: [{0: nothing, 1: nothing, 2: [{0: np.uint8(_DELEGATE_CALL), 1: call}]}],
        6: [],
        7: [{0: XNNPACK, 1: {0: np.int8(_SEGMENT), 1: np.uint32(1)}, 2: []}],
        8: np.array([0, needed], np.int64),
    }


def _value(shape: tuple[int, ...], offset: int) -> Table:
    """A tensor that lives at a place that is planned."""
    tensor = {
        0: np.int8(_FLOAT),
        1: np.int32(0),
        2: np.array(shape, np.int32),
        3: np.arange(len(shape), dtype=np.uint8),
        4: np.bool_(False),
        5: np.uint32(0),
        6: {0: np.uint32(_ARENA), 1: np.uint32(offset % 2**32), 2: np.uint32(offset >> 32)},
        7: np.int8(0),
        8: np.int8(0),
    }
    return {0: np.uint8(_TENSOR), 1: tensor}


def _aligned(size: int, alignment: int) -> int:
    return -(-size // alignment) * alignment
