"""First weights of a space whose places are, some of them, blocks of a network that others trained."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from hwnas.known import pretrained
from hwnas.train.adapting import origin_of
from hwnas.train.training import Start

if TYPE_CHECKING:
    import torch

    from hwnas.data import Dataset
    from hwnas.known.pretrained import Weights
    from hwnas.space import Architecture, SearchSpace


def lent(space: SearchSpace) -> dict[int, dict[str, torch.Tensor]]:
    """Weights of the first candidate of choices, by their numbers and the names of its ``state_dict``.

    Raises:
        TrainingError: The package of the weights is not installed.
    """
    found = {}
    for number, choice in enumerate(space.choices):
        if choice.learnt is not None:
            network, block = choice.learnt
            found[number] = _block(_weights(network).tensors, block)
    return found


def origin(space: SearchSpace) -> Mapping[str, Any]:
    """Where the weights come from, as JSON; the first network's where there are several.

    Raises:
        TrainingError: The package of the weights is not installed.
    """
    networks = (choice.learnt[0] for choice in space.choices if choice.learnt is not None)
    return origin_of(_weights(next(networks)))


def start_of(arch: Architecture, _data: Dataset) -> Start:
    """The weights that a network begins with where its space has any: ``training.Begins``."""
    lends, stem = lent(arch.space), len(arch.space.stem)
    tensors = {
        f"{number}.{name}": tensor
        for number, place in enumerate(arch.flow.running)
        if place - stem in lends and arch.picks[place - stem] == 0
        for name, tensor in lends[place - stem].items()
    }
    return Start(tensors, origin(arch.space), is_pretrained=True)


def _block(tensors: Mapping[str, torch.Tensor], number: int) -> dict[str, torch.Tensor]:
    begin = f"{number}."
    return {name.removeprefix(begin): t for name, t in tensors.items() if name.startswith(begin)}


@lru_cache(maxsize=2)
def _weights(network: str) -> Weights:
    return pretrained.weights_of(network)
