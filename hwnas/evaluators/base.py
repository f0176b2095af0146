"""What an evaluator is: it says how good an architecture is, and what that answer is worth.

Whoever searches asks an ``Evaluator`` and nothing more. What needs the networks behind the scores asks
for ``TrainedNetworks``, and a one-shot strategy, which trains a supernet itself, for ``SharedWeights``:
by what an evaluator offers, never by its class.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from hwnas import tasks
from hwnas.errors import SpaceError
from hwnas.latency.base import FloatArray
from hwnas.space import Architecture, SearchSpace

if TYPE_CHECKING:
    import torch
    from torch import nn

    from hwnas.data import Dataset
    from hwnas.evaluators.merits import Merits
    from hwnas.evaluators.supernet.network import Gate
    from hwnas.evaluators.supernet.paths import Paths
    from hwnas.runs.folder import RunFolder
    from hwnas.tasks import Task

Live = Callable[[Mapping[str, Any]], None]
"""Told of every step and every score: its record, with what is left to do."""


@dataclass(frozen=True)
class Traits:
    """What is to be known of the scores of an evaluator.

    Attributes:
        fidelity: What stands for a network that is trained to its end, in a few words.
        noise: Standard deviation of the scores of one architecture that is asked for again and again;
            0 where they are all the same.
        images: As many images as a score is as certain as; None where it is not of images.
        seconds: What a score took so far in this process, on average; None before the first.
        is_sendable: Whether the evaluator may be sent to another process, and scores there as it does here.
    """

    fidelity: str
    noise: float = 0.0
    images: int | None = None
    seconds: float | None = None
    is_sendable: bool = False

    @property
    def is_repeatable(self) -> bool:
        """Whether asking again is of no use."""
        return self.noise == 0

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON."""
        return asdict(self)


def mean_seconds(spent: Sequence[float]) -> float | None:
    """What a score took on average, of those that were made; None before the first."""
    return sum(spent) / len(spent) if spent else None


def require_data(space: SearchSpace, data: Dataset) -> None:
    """Refuse a space whose networks do not have an output for each class, or do not read such images.

    Raises:
        SpaceError: They have more or fewer, or other channels.
    """
    tasks.require_channels(data, space)
    wanted = tasks.of(data).outputs(data)
    if space.num_classes != wanted:
        raise SpaceError(
            f"the space must have as many classes as the data, but {space.name} has {space.num_classes} and "
            f"{data.name} has {wanted}"
        )


class Evaluator(Protocol):
    """Says how good an architecture is."""

    def __call__(self, arch: Architecture, /) -> float:
        """Accuracy in [0, 1], or whatever a task ranks its networks by; higher is better."""

    @property
    def traits(self) -> Traits:
        """What the scores are worth, and what they cost."""

    def identity(self) -> Mapping[str, Any] | None:
        """What must be the same for scores to be taken over, as JSON; None where nothing is known."""


@runtime_checkable
class TrainedNetworks(Evaluator, Protocol):
    """An evaluator that can also hand out the networks that it scores."""

    @property
    def space(self) -> SearchSpace:
        """Where architectures are from."""

    @property
    def proxy(self) -> SearchSpace:
        """Where the networks are from that stand for them."""

    @property
    def scored_images(self) -> int:
        """Validation images that an architecture is scored on."""

    @property
    def task(self) -> Task:
        """What networks are trained for."""

    @property
    def class_weights(self) -> str:
        """How classes are weighed, as of ``tasks.base.LossSettings``."""

    @property
    def merits(self) -> Merits:
        """What the scores are, and how two of them compare."""

    def all(self, architectures: Iterable[Architecture], /) -> list[float]:
        """The scores of several; at the same time where that is of use."""

    def prepare(self, steps: int, /, *, on_step: Live, checkpoint: Path) -> None:
        """Train what all scores are taken from, so many steps; nothing where each is trained on its own.

        Args:
            steps: Weight updates in all.
            on_step: Called after every one.
            checkpoint: Written now and then; continued if it is there.
        """

    def save_into(self, run: RunFolder, /) -> None:
        """Leave in a run what its architectures can be scored with again; nothing where it is there."""

    def subnetwork(self, indices: Sequence[int], /) -> nn.Module:
        """The network that the estimate is of."""

    def some(self, split: str, count: int, /) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Batches of so many random images of a split, with labels, the same for every architecture."""

    def describe(self) -> dict[str, Any]:
        """The settings, and what came of them, as JSON."""


@runtime_checkable
class SharedWeights(TrainedNetworks, Protocol):
    """An evaluator whose architectures share the weights of one supernet, which whoever asks may train."""

    paths: Paths
    device: torch.device
    steps: int

    @property
    def weights(self) -> Sequence[nn.Parameter]:
        """All that ``weight_step`` trains."""

    @property
    def rate(self) -> float:
        """Learning rate of the last weight step."""

    def loss(
        self,
        split: str,
        gates: Sequence[Gate],
        step: int,
        /,
        *,
        in_weights: bool | None = None,
        share: int = 1,
        exact: bool = False,
    ) -> torch.Tensor:
        """Loss under gates on the batch of a step.

        Args:
            split: "train" or "val".
            gates: One a choice.
            step: Which batch.
            in_weights: Whether it is to be differentiated in the weights; None: on "train" alone.
            share: One over the part of the batch that is looked at.
            exact: In float32 on CUDA too, for second derivatives.
        """

    def weight_step(self, gates: Sequence[Gate], factor: float, /) -> float:
        """One update of the weights at a share of the learning rate; returns the loss."""

    def origin(self) -> Mapping[str, Any]:
        """What must be the same for weights to be taken over, as JSON."""

    def tensors(self) -> dict[str, torch.Tensor]:
        """Weights and momenta."""

    def restore(self, tensors: Mapping[str, torch.Tensor], steps: int, path: Path, /) -> None:
        """Put back what ``tensors`` gave, after so many steps."""

    def taken(self, indices: Sequence[int], /) -> dict[str, torch.Tensor]:
        """A copy of the weights of one architecture."""

    def put(self, tensors: Mapping[str, torch.Tensor], /) -> None:
        """Put back what ``taken`` gave; no momentum of before goes on."""

    def save(self, path: Path, /) -> None:
        """Write the weights."""

    def resume(self, path: Path, /) -> None:
        """Go on from weights of ``save``."""


@runtime_checkable
class BlockErrors(Evaluator, Protocol):
    """An evaluator that knows what each candidate loses in its place, before a network is put together."""

    def block_errors(self) -> tuple[FloatArray, ...]:
        """Error of every candidate, one array a choice; 0 of what nothing is lost by."""


@runtime_checkable
class Fidelities(Evaluator, Protocol):
    """An evaluator that can also look at less of a training."""

    def at(self, share: float, /) -> Evaluator:
        """The same after a share of its training, over 0 and at most 1, to the nearest that there can be."""


@runtime_checkable
class Movable(Evaluator, Protocol):
    """An evaluator that can work on machines that have none of this one's files."""

    def moved(self) -> Callable[[Architecture], Any]:
        """What is sent there, with all that it needs; it gives what ``received`` takes."""

    def received(self, arch: Architecture, answer: Any, /) -> float:
        """The score of an answer; what else is in it is kept as if it had been made here."""


def fidelities(evaluator: object) -> Fidelities:
    """The evaluator as one that can train for less.

    Raises:
        SpaceError: It cannot.
    """
    if not isinstance(evaluator, Fidelities):
        raise SpaceError(
            "a strategy that promotes networks must have an evaluator that can train them for less, but got "
            f"{type(evaluator).__name__}: train each network from scratch, or take another strategy"
        )
    return evaluator


def block_errors(evaluator: object) -> BlockErrors:
    """The evaluator as one that knows the errors of blocks.

    Raises:
        SpaceError: It does not.
    """
    if not isinstance(evaluator, BlockErrors):
        raise SpaceError(
            "an exact search must have an evaluator that knows the error of every block, but got "
            f"{type(evaluator).__name__}: evaluate blockwise, or take another strategy"
        )
    return evaluator


def require_sendable(evaluator: Evaluator) -> None:
    """Refuse to score in several processes what only scores in this one.

    Raises:
        SpaceError: The evaluator cannot be sent.
    """
    traits = evaluator.traits
    if not traits.is_sendable:
        raise SpaceError(
            f"scores of several processes must be of an evaluator that can be sent to them, but "
            f"{type(evaluator).__name__} ({traits.fidelity}) cannot: score in this one, by processes:1"
        )


def shared_weights(evaluator: object) -> SharedWeights:
    """The evaluator as one that has a supernet.

    Raises:
        SpaceError: It has none.
    """
    if not isinstance(evaluator, SharedWeights):
        raise SpaceError(
            "a one-shot strategy must have an evaluator with a supernet to train, but got "
            f"{type(evaluator).__name__}: give a supernet, or take a strategy that samples"
        )
    return evaluator
