"""What costs least first: the whole network elsewhere, on smaller images, with fewer channels."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwnas import device as devices
from hwnas import files, tasks
from hwnas.adapt import rungs, shipping, steps
from hwnas.adapt.latencies import Latency, Stopwatch, latencies
from hwnas.adapt.narrowable import narrowable, require_whole_again
from hwnas.adapt.original import GivenModel, original
from hwnas.adapt.rungs import AS_IS, BLOCKS, RESOLUTION, RUNTIME, WIDTHS, Climb, Rung, Tried
from hwnas.adapt.strategies import STRATEGIES
from hwnas.adapt.subject import Subject
from hwnas.annotations import require_fields
from hwnas.budget import Budget
from hwnas.device import Device, Target
from hwnas.errors import DeviceError, HwnasError, InfeasibleBudget, SpaceError
from hwnas.finalists.tuning import settled
from hwnas.measure import ProfileOptions
from hwnas.runs import outputs, records
from hwnas.runs.adapting import AdaptRecord
from hwnas.runs.folder import RunFolder
from hwnas.statistics.bounds import at_least, at_most
from hwnas.train.config import EpochRecord, TrainConfig
from hwnas.train.teacher import load_teacher
from hwnas.train.training import dataset_of
from hwnas.widths import Prunable

if TYPE_CHECKING:
    from hwnas.data import Dataset

RUNGS = (RUNTIME, RESOLUTION, WIDTHS, BLOCKS)


@dataclass(frozen=True)
class AdaptOptions:
    """How a network is made to keep a budget.

    Attributes:
        rungs: What may be changed, of ``RUNGS``; tried in the order that stands there.
        strategy: How widths are chosen.
        accept: What may be lost on validation images for the climb to end: a part of 1 of a share as
            accuracy, of the value of another metric.
        step: Channels that widths are multiples of; None for the device's own staircase, see ``steps``.
        short_epochs: Passes over the images with which what was tried is tuned before it is looked at.
        epochs: Of the training of what ships; as of ``hwnas train`` by default.
        seed: Of all randomness.
        measuring: How well to measure.
    """

    rungs: tuple[str, ...] = RUNGS
    strategy: str = "gates"
    accept: float = 0.01
    step: int | None = None
    short_epochs: int = 2
    epochs: int | None = None
    seed: int = 0
    measuring: ProfileOptions = field(default_factory=ProfileOptions)

    def __post_init__(self) -> None:
        require_fields(self, HwnasError)
        checks = {
            f"rungs must be of {', '.join(RUNGS)}": bool(self.rungs) and set(self.rungs) <= set(RUNGS),
            f"strategy must be one of {', '.join(STRATEGIES)}": self.strategy in STRATEGIES,
            "accept must be in [0, 1]": 0 <= self.accept <= 1,
            "step must be at least 1": self.step is None or self.step >= 1,
            "short_epochs must be at least 1": self.short_epochs >= 1,
            "epochs must be at least 1": self.epochs is None or self.epochs >= 1,
        }
        for said, holds in checks.items():
            if not holds:
                raise HwnasError(f"{said}, but got {getattr(self, said.split()[0])!r}")


@outputs.alone_in("run", "an adaptation", new=True)
def adapt(
    given: GivenModel,
    run: Path,
    budget: Budget,
    options: AdaptOptions | None = None,
    *,
    is_open: bool = False,
    tell: Callable[[str], None] = lambda _: None,
    on_epoch: Callable[[EpochRecord], None] = lambda _: None,
) -> AdaptRecord:
    """Make a network keep a budget, and leave it trained in a run folder, to be exported and verified.

    Args:
        given: The network and its images.
        run: Folder of the run; what an earlier call left there is used.
        budget: On one target, in milliseconds or as a share of what the network itself takes there.
        options: What may be changed, and how.
        is_open: Whether the runtime and its threads may be changed, as the budget names the device alone.
        tell: Told what is being done.
        on_epoch: Called after every epoch of the long trainings.

    Returns:
        What was tried. Its ``taken`` is None where nothing keeps the budget; then nothing is trained.

    Raises:
        HwnasError: The network, its images or the device are not as they must be.
    """
    options, began = options or AdaptOptions(), time.monotonic()
    target = budget.target
    if not isinstance(target, Target):
        raise HwnasError(
            f"a budget must be on a device and a runtime, but got {budget}: name one, as host=12"
        )
    folder, asked = RunFolder(run), _asked(given, budget, options)
    begun = _begun(folder, asked)
    teacher_run = original(given, run, tell=tell, on_epoch=on_epoch)
    if begun is not None:
        tell("training what ships")
        shipping.trained(run, begun, teacher_run, data=None, epochs=options.epochs, on_epoch=on_epoch)
        return begun
    data = dataset_of(records.trained(teacher_run).data)
    teacher = load_teacher(teacher_run, data)
    notes = list[str]()
    if RUNTIME in options.rungs and not is_open:
        notes.append(f"{RUNTIME}: not tried, as the budget names one")
    device = devices.load(target.device)
    with ExitStack() as stack:
        measurer = stack.enter_context(Stopwatch(device, options.measuring, folder.sessions, tell))
        step_of = partial(_step, measurer, target, options, tell)
        widths = narrowable(given.model, teacher.network, data.image_shape, step_of)
        if widths.refusal is not None and WIDTHS in options.rungs:
            options = _without_widths(options, widths.refusal, notes.append)
        subject = Subject(teacher, data, widths.found, widths.space, target, measurer, options.seed)
        tell("measuring the network as it is")
        seen = subject.seen(teacher.network)
        whole = latencies(measurer, target, {"": teacher.network}, data.image_shape)[""]
        budget_ms = budget.limit * whole.ms / 100 if budget.is_share else budget.limit
        short = settled(TrainConfig(epochs=options.short_epochs), data)
        climb = Climb(subject, teacher_run, run, budget_ms, seen, short, tell, notes)
        tried = [Tried(climb.step(AS_IS, f"{target.runtime}, {target.precision}", whole, seen))]
        for rung in _rungs(device, target, options, is_open):
            if _is_done(tried, options.accept, data):
                break
            tried += rung(climb)
    best = _best(tried, data)
    record = AdaptRecord(
        model=Path(given.model).name,
        target=target,
        budget_ms=budget_ms,
        asked=budget.text,
        seed=options.seed,
        metric=tasks.of(data).metric,
        images=len(data.val),
        steps=tuple(each.step for each in tried),
        taken=None if best is None else tried.index(best),
        seconds=time.monotonic() - began,
        notes=tuple(notes),
        more={
            "strategy": options.strategy,
            "rungs": list(options.rungs),
            "accept": options.accept,
            "step": widths.step,
            "request": asked,
        },
    )
    if best is not None:
        shipping.settle(run, best, subject, teacher_run, record)
    run.mkdir(parents=True, exist_ok=True)
    files.write_json(folder.adapting, record.to_json())
    shutil.rmtree(folder.sessions, ignore_errors=True)
    if best is not None:
        tell("training what ships")
        images = best.data or data
        shipping.trained(run, record, teacher_run, data=images, epochs=options.epochs, on_epoch=on_epoch)
    return record


def _asked(given: GivenModel, budget: Budget, options: AdaptOptions) -> dict[str, Any]:
    """What an adaptation is recognised by."""
    of_model = {name: value for name, value in asdict(given).items() if name != "config"}
    of_model["task"] = given.task or tasks.DEFAULT
    of_options = {name: value for name, value in asdict(options).items() if name != "measuring"}
    asked = {**of_model, **of_options, "budget": budget.with_threads}
    found: dict[str, Any] = json.loads(json.dumps(asked, default=str))
    return found


def _begun(folder: RunFolder, asked: Mapping[str, Any]) -> AdaptRecord | None:
    """What an earlier call came to, if something is to be shipped; None where it is all to be done.

    Raises:
        HwnasError: The folder holds another run, or another adaptation.
    """
    if folder.adapting.exists():
        record = records.adapting(folder.path)
        if record.taken is None:
            return None
        before = record.more.get("request", {})
        odd = [name for name, value in asked.items() if before.get(name) != value]
        if not odd:
            return record
        raise HwnasError(
            f"a network must be adapted into a folder of its own, but {folder.path} holds another adaptation "
            f"(it differs in {', '.join(odd)}): give another"
        )
    is_own = (folder.path / BLOCKS).exists() or (
        folder.search.exists() and records.search(folder.path).strategy == shipping.STRATEGY
    )
    if folder.arch.exists() and not is_own:
        raise HwnasError(
            f"a network must be adapted into a folder of its own, but {folder.path} holds a run: give another"
        )
    return None


def _step(
    measurer: Stopwatch, target: Target, options: AdaptOptions, tell: Callable[[str], None], found: Prunable
) -> int:
    """What is asked for, or the device's own where widths are to be chosen at all."""
    if WIDTHS not in options.rungs:
        return options.step or steps.USUAL
    require_whole_again(found)
    if options.step is not None:
        return options.step
    tell("reading the staircase of widths")
    return steps.step_of(found, measurer, target)


def _without_widths(options: AdaptOptions, refusal: SpaceError, note: Callable[[str], None]) -> AdaptOptions:
    """Where nothing can be narrowed, widths are no rung."""
    left = tuple(rung for rung in options.rungs if rung != WIDTHS)
    if not left:
        raise refusal
    note(f"{WIDTHS}: {refusal}")
    return replace(options, rungs=left)


def require_kept(record: AdaptRecord) -> None:
    """Raise InfeasibleBudget where nothing that was tried keeps the budget."""
    if record.taken is None:
        fastest = min(record.steps, key=lambda step: step.ms)
        raise InfeasibleBudget(
            f"a budget must be kept by something that was tried, but none of {len(record.steps)} networks is "
            f"proven to take at most {at_most(record.budget_ms)} ms (the fastest, {fastest.what}: "
            f"{at_least(fastest.ms)} ms): raise the budget, or allow more rungs",
            budget=record.budget_ms,
            least=fastest.ms,
            unit="ms",
        )


def _rungs(device: Device, target: Target, options: AdaptOptions, is_open: bool) -> Iterator[Rung]:
    if RUNTIME in options.rungs and is_open:
        yield rungs.other_targets(list(_other_targets(device, target)))
    if RESOLUTION in options.rungs:
        yield rungs.smaller_images
    if WIDTHS in options.rungs:
        yield rungs.fewer_channels(options.strategy)
    if BLOCKS in options.rungs:
        yield rungs.cheaper_blocks


def _other_targets(device: Device, target: Target) -> Iterator[Target]:
    """Other runtimes of the device with the same precision, and all of its cores."""
    import os

    cores = (os.cpu_count() or 1) if device.name == "host" else target.threads
    for runtime, threads in product(device.runtimes, dict.fromkeys((target.threads, cores))):
        try:
            other = device.target(runtime, target.precision, threads=threads)
        except DeviceError:  # a runtime without this precision
            continue
        if other != target:
            yield other


def _is_done(tried: list[Tried], accept: float, data: Dataset) -> bool:
    """Whether something keeps the budget and loses no more than is accepted."""
    first = tried[0].step
    task = tasks.of(data)
    return any(
        each.step.keeps
        and each.step.value is not None
        and task.metric.lost(each.step.value, first.value or 0.0) <= accept
        for each in tried
    )


def _best(tried: list[Tried], data: Dataset) -> Tried | None:
    """What keeps the budget and does best on validation images; the earlier one of equals."""
    task = tasks.of(data)
    fitting = [each for each in tried if each.step.keeps and each.step.value is not None]
    return max(fitting, key=lambda each: task.metric.better(each.step.value or 0.0), default=None)


__all__ = ["RUNGS", "AdaptOptions", "Latency", "adapt", "require_kept"]
