"""How the segments of ELF files are aligned: a system with larger pages than that cannot load them.

Android 15 and later also run with pages of 16 KB (developer.android.com/guide/practices/page-sizes).
"""

from __future__ import annotations

import struct

from hwnas.errors import AgentError, in_words

PAGE_BYTES = {"arm64": 16384, "x86-64": 4096}
"""Largest page, by a bundle's architecture, that its files must fit: x86-64 has no other than 4 KB."""

_MAGIC, _LOAD = b"\x7fELF", 1
_ORDER = {1: "<", 2: ">"}
# By the word size, 32 or 64 bits: format of (offset of the program headers, size of one, how many) and
# where that stands in a file's header; format of (type, offset, address, alignment) in a program header.
_HEADERS = {1: ("I10xHH", 28, "III16xI"), 2: ("Q14xHH", 32, "I4xQQ24xQ")}


def alignment(content: bytes) -> int | None:
    """Bytes that every loadable segment of a file is aligned to; None where it is not an ELF file.

    A segment is aligned to what its header says, as far as its place in the file and in memory
    agree with that.

    Raises:
        AgentError: It begins like an ELF file and is damaged, or has nothing to load.
    """
    if not content.startswith(_MAGIC):
        return None
    try:
        order, (table, where, entry) = _ORDER[content[5]], _HEADERS[content[4]]
        start, size, count = struct.unpack_from(order + table, content, where)
        places = range(start, start + count * size, max(1, size))
        segments = [struct.unpack_from(order + entry, content, place) for place in places]
    except (IndexError, KeyError, struct.error) as error:
        raise AgentError(f"an ELF file must have whole headers, but has not: {in_words(error)}") from error
    loaded = [_fits(offset, address, align) for kind, offset, address, align in segments if kind == _LOAD]
    if not loaded:
        raise AgentError("an ELF file must have a segment to load, but has none")
    return min(loaded)


def _fits(offset: int, address: int, align: int) -> int:
    """The largest power of two up to ``align`` that a segment's place in file and memory agree in."""
    found = max(1, align)
    while (address - offset) % found:
        found //= 2
    return found
