"""Choices, and the shapes that flow from one part of a network to the next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hwnas.errors import SpaceError
from hwnas.space.block import Block, Shape, Shapes, Workload, shapes_of

STEM = "stem"
"""What a candidate reads that reads what the stem gives."""


@dataclass(frozen=True)
class Choice:
    """A place in the network where one of several candidates goes.

    Attributes:
        name: Its own in a space.
        candidates: The blocks that may go there.
        reads: Of each candidate the names of the choices that it reads, or ``STEM``; where nothing is said,
            all read what is before.
        follows: Name of an earlier choice whose decision it takes, as the same cell stands in many places;
            ``STEM`` of a part that is always there; nothing where it has a decision of its own.
        learnt: A known network and which of its blocks the first candidate is, from 0, whose weights it
            begins with; None where all candidates begin with random ones.
    """

    name: str
    candidates: tuple[Block, ...]
    reads: tuple[tuple[str, ...], ...] = ()
    follows: str = ""
    learnt: tuple[str, int] | None = None

    def __post_init__(self) -> None:
        if not self.candidates:
            raise SpaceError(f"a choice must have at least one candidate, but {self.name} has none")
        if self.reads and (len(self.reads) != len(self.candidates) or not all(self.reads)):
            raise SpaceError(
                f"each of the {len(self.candidates)} candidates of {self.name} must read something, but its "
                f"reads are {self.reads}"
            )
        each = tuple(zip(self.candidates, self.reads, strict=True)) if self.reads else self.candidates
        if len(set(each)) != len(each):
            raise SpaceError(f"the candidates of a choice must differ, but {self.name} repeats one")


def always(name: str, block: Block, *reads: str) -> Choice:
    """A part that every network of a space has."""
    return Choice(name, (block,), (reads,), follows=STEM)


def row(blocks: Sequence[Block], shape: Shape | Shapes) -> tuple[tuple[Workload, ...], Shape | Shapes]:
    """Blocks one after the other, and the shape of what comes out."""
    found = []
    for block in blocks:
        found.append(Workload(block, shape))
        shape = block.out_shape(shape)
    return tuple(found), shape


def out_shape(workload: Workload) -> Shape | Shapes:
    """What a block gives; raises SpaceError where it does not take so many inputs."""
    try:
        shape: Shape | Shapes = workload.block.out_shape(workload.in_shape)
    except SpaceError:
        raise
    except (TypeError, ValueError) as error:
        raise SpaceError(
            f"a block must take what it reads, but {workload.block.key()} does not take {workload.read}"
        ) from error
    return shape


def joined(given: Sequence[Shape | Shapes]) -> Shape | Shapes:
    """The shape of what a part reads that others give."""
    several = tuple(shape for each in given for shape in shapes_of(each))
    return several if len(several) > 1 else several[0]


def numbers_read(name: str, choices: Sequence[Choice]) -> tuple[tuple[tuple[int, ...], ...], ...]:
    """Of each candidate of each choice of a space the numbers of the choices that it reads; -1 is the stem.

    Raises:
        SpaceError: One reads what does not come before it.
    """
    numbers = {STEM: -1, **{choice.name: number for number, choice in enumerate(choices)}}
    found = []
    for number, choice in enumerate(choices):
        if odd := [n for names in choice.reads for n in names if numbers.get(n, number) >= number]:
            raise SpaceError(
                f"what a choice reads must be a choice before it, but {choice.name} of {name} reads "
                f"{odd[0]!r}"
            )
        before = ((number - 1,),) * len(choice.candidates)
        found.append(tuple(tuple(numbers[n] for n in names) for names in choice.reads) or before)
    return tuple(found)


def decisions_of(name: str, choices: Sequence[Choice]) -> tuple[tuple[Choice, ...], tuple[int | None, ...]]:
    """The choices of a space that have a decision of their own, and the number of each choice's decision.

    Returns:
        The former in order; of the latter None where a part is always there.

    Raises:
        SpaceError: A choice follows what it cannot follow.
    """
    own, numbers, found = list[Choice](), dict[str, int](), list[int | None]()
    for choice in choices:
        if not choice.follows:
            numbers[choice.name] = len(own)
            own.append(choice)
        elif choice.follows == STEM:
            if len(choice.candidates) > 1:
                raise SpaceError(
                    f"a part that is always there must have one candidate, but {choice.name} of {name} has "
                    f"{len(choice.candidates)}"
                )
            found.append(None)
            continue
        number = numbers.get(choice.follows or choice.name)
        if number is None or len(own[number].candidates) != len(choice.candidates):
            raise SpaceError(
                "a choice must follow an earlier one that has a decision of its own and as many candidates, "
                f"but {choice.name} of {name} follows {choice.follows!r}"
            )
        found.append(number)
    return tuple(own), tuple(found)
