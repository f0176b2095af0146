"""The cell space of NAS-Bench-201 (arXiv:2001.00326)."""

from __future__ import annotations

from hwnas.blocks import AveragePool, Conv, Fallback, PooledHead, Skip, Sum, Zero
from hwnas.space import STEM, Block, Choice, SearchSpace, always

_CELLS = 5  # of each of three stages
_WIDTHS = (16, 32, 64)
_NODES = 4


def nasbench201(resolution: int = 32, num_classes: int = 10) -> SearchSpace:
    """One cell of six edges, each with five candidates, that stands in fifteen places.

    A cell has four nodes, the first of which is what it reads; a node is the sum of what its edges make of
    all nodes before it. Candidates are, in the benchmark's order: nothing, the identity, 1x1 and 3x3
    convolutions, and 3x3 average pooling. Edges that nothing comes from or goes to are no part of a network,
    and a cell without any way through is left out.

    As in the benchmark: three stages of five cells, of 16, 32 and 64 channels, with a residual block of
    stride 2 between. Other than there: ReLU stands behind a convolution, where all runtimes fuse it, not
    before it; zeros around the image count in pooling; pooling of that residual block is a strided 1x1
    convolution; no batch norm is before the classifier.

    Args:
        resolution: Height and width of the input.
        num_classes: Classes of the head.
    """
    choices, before = list[Choice](), STEM
    for stage, width in enumerate(_WIDTHS, start=1):
        if stage > 1:
            reduced = _reduction(f"reduction{stage}", width // 2, width, before)
            choices += reduced
            before = reduced[-1].name
        for number in range(1, _CELLS + 1):
            cell = _cell(f"cell{stage}.{number}", width, before, is_first=not choices)
            choices += cell
            before = cell[-1].name
    return SearchSpace(
        name=f"nasbench201-r{resolution}-c{num_classes}",
        input_shape=(3, resolution, resolution),
        stem=(Conv(3, _WIDTHS[0], kernel_size=3, activation="none"),),
        choices=tuple(choices),
        head=(PooledHead(_WIDTHS[-1], num_classes=num_classes),),
    )


def edge(source: int, target: int) -> str:
    """Name of the decision on what stands between two nodes."""
    return f"edge{source}{target}"


def _candidates(width: int) -> tuple[Block, ...]:
    return (
        Zero(width, width),
        Skip(width, width),
        Conv(width, width, kernel_size=1),
        Conv(width, width, kernel_size=3),
        AveragePool(width),
    )


def _cell(name: str, width: int, read: str, *, is_first: bool) -> list[Choice]:
    """Edges and sums of one cell; decisions are those of the first one."""
    candidates, found, nodes = _candidates(width), list[Choice](), [read]
    for target in range(1, _NODES):
        node = ""
        for source in range(target):
            own = edge(source, target)
            place = own if is_first else f"{name}.{own}"
            found.append(
                Choice(
                    place, candidates, ((nodes[source],),) * len(candidates), follows="" if is_first else own
                )
            )
            if not node:
                node = place
                continue
            found.append(always(f"{name}.{node}+{place}", Sum((width, width)), node, place))
            node = found[-1].name
        nodes.append(node)
    return [*found, always(f"{name}.out", Fallback((width, width)), nodes[-1], read)]


def _reduction(name: str, before: int, width: int, read: str) -> list[Choice]:
    """The residual block that halves height and width."""
    first = always(f"{name}.1", Conv(before, width, kernel_size=3, stride=2), read)
    second = always(f"{name}.2", Conv(width, width, kernel_size=3, activation="none"), first.name)
    short = always(f"{name}.short", Skip(before, width, stride=2, activation="none"), read)
    return [first, second, short, always(f"{name}.out", Sum((width, width)), second.name, short.name)]
