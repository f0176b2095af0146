"""Which parts of a network run, and what each of them reads.

A part that gives nothing leaves out what needs it, a sum adds up what is there, and what nobody reads does
not run: so an architecture is lowered and measured without what does not count.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from hwnas.errors import SpaceError
from hwnas.space.block import FALLBACK, SUM, ZERO, Block

Reads = tuple[tuple[int, ...], ...]
"""What each part of a network reads: places of earlier parts, or ``IMAGE``."""

IMAGE = -1


def read_last(reads: Sequence[Iterable[int]]) -> Reads:
    """Of each part the places that it is the last one to read.

    Args:
        reads: What each part reads, in running order.
    """
    last = {place: reader for reader, places in enumerate(reads) for place in places}
    return tuple(tuple(p for p, reader in last.items() if reader == number) for number in range(len(reads)))


@dataclass(frozen=True)
class Flow:
    """What of a network counts.

    Attributes:
        used: Places of the parts that an image goes through, identities among them, in running order, without
            sums that have nothing to add and what could have been fallen back from.
        running: Those of them that compute something.
        reads: What each of ``running`` reads, by its place in ``running``.
    """

    used: tuple[int, ...]
    running: tuple[int, ...]
    reads: Reads


def flow(blocks: Sequence[Block], reads: Reads) -> Flow:
    """What counts of parts in running order, the last of which gives the answer.

    Args:
        blocks: The parts.
        reads: What each reads, by its place in ``blocks``.

    Raises:
        SpaceError: No path leads from the image to the end.
    """
    given, sources = _given(blocks, reads)
    if given[len(blocks) - 1] is None:
        raise SpaceError("a path must lead from the image to the answer, but all are cut off")
    used = {len(blocks) - 1}
    for place in reversed(range(len(blocks))):
        if place in used:
            used.update(sources[place])
    used.discard(IMAGE)
    running = [place for place in sorted(used) if given[place] == place]
    used -= {
        place for place in used if given[place] != place and _is_silent(blocks[place], reads[place], given)
    }
    numbers = {IMAGE: IMAGE, **{place: number for number, place in enumerate(running)}}
    made = {IMAGE: IMAGE, **{place: of for place, of in given.items() if of is not None}}
    return Flow(
        tuple(sorted(used)),
        tuple(running),
        tuple(tuple(numbers[made[source]] for source in sources[place]) for place in running),
    )


def _is_silent(block: Block, read: tuple[int, ...], given: Mapping[int, int | None]) -> bool:
    """Whether a part that passes something on leaves nothing out by it."""
    return not block.is_identity or (block.kind == FALLBACK and given[read[0]] is not None)


def _given(blocks: Sequence[Block], reads: Reads) -> tuple[dict[int, int | None], dict[int, tuple[int, ...]]]:
    """Of each place the one whose output it gives, None for nothing; and what it reads that counts."""
    given: dict[int, int | None] = {IMAGE: IMAGE}
    sources = {}
    for place, (block, read) in enumerate(zip(blocks, reads, strict=True)):
        there = tuple(source for source in read if given[source] is not None)
        if block.kind == FALLBACK:
            there = there[:1]
        sources[place] = there
        missing = len(there) < len(read)
        if block.kind == ZERO or not there or (missing and block.kind not in (SUM, FALLBACK)):
            given[place], sources[place] = None, ()
        elif block.is_identity or (missing and block.kind == SUM):
            given[place] = given[there[0]]
        else:
            given[place] = place
    return given, sources
