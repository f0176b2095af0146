"""Known networks with the weights that others trained, exactly as they compute them.

Weights are laid over our own blocks by the order of layers and the shapes of tensors. What differs
between publishers is in the network and its tensors afterwards: padding is a property of its blocks, the
epsilon of batch norms is absorbed by their scale. How inputs are scaled stays with the ``Source``. A
narrower network than any that was published is cut out of a wider one.

A new source is one line in ``_sources.py``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwnas import blocks, files, known
from hwnas.errors import SpaceError, TrainingError
from hwnas.known import _statedict, decoders
from hwnas.known._publishers import PUBLISHERS
from hwnas.known._sources import SOURCES, Source
from hwnas.space import Architecture

if TYPE_CHECKING:
    import torch
    from torch import nn


@dataclass(frozen=True)
class Weights:
    """A network and what it learnt.

    Attributes:
        architecture: In our blocks, with as many classes as its weights tell apart.
        tensors: By the names of the ``state_dict`` of ``blocks.network(architecture)``.
        source: Where they come from.
        sha256: Of the file that they were read from.
        began_with: Of a run, weights that others had trained and that its own began with.
        narrowed_from: Short name of the wider network that they were cut out of; empty where they were not.
        shifting: Names of batch norms whose statistics are not known, which only shift; see
            ``train.renorming``.
    """

    architecture: Architecture
    tensors: Mapping[str, torch.Tensor]
    source: Source
    sha256: str
    began_with: Mapping[str, Any] | None = None
    narrowed_from: str = ""
    shifting: tuple[str, ...] = ()


def sources_of(name: str) -> tuple[Source, ...]:
    """The sources of weights that a name may mean, the usual one first.

    Args:
        name: Of a source ("timm:mobilenetv2_100.ra_in1k", or without what is behind the dot), or of a
            network ("efficientnet-lite0", "mobilenetv3-large-same"). Of a width that nobody trained, it
            means the sources of the narrowest network that is wider. A decoder behind it has none.

    Raises:
        SpaceError: There are none, or no such decoder.
    """
    plain, decoder, _ = _split(name)
    if decoder:
        decoders.of(decoder)
    found = next(_groups_of(plain), ())
    if not found and "/" in name:  # as no name of a network or a source has
        raise SpaceError(
            f"weights must be of a network that has a name, or of the folder of a run, but {name!r} is no "
            "folder that there is: mend the path, or give a name such as efficientnet-lite0"
        )
    if not found:
        networks = ", ".join(dict.fromkeys(s.network for s in SOURCES.values()))
        raise SpaceError(
            f"weights must be of {networks}, of a narrower one such as efficientnet-lite0-0.75, which is cut "
            "out of the next wider, or of a source such as timm:mobilenetv2_100 or torchvision:mobilenet_v2, "
            f"but got {name!r}: there are none of it"
        )
    return found


def _groups_of(name: str) -> Iterator[tuple[Source, ...]]:
    """The sources of the very network, then those of wider ones, the narrowest first."""
    if found := tuple(s for s in SOURCES.values() if name in (s.where, s.where.partition(".")[0])):
        yield found
    if not known.knows(name):
        return
    exact = known.load(name, resolution=_ANY, num_classes=_ANY).blocks
    asked = known.named(name)
    by_width: dict[float, list[Source]] = {}
    for source in SOURCES.values():
        theirs = known.named(source.name)
        if theirs.family != asked.family:
            continue
        given = _network(source, _ANY, _ANY).blocks
        if given == exact:
            by_width.setdefault(0, []).append(source)
        elif theirs.width > asked.width:
            wider = known.load(asked.at(theirs.width), resolution=_ANY, num_classes=_ANY)
            if given == wider.blocks:  # and not padded otherwise
                by_width.setdefault(theirs.width, []).append(source)
    yield from (tuple(by_width[width]) for width in sorted(by_width))


def weights_of(name: str, file: Path | None = None, *, resolution: int | None = None) -> Weights:
    """A known network with weights that were trained on ImageNet.

    Args:
        name: Of a source of weights or of a network, as of ``sources_of``; with a decoder behind it, as in
            efficientnet-lite0+fpnsum64, the decoder has none.
        file: Weights as their publisher has them, as safetensors or as PyTorch saves them, maybe
            fine-tuned to other classes; by default the usual source's, from an installed package or the
            publisher's cache. Where the name may mean several sources, their tensors' names must tell. A
            wider network's are known by their shapes, and cut.
        resolution: Of the network's input; by default what the name says, or what it was trained on.

    Raises:
        SpaceError: There is no such network or source.
        TrainingError: Its package is not installed, or the file is not readable or of another network.
    """
    plain, decoder, strides = _split(name)
    if decoder:
        return _decoded(weights_of(plain, file, resolution=resolution), decoder, strides)
    source, *_ = sources_of(name)
    if file is None:
        path, tensors = PUBLISHERS[source.publisher].fetch(source)
    else:
        path, tensors = file, _statedict.read(file)
        source = _told_apart(_that_fit(name, tensors), name, tensors, file)
    classes = _classes(tensors)
    if file is None and classes != source.classes:
        raise TrainingError(f"{source.where} must have {source.classes} classes, but {path} has {classes}")
    if resolution is None:
        said = known.named(name).resolution if known.knows(name) else None
        resolution = source.resolution if said is None else said
    if resolution < _SMALLEST:
        raise SpaceError(
            f"a network that divides its input by {_SMALLEST} must have at least as many pixels, but got "
            f"{resolution}"
        )
    architecture = _network(source, resolution, classes)
    module = blocks.network(architecture)
    laid = _statedict.laid_over(module, tensors, source.eps, f"{path} as {source.where}")
    found = Weights(architecture, laid, replace(source, classes=classes), files.sha256(path))
    return _narrowed(found, name) if known.knows(name) else found


def _split(name: str) -> tuple[str, str, str | None]:
    """The name of a network or a source without its decoder, that, and strides; empty where there is none."""
    if known.knows(name):
        said = known.named(name)
        return (said.plain, said.decoder, said.strides) if said.decoder else (name, "", said.strides)
    plain, _, decoder = name.partition("+")
    return plain, decoder, None


def _decoded(found: Weights, decoder: str, strides: str | None) -> Weights:
    """Weights of a network whose classifier has made room for a decoder, which has learnt nothing yet."""
    network = known.load(known.decorated(found.architecture.space.name, decoder), strides=strides)
    kept = range(len(found.architecture.blocks) - 1)  # all but the classifier are where they were
    tensors = {name: tensor for name, tensor in found.tensors.items() if int(name.partition(".")[0]) in kept}
    return replace(found, architecture=network, tensors=tensors)


def _narrowed(found: Weights, name: str) -> Weights:
    """Weights of the network of a name; cut where they are of a wider one."""
    wide = found.architecture
    side, classes = wide.space.input_shape[1], wide.space.num_classes
    narrow = known.load(name, resolution=side, num_classes=classes, strides="imagenet")
    if narrow.blocks == wide.blocks:
        return found
    from hwnas.blocks.narrowing import narrowed

    module = blocks.network(wide)
    module.load_state_dict(found.tensors, strict=False)  # all but the counts of batches
    cut = narrowed(wide.blocks, module, narrow.blocks).state_dict()
    tensors = {name: tensor for name, tensor in cut.items() if name in found.tensors}
    return replace(found, architecture=narrow, tensors=tensors, narrowed_from=found.source.network)


_SMALLEST = 32  # pixels, as all known networks with the strides of ImageNet divide by that
_ANY = 224  # pixels and classes of networks whose blocks are compared


@lru_cache
def _network(source: Source, resolution: int, classes: int) -> Architecture:
    """With the strides that its weights know, however small the images."""
    return known.load(source.name, resolution=resolution, num_classes=classes, strides="imagenet")


def _that_fit(name: str, tensors: Mapping[str, torch.Tensor]) -> tuple[Source, ...]:
    """The sources that tensors may be of by their shapes; those of the name where they fit none."""
    for group in _groups_of(name):
        network = _network(group[0], _ANY, _classes(tensors))
        if _statedict.is_like(blocks.network(network), tensors):
            return group
    return sources_of(name)


def _told_apart(
    may_be: Sequence[Source], name: str, tensors: Mapping[str, torch.Tensor], file: Path
) -> Source:
    """The source of a file by what its first tensor is called; what is called as nobody's may be any's."""
    first = next(iter(tensors))
    publishers = [key for key, publisher in PUBLISHERS.items() if publisher.calls(first)]
    left = [s for s in may_be if s.publisher in publishers or not publishers]
    if not left:
        raise TrainingError(
            f"weights must be of {name}, but {file} has names as those of {publishers[0]}, which "
            f"{', '.join(s.where for s in may_be)} has not: name the source that the file is of"
        )
    if len({(s.eps, s.mean, s.std) for s in left}) > 1:
        network = _network(left[0], _ANY, _classes(tensors))  # of all of them; what fits none is of none
        _statedict.laid_over(blocks.network(network), tensors, left[0].eps, f"{file} as {name}")
        raise TrainingError(
            f"the source of weights must be known, for how it scales inputs and norms them, but {file} as "
            f"{name} may be any of {', '.join(s.where for s in left)}: name one instead of {name}"
        )
    return left[0]


def _classes(tensors: Mapping[str, torch.Tensor]) -> int:
    """Rows of the last matrix; 1000 where there is none, which is refused further on."""
    last = [tensor for tensor in tensors.values() if tensor.ndim == 2]
    return len(last[-1]) if last else 1000


def into(module: nn.Module, architecture: Architecture, weights: Weights) -> tuple[str, ...]:
    """Put weights into a network of the same blocks; its classifier may tell other classes apart.

    Args:
        module: What ``blocks.network(architecture)`` gave.
        architecture: Its network.
        weights: Of the same network.

    Returns:
        Names of the tensors that stayed as they were: the last layer's, where the classes differ, and a
        decoder's.

    Raises:
        SpaceError: The network is another.
    """
    import torch

    own, given = _but_classes(architecture), _but_classes(weights.architecture)
    for number, (mine, theirs) in enumerate(zip_longest(own, given, fillvalue="nothing")):
        if mine != theirs:
            raise SpaceError(
                f"weights must be of the same network, but block {number} of {architecture.space.name} is "
                f"{mine} and that of {weights.architecture.space.name} is {theirs}"
            )
    state = module.state_dict()
    if odd := [name for name in weights.tensors if name not in state]:
        raise SpaceError(
            f"a module must be of {architecture.space.name}, but has no {odd[0]}: build its blocks"
        )
    fitting = {n for n, tensor in weights.tensors.items() if tensor.shape == state[n].shape}
    with torch.no_grad():
        for each in fitting:
            state[each].copy_(weights.tensors[each])
    return tuple(n for n in state if n not in fitting and not n.endswith("num_batches_tracked"))


def _but_classes(architecture: Architecture) -> list[str]:
    """Keys of the blocks, as if the last told two classes apart."""
    *others, head = architecture.blocks
    last: Any = head
    if hasattr(last, "num_classes"):
        last = replace(last, num_classes=2)
    return [block.key() for block in (*others, last)]


__all__ = ["SOURCES", "Source", "Weights", "into", "sources_of", "weights_of"]
