"""From budgets to the best network that keeps them."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hwnas import known, plugins, spaces, tasks
from hwnas.api.front import FrontNetwork, front_of
from hwnas.api.given import AnyPath, AnySpace, typed
from hwnas.device import Target
from hwnas.errors import HwnasError
from hwnas.pools import PoolSpec
from hwnas.runs import records
from hwnas.search.settings import TRAINING_STEPS
from hwnas.shown import Display, ShownTable, cell, ends, low_high
from hwnas.space import Architecture
from hwnas.statistics.verdict import Verdict
from hwnas.tracking.following import SEARCH, followed, usable

if TYPE_CHECKING:
    from hwnas.budget import Budget
    from hwnas.evaluators.supernet.config import OneShotConfig
    from hwnas.evaluators.zero_cost.config import ZeroCostConfig
    from hwnas.finalists import SearchOptions
    from hwnas.latency import LatencyModel
    from hwnas.pipeline.sizes import Size
    from hwnas.runs.found import SearchRecord
    from hwnas.tracking import Tracker
    from hwnas.train import TrainConfig


@dataclass(frozen=True, repr=False)
class Found(ShownTable):
    """What a search found.

    Attributes:
        run: Its folder, which the later stages work in.
        architecture: The best network that keeps the budgets.
        score: What the search estimated of it, in [0, 1]: validation accuracy of a shared or short
            training, for example; not what it will reach when it is trained.
        verdict: Whether it is proven, by measuring, to keep the budgets; None where nothing was measured.
        record: All that ``search.json`` says.
        front: The networks that no other beats, the found one among them, each on each target.
    """

    run: Path
    architecture: Architecture
    score: float
    verdict: Verdict | None
    record: Mapping[str, Any]
    front: tuple[FrontNetwork, ...] = ()

    def flat(self) -> list[dict[str, Any]]:
        """One flat object a network of the front and target, as for a data frame; None: not known."""
        return [
            {
                "network": item.name,
                "is_found": item.is_found,
                "score": item.score,
                **low_high(item.score_interval, "_score"),
                "target": item.target,
                "latency_ms": item.latency_ms,
                **low_high(item.interval_ms, "_ms"),
                "is_measured": item.is_measured,
                "budget_ms": item.budget_ms,
            }
            for item in self.front
        ]

    def view(self) -> Display:
        """What was found, whether it keeps the budgets, and what else there is to be had."""
        word = "nothing was measured" if self.verdict is None else f"budgets: {self.verdict.word}"
        name = ".".join(map(str, self.architecture.indices))
        said = f"{self.architecture.space.name} {name}, estimated {self.record.get('score', 'score')}"
        rows = [
            (
                f"{item.name}{' (found)' * item.is_found}",
                f"{item.score:.2%}",
                item.target,
                cell(item.latency_ms, "ms"),
                ends(item.interval_ms),
                "measured" if item.is_measured else "predicted",
                cell(item.budget_ms, "ms"),
            )
            for item in self.front
        ]
        columns = ("network", "score", "on", "latency", "95 % interval", "which is", "budget")
        reasons = () if self.verdict is None else self.verdict.reasons
        return Display(f"{said} {self.score:.2%}; {word}; in {self.run}", columns, rows, reasons)


@typed
def search(
    space: AnySpace | None,
    budgets: Mapping[str | Target, float | str] | Sequence[Budget],
    out: AnyPath,
    *,
    models: Sequence[LatencyModel | AnyPath] = (),
    data: str | Path | None = None,
    task: str = tasks.DEFAULT,
    strategy: str | None = None,
    teacher: AnyPath | Sequence[AnyPath] | None = None,
    settings: Mapping[str, Any] | None = None,
    oneshot: OneShotConfig | None = None,
    training_steps: int | None = None,
    scratch: TrainConfig | None = None,
    untrained: ZeroCostConfig | None = None,
    pool: str = "processes:1",
    seed: int = 0,
    confidence: float = 0.9,
    objectives: Sequence[str] = (),
    limits: Mapping[str, float] | None = None,
    options: SearchOptions | None = None,
    progress: Callable[[Mapping[str, Any]], None] | None = None,
    warn: Callable[[str], None] | None = None,
    track: Sequence[str | Tracker] = (),
) -> Found:
    """Search the best architecture that keeps every budget, and measure that it does.

    Called again for the same folder, it goes on where it was cut off.

    Args:
        space: What is searched; without a class count in its name it gets that of the data. None with a
            ``teacher``: all that is cheaper than it, block by block.
        budgets: For each target, as "host/litert-int8" or, for the device's first runtime in int8,
            "host": milliseconds, or a share of the range from the fastest to the slowest network as "60%".
            Or the same as objects, each on a target.
        out: Folder of the run; created.
        models: Latency models to believe, one a budget, instead of those that follow from the devices'
            tables; then nothing is measured unless ``options`` says so.
        data: "digits" where nothing is said, "clutter" or "clutter-hard", a folder of images or parquet
            files, or an npz file.
        task: What networks are to do with them.
        strategy: How to search; "exact" where nothing is said.
        teacher: Run folder of a trained network (``hwnas.train(..., pretrained=...)`` makes one), whose
            blocks are cut and reshaped, and taught by it; the images are its own then. Several, each on
            images of another size, of another width or, with decoders, of other strides, are searched around
            one after the other, in the same milliseconds; what is found is tuned alike, and the better
            network is taken.
        settings: Of the strategy, beside its defaults.
        oneshot: How a supernet is made and trained: block by block where nothing is said, but on random paths
            with a strategy that trains one itself.
        training_steps: Weight updates of a supernet that a sampling strategy scores with: 600, or 120 with
            a teacher, where nothing is said.
        scratch: How each architecture is trained to be scored, instead of a supernet.
        untrained: How architectures are scored without training any, instead of either.
        pool: Who trains architectures from scratch at the same time: ``processes:N`` of this machine, or
            ``ray[://HOST:PORT][?num_cpus=C&num_gpus=G]`` of a Ray cluster.
        seed: Where all randomness comes from.
        confidence: Wanted chance that the budgets are kept, in [0.5, 1).
        objectives: Also to be small: "macs", "params", "bytes", "energy_mj".
        limits: Not to be exceeded either, by such a name.
        options: What is wanted beside the search: measuring, ranking, gallery, folder of tables.
        progress: Called after every step with what is known of it, which prints as a line.
        warn: Given a sentence for each thing that one should know.
        track: Where to log as well, as "mlflow:URI", "tensorboard" or "wandb", or objects that satisfy
            ``hwnas.tracking.Tracker``.

    Returns:
        The network, and whether its budgets are proven to be kept.

    Raises:
        InfeasibleBudget: No architecture keeps the budgets.
        TableError: A target has no latency table.
        HwnasError: The folder holds another search, or a finished one.
    """
    from hwnas import finalists
    from hwnas.finalists import tuning
    from hwnas.pipeline import sizes
    from hwnas.search.request import SearchRequest
    from hwnas.search.session import SearchStep
    from hwnas.settings import requests, usual
    from hwnas.train.optim import pick_device

    plugins.ready()
    if teacher is not None and data is not None:
        raise HwnasError(
            f"a search with a teacher must be on the teacher's images, but got {data} too: leave out data"
        )
    asked, given = _budgets(budgets), dict(settings or {})
    trackers = usable(track, Path(out))

    def search_in(
        run: Path, teacher: AnyPath | None, within: tuple[Budget, ...], is_new: bool
    ) -> SearchRecord:
        name, scorer, by, steps = _scored_by(space, teacher, oneshot, strategy, seed)
        with _files(models) as files, followed(run, trackers, SEARCH) as following:

            def live(step: Mapping[str, Any]) -> None:
                following.step(step)
                if progress is not None:
                    progress(SearchStep(step))

            request = SearchRequest(
                space=name,
                latencies=files,
                budgets=_matched(files, within) if models else (),
                data="digits" if data is None else str(data),
                task=task,
                strategy=by,
                seed=seed,
                oneshot=scorer,
                settings=given if teacher is None else given | requests.taught(by, given),
                training_steps=steps if training_steps is None else training_steps,
                teacher=None if teacher is None else Path(teacher),
                scratch=scratch,
                untrained=untrained,
                pool=PoolSpec.read(pool),
                confidence=confidence,
                objectives=tuple(objectives),
                limits=dict(limits or {}),
            )
            record = finalists.search_for(
                () if models else within,
                request,
                run,
                options or finalists.SearchOptions(measure=not models),
                is_new=is_new,
                live=live,
                warn=warn or (lambda _: None),
            )
        return record or records.search(run)  # of the processes of torchrun, one has it

    if teacher is None or isinstance(teacher, str | Path):
        return _found(Path(out), search_in(Path(out), teacher, asked, True))
    if models or space is not None or oneshot is not None:
        raise HwnasError(
            "a search with several teachers must be in their own spaces, with latencies from tables, but got "
            "a space, models or oneshot too: leave them out, or give one teacher"
        )
    on = _by_size(teacher)
    device = pick_device(usual("train")["device"]).type
    config = tuning.usual(seed, device, epochs=options.finalists.tuned_epochs if options else None)
    record = sizes.best_of(
        on,
        asked,
        Path(out),
        lambda size, run, within: search_in(run, on[size], tuple(within), False),
        config,
        warn=warn or (lambda _: None),
    )
    with followed(Path(out), trackers):
        return _found(Path(out), record)


def _by_size(teachers: Sequence[AnyPath]) -> dict[Size, Path]:
    """Run folders of teachers by the height of the images that they see, their width and their strides."""
    found = {_size(Path(run)): Path(run) for run in teachers}
    if not teachers or len(found) < len(teachers):
        raise HwnasError(
            "teachers must be on images of different sizes, of different widths or, with decoders, of "
            f"different strides, but {len(teachers)} are of {len(found)}: give one of each size"
        )
    return found


def _size(run: Path) -> Size:
    from hwnas.pipeline.sizes import Size

    space = spaces.architecture_from_json(records.arch(run)).space
    side = space.input_shape[1]
    if not known.knows(space.name):
        return Size(side)
    said = known.named(space.name)
    is_usual = not said.decoder or said.strides == known.USUAL_STRIDES
    return Size(side, said.width, None if is_usual else said.strides)


def _found(run: Path, record: SearchRecord) -> Found:
    verdict = record.finalists.verdict if record.finalists else None
    best = spaces.architecture_from_json(records.arch(run))
    front = front_of(run, record)
    return Found(run, best, float(record.quality or 0.0), verdict, record.to_json(), front)


def _scored_by(
    space: AnySpace | None,
    teacher: AnyPath | None,
    oneshot: OneShotConfig | None,
    strategy: str | None,
    seed: int,
) -> tuple[str, OneShotConfig, str, int]:
    """Name of the space, what scores, the strategy, and how many steps train what scores."""
    from hwnas.search.settings import DISTILLATION_STEPS, STRATEGY
    from hwnas.settings import evaluated, requests, usual
    from hwnas.train.adapting import space_of

    if teacher is None:
        if space is None:
            raise HwnasError("a search must have a space, but got None and no teacher: give one of them")
        name = space if isinstance(space, str) else space.name
        by = strategy or STRATEGY
        scorer = requests.scorer(evaluated(by), usual("search.supernet"), name, seed, is_taught=False)
        return name, oneshot or scorer, by, TRAINING_STEPS
    if not Path(teacher).is_dir():
        raise HwnasError(
            f"a teacher must be the folder of a trained run, but {teacher} is none: "
            f"hwnas.train(run, pretrained={str(teacher)!r}, data=...) makes one of a known network"
        )
    named = space_of(Path(teacher)) if space is None else space
    name = named if isinstance(named, str) else named.name
    scorer = requests.blockwise(usual("search.supernet"), name, seed, is_taught=True)
    return name, oneshot or scorer, strategy or STRATEGY, DISTILLATION_STEPS


def _budgets(given: Mapping[str | Target, float | str] | Sequence[Budget]) -> tuple[Budget, ...]:
    from hwnas import budget

    if not given:
        raise HwnasError(
            'a search must have a budget at least, but got none: give {"host": "60%"}, for example'
        )
    if isinstance(given, Mapping):
        return tuple(each for target, limit in given.items() for each in _on(target, limit))
    named = [(each,) if isinstance(each.target, Target) else budget.parse([str(each)]) for each in given]
    return tuple(each for some in named for each in some)


def _on(target: str | Target, limit: float | str) -> tuple[Budget, ...]:
    from hwnas import budget

    text = limit if isinstance(limit, str) else np.format_float_positional(float(limit), trim="-")
    if isinstance(target, Target):
        return (budget.Budget.read(text, target),)
    return budget.parse([f"{target}={text}"])


@contextmanager
def _files(models: Sequence[LatencyModel | AnyPath]) -> Iterator[tuple[Path, ...]]:
    """The files of latency models; those that are objects are written for as long as it takes."""
    from hwnas import latency

    with tempfile.TemporaryDirectory(prefix="hwnas-") as folder:
        found = []
        for number, model in enumerate(models):
            if not isinstance(model, str | Path):
                latency.save(model, path := Path(folder) / f"{number}.json")  # type: ignore[arg-type]
            else:
                path = Path(model)
            found.append(path)
        yield tuple(found)


def _matched(files: Sequence[Path], budgets: Sequence[Budget]) -> tuple[Budget, ...]:
    """The budget of each model's target."""
    from hwnas import latency

    names, asked = [str(latency.load(file).target) for file in files], {each.name: each for each in budgets}
    if len(asked) != len(budgets) or sorted(names) != sorted(asked):
        raise HwnasError(
            f"latency models must be one a budget, but the models are of {', '.join(names)} and "
            f"the budgets of {', '.join(each.name for each in budgets)}"
        )
    return tuple(asked[name] for name in names)
