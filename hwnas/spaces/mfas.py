"""Which layers of two networks to join, one for each of two pictures (MFAS, arXiv:1903.06496)."""

from __future__ import annotations

from collections.abc import Iterator

from hwnas import known
from hwnas.blocks import ChannelPart, Conv, Fallback, GlobalPool, PooledHead, Sum, Zero
from hwnas.space import STEM, Block, Choice, SearchSpace, always

NETWORK = "efficientnet-lite0"
"""What looks at each picture; its weights can be had."""

_PARTS = ("first", "second")
_ENDS = ((4, 3), (8, 5), (16, 11), (32, 16))
"""What a chain may end with: how much coarser than the picture, and how many of the network's blocks run."""
_FUSIONS = 3
_WIDTH = 128
_FUNCTIONS = ("relu", "sigmoid")


def mfas(resolution: int = 128, num_classes: int = 1000) -> SearchSpace:
    """Two pictures of one thing go through a network each, and layers of both are fused on the way.

    A fusion is ``f(A x + B y + C z)`` of the pooled features ``x`` and ``y`` of a layer of each network and
    of the fusion ``z`` before it (equation 1 of the paper). Which layers, and whether ``f`` is ReLU or a
    sigmoid, are decisions, three fusions one after the other; the paper searches how many there are as well.
    Beyond it, a fusion may do without one of the networks, and where a network ends, the second one maybe
    before it begins, is a decision too, as its rest costs time: what would read behind that goes without it.
    A sum of one thing has no activation. Where nothing is left at all, the first features of the first
    picture answer.

    The networks are EfficientNet-Lite0, whose weights a supernet begins with and keeps: only fusions learn
    in a search, all of it does when what was found is trained.

    Args:
        resolution: Height and width of both pictures.
        num_classes: Classes of the head.
    """
    network = known.load(NETWORK, resolution=resolution, strides="imagenet").space
    chains = {part: _Chain(network, part, 3 * number) for number, part in enumerate(_PARTS)}
    choices = [choice for chain in chains.values() for choice in chain.choices()]
    before = ""
    for number in range(1, _FUSIONS + 1):
        choices += _fusion(f"fusion{number}", chains, before)
        before = f"fusion{number}"
    first = chains[_PARTS[0]]
    choices += [
        always("alone", Conv(first.channels[0], _WIDTH, kernel_size=1), first.pooled[0]),
        always("fused", Fallback((_WIDTH, _WIDTH)), before, "alone"),
    ]
    return SearchSpace(
        name=f"mfas-r{resolution}-c{num_classes}",
        input_shape=(6, resolution, resolution),
        stem=(),
        choices=tuple(choices),
        head=(PooledHead(_WIDTH, num_classes=num_classes),),
    )


class _Chain:
    """A network that looks at one of the pictures, and may end early."""

    def __init__(self, network: SearchSpace, part: str, channel: int) -> None:
        self.part, self.channel = part, channel
        self.blocks = [*network.stem, *(choice.candidates[0] for choice in network.choices)]
        self.stops = [len(network.stem) + count for _, count in _ENDS]
        self.channels = [self.blocks[stop - 1].out_channels for stop in self.stops]  # type: ignore[attr-defined]
        self.pooled = [f"{part}.pooled{coarser}" for coarser, _ in _ENDS]

    def choices(self) -> Iterator[Choice]:
        """Its blocks, and pooled what may be its end; the first block behind that decides to go on."""
        before, done = f"{self.part}.picture", 0
        yield always(before, ChannelPart(6, self.channel, self.channel + 3), STEM)
        for (coarser, _), stop, channels, pooled in zip(
            _ENDS, self.stops, self.channels, self.pooled, strict=True
        ):
            decision = f"{self.part}.to{coarser}"
            is_always = not done and self.part == _PARTS[0]  # or nothing would be left to answer
            for number in range(done, stop):
                is_first = not is_always and number == done
                name = decision if is_first else f"{self.part}.{number}"
                yield self._block(name, number, before, STEM if is_always else "" if is_first else decision)
                before = name
            yield always(pooled, GlobalPool(channels), before)
            done = stop

    def _block(self, name: str, number: int, before: str, follows: str) -> Choice:
        block = self.blocks[number]
        candidates: tuple[Block, ...] = (block,) if follows == STEM else (block, _nothing(block))
        return Choice(
            name, candidates, ((before,),) * len(candidates), follows=follows, learnt=(NETWORK, number)
        )


def _nothing(block: Block) -> Zero:
    return Zero(block.in_channels, block.out_channels, block.stride)  # type: ignore[attr-defined]


def _fusion(name: str, chains: dict[str, _Chain], before: str) -> Iterator[Choice]:
    """What one fusion reads of each chain, and what becomes of it with the fusion before."""
    for part, chain in chains.items():
        reads = tuple((pooled,) for pooled in (chain.pooled[0], *chain.pooled))
        layers: tuple[Block, ...] = (Zero(chain.channels[0], _WIDTH), *map(_plain, chain.channels))
        yield Choice(f"{name}.{part}", layers, reads)
    first, second = (f"{name}.{part}" for part in _PARTS)
    if before:
        yield always(f"{name}.both", Sum((_WIDTH, _WIDTH)), first, second)
        yield always(f"{name}.before", _plain(_WIDTH), before)
        first, second = f"{name}.both", f"{name}.before"
    sums = tuple(Sum((_WIDTH, _WIDTH), activation=function) for function in _FUNCTIONS)
    yield Choice(name, sums, ((first, second),) * len(sums))


def _plain(channels: int) -> Conv:
    return Conv(channels, _WIDTH, kernel_size=1, activation="none")
