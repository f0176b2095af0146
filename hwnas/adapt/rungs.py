"""The rungs of the ladder: each tries one kind of change, and says what it found."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from torch import nn

from hwnas import blocks, spaces, tasks
from hwnas.adapt import blocks as blocks_rung
from hwnas.adapt import costs as costing
from hwnas.adapt.keeping import keep
from hwnas.adapt.latencies import Latency, latencies
from hwnas.adapt.strategies import STRATEGIES, Tell
from hwnas.adapt.subject import Subject
from hwnas.data import contents
from hwnas.device import Target
from hwnas.errors import HwnasError, InfeasibleBudget, LatencyModelError, SpaceError, TrainingError
from hwnas.export import random_module
from hwnas.runs import records
from hwnas.runs.adapting import AdaptStep
from hwnas.runs.folder import ChainFolder
from hwnas.space import Architecture
from hwnas.tasks.base import Predictions
from hwnas.train.config import TrainConfig, in_epochs
from hwnas.train.fitting import fit
from hwnas.train.scoring import predictions

if TYPE_CHECKING:
    from hwnas.data import Dataset

AS_IS, RUNTIME, RESOLUTION, WIDTHS, BLOCKS = "as it is", "runtime", "resolution", "widths", "blocks"
_SIZES = (0.92, 0.83, 0.75, 0.67, 0.58, 0.5, 0.42)  # of the side of images
_UNIT = 8  # pixels that sides are multiples of


@dataclass(frozen=True)
class Tried:
    """A network that a rung came to.

    Attributes:
        step: What is recorded of it.
        network: It, tuned; None where it is the whole network itself, or none was found.
        data: The images as it sees them; None for those of the subject.
        search: Run folder of the search that found it, if one did.
        arch: The network in blocks, where it is known before it is read off the module.
    """

    step: AdaptStep
    network: nn.Module | None = None
    data: Dataset | None = None
    search: Path | None = None
    arch: Architecture | None = None


@dataclass(frozen=True)
class Climb:
    """What all rungs share.

    Attributes:
        subject: The network.
        teacher: Its run folder.
        folder: Where rungs keep what they make.
        budget_ms: What is to be kept.
        seen: What the network as it is says of the validation images.
        short: How a network is tuned before it is looked at.
        tell: Told what is being done.
        notes: Why something came to nothing.
    """

    subject: Subject
    teacher: Path
    folder: Path
    budget_ms: float
    seen: Predictions
    short: TrainConfig
    tell: Tell
    notes: list[str] = field(default_factory=list)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of one image."""
        return self.subject.found.shape

    def step(
        self, rung: str, what: str, latency: Latency, seen: Predictions | None, **more: object
    ) -> AdaptStep:
        """The record of a network that was measured."""
        known = {"target": self.subject.target, "resolution": self.shape[1], **more}
        return AdaptStep(
            rung=rung,
            what=what,
            ms=latency.ms,
            interval_ms=latency.interval_ms,
            session=latency.word,
            keeps=latency.at_most_ms <= self.budget_ms and latency.interval_ms is not None,
            value=None if seen is None else seen.value,
            interval=None if seen is None else seen.interval,
            **known,  # type: ignore[arg-type]
        )


Rung = Callable[[Climb], Iterator[Tried]]


def other_targets(targets: Sequence[Target]) -> Rung:
    """The network as it is, on other runtimes and threads of the device."""

    def rung(climb: Climb) -> Iterator[Tried]:
        measurer, network = climb.subject.measurer, climb.subject.teacher.network
        for target in targets:
            climb.tell(f"measuring on {target}, {target.threads} threads")
            try:
                found = latencies(measurer, target, {"": network}, climb.shape)[""]
            except HwnasError as error:  # a runtime that this device or this network cannot have
                climb.notes.append(f"{_named(target)}: {error}")
                continue
            what = _named(target)
            yield Tried(climb.step(RUNTIME, what, found, climb.seen, target=target))

    return rung


def _named(target: Target) -> str:
    threads = "1 thread" if target.threads == 1 else f"{target.threads} threads"
    return f"{target.runtime}, {target.precision}, {threads}"


def smaller_images(climb: Climb) -> Iterator[Tried]:
    """The whole network on the largest images that keep the budget, tuned to them."""
    subject, arch = climb.subject, climb.subject.teacher.architecture
    if arch is None:
        return
    sides = dict.fromkeys(max(_UNIT, round(climb.shape[1] * share / _UNIT) * _UNIT) for share in _SIZES)
    smaller = {side: other for side in sides if side < climb.shape[1] and (other := _sized(arch, side))}
    climb.tell("measuring on smaller images")
    best: tuple[int, Latency] | None = None
    for number, (side, other) in enumerate(smaller.items(), start=1):  # shapes differ: each is a session
        climb.tell(f"measuring on smaller images: {number} of {len(smaller)} sizes at most")
        shape = other.space.input_shape
        network = random_module(other.blocks, 0, other.reads)
        found = latencies(subject.measurer, subject.target, {"": network}, shape)[""]
        best = side, found
        if found.at_most_ms <= climb.budget_ms:
            break
    if best is None:
        return
    side, found = best
    step = climb.step(RESOLUTION, f"{side} px", found, None, resolution=side)
    if not step.keeps:
        yield Tried(replace(step, note="the smallest images that were tried"))
        return
    said = f"tuning on images of {side} px"
    climb.tell(said)
    data = _seen_at(subject.data, side)
    network = blocks.network(smaller[side])
    network.load_state_dict(subject.teacher.network.state_dict())
    short = replace(climb.short, seed=subject.seed)
    fit(network, data, short, fresh=(), on_epoch=in_epochs(climb.tell, said))
    seen = predictions(network, data, "val")
    if contents.are_masks(data.val.labels):
        climb.notes.append(
            f"{RESOLUTION}: {side} px is judged by masks of that size, the others by larger ones"
        )
    yield Tried(replace(step, value=seen.value, interval=seen.interval), network, data, arch=smaller[side])


def _seen_at(data: Dataset, side: int) -> Dataset:
    """The same images, in the same splits, at another size."""
    other = tasks.of(data).load(
        data.name,
        resolution=side,
        seed=data.seed,
        val_share=data.val_share,
        test_share=data.test_share,
        flip=data.flip,
    )
    return other.standardized(data.mean, data.std)


def _sized(arch: Architecture, side: int) -> Architecture | None:
    """The same network on images of another side; None where its blocks do not allow that."""
    try:
        other = spaces.load(arch.space.name, resolution=side).architecture(arch.indices)
    except HwnasError:
        return None
    return other if other.blocks == arch.blocks else None


def fewer_channels(strategy: str) -> Rung:
    """The widths that a strategy chooses, tuned with the whole network as teacher."""

    def rung(climb: Climb) -> Iterator[Tried]:
        subject = climb.subject
        try:
            costs = costing.costs(subject, ChainFolder(climb.folder).tables, climb.tell)
            chosen = STRATEGIES[strategy](subject, costs, climb.tell)
            kept = keep(subject, chosen, costs, climb.budget_ms, climb.tell)
        except (InfeasibleBudget, LatencyModelError) as error:
            climb.notes.append(f"{WIDTHS}: {error}")
            return
        said = f"tuning what {strategy} chose"
        climb.tell(said)
        on_epoch = in_epochs(climb.tell, said)
        network = subject.tuned(subject.narrowed(kept.indices), climb.short, on_epoch)
        channels = sum(subject.space.chosen(kept.indices).values())
        whole = sum(group.channels for group in subject.space.groups)
        gone = sum(not width for width in subject.space.chosen(kept.indices).values())
        what = f"{strategy}: {channels / whole:.0%} of the channels"
        what += f", {gone} block{'s' if gone > 1 else ''} less" if gone else ""
        yield Tried(climb.step(WIDTHS, what, kept.latency, subject.seen(network)), network)

    return rung


def cheaper_blocks(climb: Climb) -> Iterator[Tried]:
    """What a search in all that is cheaper finds, block by block."""
    subject = climb.subject
    folder = climb.folder / BLOCKS
    try:
        record = blocks_rung.searched(
            climb.teacher,
            folder,
            subject.measurer.device,
            subject.target,
            climb.budget_ms,
            seed=subject.seed,
            measuring=subject.measurer.options,
            tell=climb.tell,
        )
    except (InfeasibleBudget, SpaceError, TrainingError) as error:
        climb.notes.append(f"{BLOCKS}: {error}")
        return
    found = blocks_rung.latency_of(record)
    if found is None:
        climb.notes.append(f"{BLOCKS}: nothing that was found was measured")
        return
    arch = spaces.architecture_from_json(records.arch(folder / "search"))
    pairs = list(zip(arch.indices, arch.space.reference, strict=True))
    what = f"{sum(own != whole for own, whole in pairs)} of {len(pairs)} blocks replaced"
    step = climb.step(BLOCKS, what, found, None)
    if step.keeps:
        value, interval = blocks_rung.tuned(record) or _tuned_now(climb, folder / "search")
        step = replace(step, value=value, interval=interval)
    yield Tried(step, search=folder / "search")


def _tuned_now(climb: Climb, search: Path) -> blocks_rung.Seen:
    """What a network is worth that its search had nothing to compare with, and did not tune."""
    said = "tuning cheaper blocks"
    climb.tell(said)
    network = blocks_rung.learnt(search, climb.subject.data)
    seen = climb.subject.seen(climb.subject.tuned(network, climb.short, in_epochs(climb.tell, said)))
    return seen.value, seen.interval
