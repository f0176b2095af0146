"""Search spaces, and the architectures that pick one candidate for each choice of one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from typing import Any

import numpy as np

from hwnas.errors import SpaceError
from hwnas.space.block import Block, Shape, Shapes, Workload, shapes_of
from hwnas.space.choice import Choice, joined, numbers_read, out_shape, row

Reads = tuple[tuple[int, ...], ...]
"""What each part of a network reads: places of earlier parts, or ``IMAGE``."""

IMAGE = -1


@dataclass(frozen=True)
class SearchSpace:
    """A stem, choices and a head.

    Attributes:
        name: Full name from which ``hwnas.spaces.load`` makes this space again.
        input_shape: Shape of one image.
        stem: Fixed blocks before the choices.
        choices: The searched places, in order; what a candidate reads comes before it.
        head: Fixed blocks after the choices.
        origin: Indices of the network that all others are versions of; None where that is the one of most
            multiply-adds.
        is_told_whole: Whether files of an architecture have all of the space in them, as no name makes it
            again.
        typed: What commands take in the place of a name that makes nothing again: a folder that tells it.
    """

    name: str
    input_shape: Shape
    stem: tuple[Block, ...]
    choices: tuple[Choice, ...]
    head: tuple[Block, ...]
    origin: tuple[int, ...] | None = None
    is_told_whole: bool = False
    typed: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        if not self.choices:
            raise SpaceError(f"a space must have at least one choice, but {self.name} has none")
        _ = self._walked  # walks the space once and raises where two parts do not fit
        if self.origin is not None:
            self.architecture(self.origin)  # raises where it is none

    @cached_property
    def choice_reads(self) -> tuple[tuple[tuple[int, ...], ...], ...]:
        """Of each candidate of each choice the numbers of the choices that it reads; -1 is the stem."""
        return numbers_read(self.name, self.choices)

    @property
    def is_row(self) -> bool:
        """Whether every choice reads only what is right before it."""
        return not any(choice.reads for choice in self.choices)

    @property
    def read_elsewhere(self) -> frozenset[int]:
        """Numbers of the choices whose output is read by others than the next one."""
        return frozenset(
            read
            for number, candidates in enumerate(self.choice_reads)
            for reads in candidates
            for read in reads
            if read != number - 1
        )

    @cached_property
    def _walked(self) -> tuple[tuple[Workload, ...], tuple[tuple[Workload, ...], ...], tuple[Workload, ...]]:
        """The workloads of stem, candidates by choice, and head."""
        stem, read = row(self.stem, self.input_shape)
        given: dict[int, Shape | Shapes] = {-1: read}
        choices = []
        for number, (choice, reads) in enumerate(zip(self.choices, self.choice_reads, strict=True)):
            workloads = tuple(
                Workload(block, joined([given[n] for n in numbers]))
                for block, numbers in zip(choice.candidates, reads, strict=True)
            )
            shapes = set(map(out_shape, workloads))
            if len(shapes) != 1:
                raise SpaceError(
                    "the candidates of a choice must agree on their output shape, "
                    f"but {choice.name} on {workloads[0].in_shape} gives {sorted(shapes)}"
                )
            given[number] = shapes.pop()
            choices.append(workloads)
        head, _ = row(self.head, given[len(self.choices) - 1])
        return stem, tuple(choices), head

    @property
    def choice_workloads(self) -> tuple[tuple[Workload, ...], ...]:
        """The candidates of every choice on what they read."""
        return self._walked[1]

    @property
    def output_shape(self) -> Shape | Shapes:
        """Shape of the output; its channels are the number of classes for a classifier."""
        last = (self._walked[2] or self._walked[1][-1])[-1]
        shape: Shape | Shapes = last.block.out_shape(last.in_shape)
        return shape

    @property
    def num_classes(self) -> int:
        """Number of classes that the head tells apart: the channels of the first output."""
        return shapes_of(self.output_shape)[0][0]

    @property
    def typed_name(self) -> str:
        """What commands take for it."""
        return self.typed or self.name

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of candidates of each choice."""
        return tuple(len(choice.candidates) for choice in self.choices)

    @property
    def num_architectures(self) -> int:
        """Number of index vectors (some may describe the same network)."""
        return prod(self.sizes)

    @property
    def fixed(self) -> tuple[Workload, ...]:
        """The workloads of stem and head, which every architecture has."""
        stem, _, head = self._walked
        return (*stem, *head)

    def candidates(self) -> Iterator[tuple[int, int, Workload]]:
        """Every ``(choice number, candidate number, workload)``, identities included."""
        for number, workloads in enumerate(self.choice_workloads):
            for index, workload in enumerate(workloads):
                yield number, index, workload

    def workloads(self) -> tuple[Workload, ...]:
        """All distinct workloads that have a cost, in order of first appearance."""
        every = (*self.fixed, *(workload for _, _, workload in self.candidates()))
        return tuple(dict.fromkeys(w for w in every if not w.block.is_identity))

    def macs_table(self) -> tuple[int, tuple[np.ndarray, ...]]:
        """MACs of stem and head together, and of each candidate, one array a choice."""
        tables = [np.zeros(size, np.int64) for size in self.sizes]
        for number, index, workload in self.candidates():
            tables[number][index] = workload.macs
        return sum(w.macs for w in self.fixed), tuple(tables)

    def macs_range(self) -> tuple[int, int]:
        """Smallest and largest MACs of an architecture."""
        fixed, tables = self.macs_table()
        return fixed + sum(int(t.min()) for t in tables), fixed + sum(int(t.max()) for t in tables)

    @cached_property
    def reference(self) -> tuple[int, ...]:
        """Indices of the network that all others are versions of."""
        if self.origin is not None:
            return self.origin
        return tuple(int(table.argmax()) for table in self.macs_table()[1])

    @cached_property
    def fingerprint(self) -> str:
        """Sixteen hex digits that change whenever a block or a shape changes."""
        parts = [
            self.input_shape,
            [b.key() for b in self.stem],
            [[b.key() for b in c.candidates] for c in self.choices],
            [b.key() for b in self.head],
        ]
        text = json.dumps(parts if self.is_row else [*parts, self.choice_reads])
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def to_json(self) -> dict[str, Any]:
        """A JSON object that tells all of the space but its name."""
        return {
            "input_shape": list(self.input_shape),
            "stem": [block.key() for block in self.stem],
            "choices": [
                {
                    "name": choice.name,
                    "candidates": [block.key() for block in choice.candidates],
                    "reads": [list(reads) for reads in choice.reads],
                }
                for choice in self.choices
            ],
            "head": [block.key() for block in self.head],
            **({"origin": list(self.origin)} if self.origin is not None else {}),
        }

    def architecture(self, indices: Sequence[int]) -> Architecture:
        """The architecture that picks these candidates."""
        return Architecture(self, tuple(int(i) for i in indices))

    def sample(self, rng: np.random.Generator) -> Architecture:
        """A uniformly random architecture."""
        return self.architecture([int(rng.integers(size)) for size in self.sizes])


@dataclass(frozen=True)
class Architecture:
    """One candidate for every choice of a space."""

    space: SearchSpace = field(repr=False)
    indices: tuple[int, ...]

    def __post_init__(self) -> None:
        sizes = self.space.sizes
        if len(self.indices) != len(sizes):
            raise SpaceError(
                f"an architecture of {self.space.name} must have {len(sizes)} indices, "
                f"but got {len(self.indices)}"
            )
        for choice, index, size in zip(self.space.choices, self.indices, sizes, strict=True):
            if not 0 <= index < size:
                raise SpaceError(f"the index of {choice.name} must be in 0..{size - 1}, but got {index}")

    @cached_property
    def workloads(self) -> tuple[Workload, ...]:
        """Every block with its input shape from image to output, identities included."""
        stem, choices, head = self.space._walked
        chosen = tuple(workloads[index] for workloads, index in zip(choices, self.indices, strict=True))
        return (*stem, *chosen, *head)

    @property
    def blocks(self) -> tuple[Block, ...]:
        """The blocks from image to output; identities do nothing and are left out."""
        return tuple(w.block for w in self.workloads if not w.block.is_identity)

    @cached_property
    def reads(self) -> Reads:
        """What each of ``blocks`` reads; empty where each reads the one before."""
        if self.space.is_row:
            return ()
        stem = len(self.space.stem)
        sources: list[tuple[int, ...]] = [(n - 1,) for n in range(len(self.workloads))]
        for number, (candidates, index) in enumerate(zip(self.space.choice_reads, self.indices, strict=True)):
            sources[stem + number] = tuple(stem + read for read in candidates[index])
        places, found = {IMAGE: IMAGE}, list[tuple[int, ...]]()
        for number, workload in enumerate(self.workloads):
            reads = tuple(places[read] for read in sources[number])
            if workload.block.is_identity:
                places[number] = reads[0]
            else:
                places[number] = len(found)
                found.append(reads)
        return tuple(found)

    @property
    def macs(self) -> int:
        """Multiply-adds of the whole network for one image."""
        return sum(w.macs for w in self.workloads)

    @property
    def params(self) -> int:
        """Trainable parameters of the whole network."""
        return sum(block.params() for block in self.blocks)

    def key(self) -> str:
        """Key of the whole network in a latency table: ``net:<space>:<indices>``."""
        return f"net:{self.space.name}:{'.'.join(map(str, self.indices))}"

    @property
    def id(self) -> str:
        """Twelve hex digits; the same for the same indices in the same space, on any machine."""
        text = f"{self.space.fingerprint}:{self.indices}"
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def to_json(self) -> dict[str, Any]:
        """A JSON object that ``from_json`` turns back."""
        return {
            "schema": "hwnas-architecture/1",
            "id": self.id,
            "space": self.space.name,
            "space_fingerprint": self.space.fingerprint,
            "indices": list(self.indices),
            **({"whole_space": self.space.to_json()} if self.space.is_told_whole else {}),
        }

    @classmethod
    def from_json(cls, space: SearchSpace, data: Mapping[str, Any]) -> Architecture:
        """Rebuild an architecture of ``space``.

        Raises:
            SpaceError: The file is of another space, or of another version of it.
        """
        if data.get("space") != space.name or data.get("space_fingerprint") != space.fingerprint:
            raise SpaceError(
                "an architecture must belong to the space that it is read for, but got one of "
                f"{data.get('space')} ({data.get('space_fingerprint')}) for {space.name} "
                f"({space.fingerprint}): search again with this version"
            )
        indices = data.get("indices")
        if not isinstance(indices, list) or not all(type(i) is int for i in indices):
            raise SpaceError(f"the indices of an architecture must be whole numbers, but got {indices}")
        return space.architecture(indices)
