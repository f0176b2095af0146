"""What a kind of block must keep."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import partial

from hwnas import blocks, runtimes
from hwnas.errors import SpaceError
from hwnas.space import IMAGE, ZERO, Block, Op, Shape, Shapes, Workload, shapes_of
from hwnas.testing.claims import claim, refuses, works


def check_block(block: Block, in_shape: Shape | Shapes, *, is_exported: bool = True) -> None:
    """Claim that a block is what ``hwnas.space.Block`` wants, on an input of a shape.

    Its key and back; its output shape and its operations, one by one, against a run of the module that it
    builds; whether wrong inputs are refused; and whether every runtime computes what PyTorch computes.

    Args:
        block: A block of a kind that is registered.
        in_shape: (channels, height, width) of one image; of what reads several tensors, a tuple of them.
        is_exported: Whether to export it, which takes a second.

    Raises:
        AssertionError: Something does not hold.
    """
    claim(
        isinstance(block, Block),
        f"a block must have all members of hwnas.space.Block, but {block!r} lacks one",
    )
    registered = blocks.KINDS.get(block.kind)
    claim(
        registered is type(block),
        f"the kind of a block must be registered, but {block.kind!r} is of {registered}: use blocks.register",
    )
    with works(f"the key of {block!r}"):
        again = blocks.parse(block.key())
        claim(
            again == block, f"blocks.parse(key) must be the block again, but {block.key()!r} gives {again!r}"
        )
        claim(hash(again) == hash(block), f"equal blocks must have equal hashes, but {block!r} has not")
    for wrong in _wrong(in_shape):
        refuses(SpaceError, partial(block.out_shape, wrong), f"out_shape({wrong}) of {block!r}")
    with works(f"{block!r} on {in_shape}"):
        _check_operations(block, in_shape)
        _check_module(block, in_shape)
    if is_exported and not block.is_identity:
        with works(f"exporting {block!r}"):
            _check_export(block, in_shape)


def _wrong(shape: Shape | Shapes) -> Iterator[Shape | Shapes]:
    """Inputs of which one has a channel too many."""
    shapes = shapes_of(shape)
    for number, (channels, height, width) in enumerate(shapes):
        odd = channels + 1, height, width
        yield (*shapes[:number], odd, *shapes[number + 1 :]) if len(shapes) > 1 else odd


def _check_operations(block: Block, shape: Shape | Shapes) -> None:
    """What it says that it computes, against a trace."""
    from hwnas.testing.traced import operations

    said, workload = block.ops(shape), Workload(block, shape)
    claim(isinstance(said, tuple), f"ops must be a tuple, but {block!r} gives a {type(said).__name__}")
    claim(
        block.is_identity == (not said),
        f"a block must have operations unless is_identity, but {block!r} says {len(said)}",
    )
    ran = [operations(workload, is_whole=is_whole) for is_whole in (False, True)]
    claim(
        any(Counter(said) == Counter(run) for run in ran),
        f"ops must be those of the module, but {block!r} on {shape} has {_differing(said, ran[0])}",
    )
    macs, params = sum(op.macs for op in said), sum(op.params for op in said)
    claim(block.macs(shape) == macs, f"macs must be {macs} for {block!r}, but are {block.macs(shape)}")
    claim(block.params() == params, f"params must be {params} for {block!r}, but are {block.params()}")


def _differing(said: tuple[Op, ...], ran: list[Op]) -> str:
    """The operations that only one of two has."""
    odd = [*(Counter(said) - Counter(ran)).elements()], [*(Counter(ran) - Counter(said)).elements()]
    return f"only said {odd[0]}, only run {odd[1]}"


def _check_module(block: Block, shape: Shape | Shapes) -> None:
    """The module that it builds."""
    import torch

    from hwnas.blocks.wired import tensors

    module, said = block.build(), Workload(block, shape).out_shapes
    with torch.no_grad():
        images = [torch.randn(2, *each) for each in shapes_of(shape)]
        answers = tensors(module.eval()(*images))
    found = tuple(tuple(answer.shape[1:]) for answer in answers)
    flat = tuple(each[:1] if each[1:] == (1, 1) else each for each in said)
    claim(
        found in (said, flat),
        f"out_shape must be that of an answer, {found}, but {block!r} on {shape} says {said}",
    )
    is_finite = all(bool(torch.isfinite(answer).all()) for answer in answers)
    claim(is_finite, f"answers must be finite, but those of {block!r} are not")
    count = sum(p.numel() for p in module.parameters())
    claim(count == block.params(), f"params must be {count} for {block!r}, but are {block.params()}")
    if block.is_identity:
        wanted = [torch.zeros_like(answers[0])] if block.kind == ZERO else images[: len(answers)]
        claim(
            all(map(torch.equal, answers, wanted)),
            f"what costs nothing must answer its input, or zeros, but {block!r} does not",
        )


def _check_export(block: Block, shape: Shape | Shapes) -> None:
    """Every runtime that ships computes what PyTorch computes; ``lower`` raises where it does not."""
    from hwnas.export import lower, random_calibration, random_module

    module, images = random_module([block], 0, ((IMAGE,),)), random_calibration(shape, 8, 1)
    for runtime in runtimes.shipping():
        for precision in runtime.files:
            lower(module, shape, runtime.name, precision, calibration=images)
