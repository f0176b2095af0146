"""The one-shot network: every candidate of every choice, and gates that say what runs.

Gates are an argument of ``forward``, never a mode of the module, so that one forward serves
every strategy. A gate is, for one choice,

* an index: only that candidate runs (single path: SPOS, warm-up, evaluation);
* a tensor of shape (candidates,): all run, and their outputs are summed with these weights
  (soft mixture: FBNet);
* a tuple of ``Branch``: only these candidates run (binarised paths: ProxylessNAS);
* a ``Growth``: one runs, and others learn beside it what they would add (Petridish).

Latency is not computed here: it belongs to the full-size space, the supernet may be a
narrower proxy of it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import nn

from hwnas import blocks
from hwnas.blocks import statistics
from hwnas.blocks.wired import Value, Wired, mapped, tensors
from hwnas.errors import SpaceError
from hwnas.seeding import Seeded
from hwnas.space import Block, Choice, Reads, SearchSpace


@dataclass(frozen=True)
class Branch:
    """One candidate of a sparse gate.

    Attributes:
        index: The candidate.
        weight: Scalar tensor that its output is multiplied by.
        inert: Its weight is 0: the output matters only for the gradient of the weight, so it
            is computed without a graph of its own, at the memory of one tensor.
    """

    index: int
    weight: torch.Tensor
    inert: bool = False


@dataclass(frozen=True)
class Growth:
    """A candidate that runs alone, beside others that learn what to add to it (arXiv:1905.13360, section 4).

    What goes out is the candidate's, whatever the others give (*stop-forward*), and no gradient goes from
    them to what they read (*stop-gradient*): the network is as it was, and the gradient of its loss tells
    each of the others, and its weight, what to change. What another would add is its output minus the
    candidate's.

    Attributes:
        index: The candidate that runs.
        others: Those that learn, none of them inert.
    """

    index: int
    others: tuple[Branch, ...]


Gate = int | torch.Tensor | tuple[Branch, ...] | Growth


Values = dict[int, Value]
"""What choices gave, by their numbers; that of the stem is -1."""


class MixedChoice(nn.Module):
    """All candidates of one choice.

    Args:
        choice: The choice.
        reads: Of each candidate the numbers of the choices that it reads.
    """

    def __init__(self, choice: Choice, reads: Reads) -> None:
        super().__init__()
        self.name = choice.name
        self.reads = reads
        self.candidates = nn.ModuleList(block.build() for block in choice.candidates)

    def forward(self, values: Values, gate: Gate) -> Value:
        """What the choice's blocks give under a gate, where earlier parts gave these values."""
        if isinstance(gate, int):
            return self.run(gate, values)
        if isinstance(gate, torch.Tensor):
            if gate.shape != (len(self.candidates),):
                raise SpaceError(
                    f"a soft gate of {self.name} must have shape ({len(self.candidates)},), "
                    f"but got {tuple(gate.shape)}"
                )
            return _sum((weight, self.run(index, values)) for index, weight in enumerate(gate))
        if isinstance(gate, Growth):
            return self._growing(gate, values)
        return _sum((branch.weight, self._branch(branch, values)) for branch in gate)

    def run(self, index: int, values: Values) -> Value:
        """What one candidate gives."""
        read = (tensor for number in self.reads[index] for tensor in tensors(values[number]))
        return cast(Value, self.candidates[index](*read))

    def _growing(self, gate: Growth, values: Values) -> Value:
        own = self.run(gate.index, values)
        read = {number for branch in gate.others for number in self.reads[branch.index]}
        stopped = {number: mapped(torch.Tensor.detach, values[number]) for number in read}
        total, base = list(tensors(own)), [tensor.detach() for tensor in tensors(own)]
        for branch in gate.others:
            for number, tensor in enumerate(tensors(self.run(branch.index, stopped))):
                added = branch.weight * (tensor - base[number])
                total[number] = total[number] + (added - added.detach())
        return tuple(total) if isinstance(own, tuple) else total[0]

    def _branch(self, branch: Branch, values: Values) -> Value:
        if not branch.inert:
            return self.run(branch.index, values)
        with torch.no_grad():
            return self.run(branch.index, values)


class Supernet(nn.Module):
    """A network that holds all architectures of a space.

    Args:
        space: The space, or a ``proxy_space`` of it.
        seed: Of the initial weights; global random state is neither used nor changed.
        device: Where it lives.
        shut: Whether residual branches add nothing at first (arXiv:1706.02677, section 5.1), so
            that a deep supernet begins as a shallow one.
    """

    def __init__(
        self, space: SearchSpace, seed: int, device: torch.device | str = "cpu", *, shut: bool = False
    ) -> None:
        super().__init__()
        self.space = space
        self._done = space.read_last
        with Seeded(seed):
            self.stem = blocks.build(space.stem)
            self.choices = nn.ModuleList(map(MixedChoice, space.choices, space.choice_reads))
            self.head = blocks.build(space.head)
        if shut:
            blocks.shut_residuals(self.choices)
        self.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, images: torch.Tensor, gates: Sequence[Gate]) -> torch.Tensor:
        """Outputs, as logits (n, classes), of images (n, channels, h, w) under one gate a decision."""
        decisions = len(self.space.decisions)
        if len(gates) != decisions:
            raise SpaceError(f"gates must be {decisions}, one a choice, but got {len(gates)}")
        if self.space.has_nothing and all(isinstance(gate, int) for gate in gates):
            return cast(torch.Tensor, self._network(cast(Sequence[int], gates))(images))
        values: Values = {-1: self.stem(images)}
        for number, decision in enumerate(self.space.decision_numbers):
            values[number] = self.mixed(number)(values, 0 if decision is None else gates[decision])
            for done in self._done[number]:
                del values[done]  # features are large
        return cast(torch.Tensor, self.head(values[len(self.choices) - 1]))

    def _network(self, indices: Sequence[int]) -> Wired:
        """What runs of one architecture: a sum goes without what is not there, which is no zero to it."""
        flow = self.space.architecture(indices).flow
        parts = list(self.parts(indices))
        return Wired([parts[place] for place in flow.running], flow.reads)

    def parts(self, indices: Sequence[int]) -> Iterator[nn.Module]:
        """The modules along a path, one a block, whether they run or not."""
        stem, *choices, head = self.path(indices)
        yield from cast(nn.Sequential, stem)
        yield from choices
        yield from cast(nn.Sequential, head)

    def mixed(self, number: int) -> MixedChoice:
        """A choice by its number."""
        return cast(MixedChoice, self.choices[number])

    def path(self, indices: Sequence[int]) -> Iterator[nn.Module]:
        """The parts that one architecture uses."""
        yield self.stem
        for choice, index in zip(self.choices, self.space.picks(indices), strict=True):
            yield cast(MixedChoice, choice).candidates[index]
        yield self.head

    @torch.no_grad()
    def recalibrate(self, indices: Sequence[int], images: Iterable[torch.Tensor]) -> None:
        """Estimate the batch-norm statistics of one architecture anew.

        The statistics that training left behind are a mixture over all paths and useless for
        any one of them (arXiv:1904.00420, section 3.4).

        Args:
            indices: The architecture.
            images: Batches of normalised *training* images, each of two or more.
        """
        norms = [m for part in self.path(indices) for m in part.modules() if isinstance(m, nn.BatchNorm2d)]
        with statistics.cumulative(norms):
            self.train()
            statistics.feed(lambda batch: self(batch, indices), images)


def _sum(terms: Iterator[tuple[torch.Tensor, Value]]) -> Value:
    """The weighted sum of values, tensor by tensor."""
    weight, value = next(terms)
    total = [weight * tensor for tensor in tensors(value)]
    for weight, value in terms:
        total = [so_far + weight * tensor for so_far, tensor in zip(total, tensors(value), strict=True)]
    return tuple(total) if isinstance(value, tuple) else total[0]


def proxy_space(space: SearchSpace, *, width: float = 1.0, resolution: int | None = None) -> SearchSpace:
    """The same choices with fewer channels and smaller images: cheaper to train, to rank with.

    Channels are multiplied by ``width`` and rounded to a multiple of 8 where they were one.

    Raises:
        SpaceError: ``width`` is not in (0, 1], or a block cannot be that narrow.
    """
    if not 0 < width <= 1:
        raise SpaceError(f"the width of a proxy must be in (0, 1], but got {width}")
    if width < 1 and space.is_begun:
        raise SpaceError(
            f"a supernet that begins with the weights of a known network must be as wide, but got a width of "
            f"{width:g} for {space.name}: leave it at 1"
        )
    channels, height, _ = space.input_shape
    side = resolution or height
    if width == 1 and side == height:
        return space

    def narrow(block: Block) -> Block:
        names = [
            f.name
            for f in dataclasses.fields(block)  # type: ignore[arg-type]
            if f.name in ("in_channels", "out_channels", "conv_channels", "hidden_channels")
        ]
        scaled = {n: _scaled(getattr(block, n), width) for n in names}
        return dataclasses.replace(block, **scaled)  # type: ignore[type-var]

    stem = tuple(narrow(block) for block in space.stem)
    return SearchSpace(
        name=f"{space.name}-proxy-w{width:g}-r{side}",
        input_shape=(channels, side, side),
        stem=tuple(
            dataclasses.replace(block, in_channels=channels) if place == 0 else block  # type: ignore[type-var]
            for place, block in enumerate(stem)
        ),
        choices=tuple(
            dataclasses.replace(c, candidates=tuple(narrow(b) for b in c.candidates)) for c in space.choices
        ),
        head=tuple(narrow(block) for block in space.head),
        origin=space.origin,
    )


def _scaled(channels: int | tuple[int, ...], width: float) -> int | tuple[int, ...]:
    if isinstance(channels, tuple):
        return tuple(_narrower(each, width) for each in channels)
    return _narrower(channels, width)


def _narrower(channels: int, width: float) -> int:
    unit = 8 if channels % 8 == 0 else 1
    return max(unit, round(channels * width / unit) * unit)
