"""Search spaces, and the architectures that pick one candidate for each choice of one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from math import prod
from typing import Any

import numpy as np

from hwnas.errors import SpaceError
from hwnas.space.block import SUM, ZERO, Block, Shape, Shapes, Workload, shapes_of
from hwnas.space.choice import Choice, decisions_of, joined, numbers_read, out_shape, row
from hwnas.space.flow import Flow, Reads, flow, read_last


@dataclass(frozen=True)
class SearchSpace:
    """A stem, choices and a head.

    Attributes:
        name: Full name from which ``hwnas.spaces.load`` makes this space again.
        input_shape: Shape of one image.
        stem: Fixed blocks before the choices.
        choices: The places between, in order, most of them searched; what a candidate reads comes before it.
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
        if not self.decisions:
            raise SpaceError(f"a space must have at least one choice, but {self.name} has none")
        _ = self._walked  # walks the space once and raises where two parts do not fit
        if self.origin is not None:
            self.architecture(self.origin)  # raises where it is none

    @cached_property
    def choice_reads(self) -> tuple[tuple[tuple[int, ...], ...], ...]:
        """Of each candidate of each choice the numbers of the choices that it reads; -1 is the stem."""
        return numbers_read(self.name, self.choices)

    @cached_property
    def _decided(self) -> tuple[tuple[Choice, ...], tuple[int | None, ...]]:
        return decisions_of(self.name, self.choices)

    @property
    def decisions(self) -> tuple[Choice, ...]:
        """The choices that are decided each by itself: all that follow no other; indices are of these."""
        return self._decided[0]

    @property
    def decision_numbers(self) -> tuple[int | None, ...]:
        """Of each choice the number of the decision that fills it; None where it is always the same."""
        return self._decided[1]

    @property
    def is_tied(self) -> bool:
        """Whether some decision fills several places, or some place is always the same."""
        return len(self.decisions) != len(self.choices)

    def picks(self, indices: Sequence[int]) -> tuple[int, ...]:
        """The candidate of every choice, where these are the decisions'."""
        return tuple(0 if number is None else indices[number] for number in self.decision_numbers)

    @property
    def is_row(self) -> bool:
        """Whether every choice reads only what is right before it."""
        return not any(choice.reads for choice in self.choices)

    @property
    def is_begun(self) -> bool:
        """Whether some places begin with weights of a known network."""
        return any(choice.learnt for choice in self.choices)

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

    @property
    def read_last(self) -> tuple[tuple[int, ...], ...]:
        """Of each choice the numbers of those, -1 the stem, that no later one reads any more."""
        return read_last([chain.from_iterable(candidates) for candidates in self.choice_reads])

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
        """Number of candidates of each decision."""
        return tuple(len(choice.candidates) for choice in self.decisions)

    @property
    def num_architectures(self) -> int:
        """Number of index vectors (some may describe the same network)."""
        return prod(self.sizes)

    @property
    def fixed(self) -> tuple[Workload, ...]:
        """The workloads of stem, head and what else every architecture has."""
        stem, choices, head = self._walked
        always = (
            workloads[0]
            for number, workloads in enumerate(choices)
            if self.decision_numbers[number] is None and number not in self._sums
        )
        return (*stem, *always, *head)

    @cached_property
    def _sums(self) -> dict[int, int]:
        """Sums that are needed only where a decision is not for nothing: numbers of choice and decision."""
        found = {}
        for number, choice in enumerate(self.choices):
            last = self.choice_reads[number][0][-1]
            added = self.decision_numbers[last] if last >= 0 else None
            is_sum = choice.candidates[0].kind == SUM and self.decision_numbers[number] is None
            if is_sum and added is not None and self._nothing[added] is not None:
                found[number] = added
        return found

    @cached_property
    def _nothing(self) -> tuple[int | None, ...]:
        """Of each decision the candidate that gives nothing, if there is one."""
        kinds = ([block.kind for block in choice.candidates] for choice in self.decisions)
        return tuple(each.index(ZERO) if ZERO in each else None for each in kinds)

    def grouped(self) -> Iterator[tuple[int, int, tuple[Workload, ...]]]:
        """Every ``(decision number, candidate number, workloads)``: all places that it fills.

        A sum belongs to what it adds where that may be nothing, as without it there is no sum.
        """
        places: list[list[int]] = [[] for _ in self.decisions]
        for number, decision in enumerate(self.decision_numbers):
            if decision is not None:
                places[decision].append(number)
        for decision, size in enumerate(self.sizes):
            sums = [self.choice_workloads[n][0] for n, of in self._sums.items() if of == decision]
            for index in range(size):
                own = [self.choice_workloads[number][index] for number in places[decision]]
                yield decision, index, (*own, *(sums if index != self._nothing[decision] else ()))

    def candidates(self) -> Iterator[tuple[int, int, Workload]]:
        """Every ``(decision number, candidate number, workload)``, identities included.

        Where a decision fills several places there are several workloads of the same numbers.
        """
        for number, index, workloads in self.grouped():
            for workload in workloads:
                yield number, index, workload

    def workloads(self) -> tuple[Workload, ...]:
        """All distinct workloads that have a cost, in order of first appearance."""
        every = (*self.fixed, *(workload for _, _, workload in self.candidates()))
        return tuple(dict.fromkeys(w for w in every if not w.block.is_identity))

    def summed(self, cost: Callable[[Workload], float]) -> tuple[float, tuple[np.ndarray, ...]]:
        """What is always there costs together, and each candidate in all its places, one array a decision."""
        tables = [np.zeros(size) for size in self.sizes]
        for number, index, workload in self.candidates():
            tables[number][index] += cost(workload)
        return sum(map(cost, self.fixed)), tuple(tables)

    def macs_table(self) -> tuple[int, tuple[np.ndarray, ...]]:
        """MACs of what is always there together, and of each candidate, one array a decision."""
        fixed, tables = self.summed(lambda workload: workload.macs)
        return int(fixed), tuple(table.astype(np.int64) for table in tables)

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
        more: list[object] = [] if self.is_row else [self.choice_reads]
        if self.is_tied:
            more.append(self.decision_numbers)
        text = json.dumps([*parts, *more])
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
                    **({"follows": choice.follows} if choice.follows else {}),
                }
                for choice in self.choices
            ],
            "head": [block.key() for block in self.head],
            **({"origin": list(self.origin)} if self.origin is not None else {}),
        }

    def architecture(self, indices: Sequence[int]) -> Architecture:
        """The architecture that picks these candidates, in its simplest form."""
        return Architecture(self, self.simplest(tuple(int(i) for i in indices)))

    def simplest(self, indices: tuple[int, ...]) -> tuple[int, ...]:
        """The same network with nothing in the place of whatever does not run."""
        if not self.has_nothing:
            return indices
        if indices not in self._simplified:
            used = {place - len(self.stem) for place in Architecture(self, indices).flow.used}
            needed = {number for choice, number in enumerate(self.decision_numbers) if choice in used}
            self._simplified[indices] = tuple(
                index if number in needed or nothing is None else nothing
                for number, (index, nothing) in enumerate(zip(indices, self._nothing, strict=True))
            )
        return self._simplified[indices]

    @cached_property
    def _simplified(self) -> dict[tuple[int, ...], tuple[int, ...]]:
        return {}

    @cached_property
    def has_nothing(self) -> bool:
        """Whether some place can be left empty, so that what depends on it does not run."""
        return any(at is not None for at in self._nothing)

    def sample(self, rng: np.random.Generator) -> Architecture:
        """A uniformly random architecture."""
        return self.architecture([int(rng.integers(size)) for size in self.sizes])


@dataclass(frozen=True)
class Architecture:
    """One candidate for every choice of a space.

    Attributes:
        space: What it is of.
        indices: The candidate of every decision.
    """

    space: SearchSpace = field(repr=False)
    indices: tuple[int, ...]

    def __post_init__(self) -> None:
        sizes = self.space.sizes
        choices = self.space.decisions
        if len(self.indices) != len(sizes):
            raise SpaceError(
                f"an architecture of {self.space.name} must have {len(sizes)} indices, "
                f"but got {len(self.indices)}"
            )
        for choice, index, size in zip(choices, self.indices, sizes, strict=True):
            if not 0 <= index < size:
                raise SpaceError(f"the index of {choice.name} must be in 0..{size - 1}, but got {index}")

    @cached_property
    def picks(self) -> tuple[int, ...]:
        """The candidate of every choice."""
        return self.space.picks(self.indices)

    @cached_property
    def _parts(self) -> tuple[Workload, ...]:
        """What stands in every place from image to output, whether it runs or not."""
        stem, choices, head = self.space._walked
        chosen = tuple(workloads[index] for workloads, index in zip(choices, self.picks, strict=True))
        return (*stem, *chosen, *head)

    @cached_property
    def flow(self) -> Flow:
        """Which of the parts run, by their places among stem, choices and head."""
        parts, stem = self._parts, len(self.space.stem)
        reads: list[tuple[int, ...]] = [(place - 1,) for place in range(len(parts))]
        if not self.space.is_row:
            chosen = zip(self.space.choice_reads, self.picks, strict=True)
            for number, (candidates, index) in enumerate(chosen):
                reads[stem + number] = tuple(stem + read for read in candidates[index])
        return flow([part.block for part in parts], tuple(reads))

    @cached_property
    def workloads(self) -> tuple[Workload, ...]:
        """Every block that an image goes through, from image to output, identities included."""
        return tuple(self._parts[place] for place in self.flow.used)

    @property
    def blocks(self) -> tuple[Block, ...]:
        """The blocks from image to output; identities do nothing and are left out."""
        return tuple(self._parts[place].block for place in self.flow.running)

    @property
    def reads(self) -> Reads:
        """What each of ``blocks`` reads; empty where each reads the one before."""
        return () if self.space.is_row else self.flow.reads

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
