"""What of a config can be known to be wrong before anything is done, hours before it would be met."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwnas.budget import Budget
from hwnas.errors import HwnasError, SpaceError
from hwnas.evaluators.zero_cost.config import CALLED, SIMILARITY
from hwnas.pools import PoolSpec
from hwnas.settings.config import Config, Place
from hwnas.settings.kinds import SUPERNETS, Origin

if TYPE_CHECKING:
    from hwnas.search.base import Needs

_FROM_0, _FROM_1, _SHARE = (0, None), (1, None), (0, 1)
_MEASURED = ("profile", "promise.measuring")
_MEASURING = {
    "max_rounds": _FROM_1,
    "cpus": _FROM_0,
    "target_ci": _SHARE,
    "min_sample_ms": (0, 60_000),
    "min_round_s": (0, 3_600),
    "warmup_max_ms": (0, 600_000),
    "silence_s": (0, 86_400),
}
_RANGES: Mapping[tuple[str, str], tuple[float, float | None]] = {
    **{(section, name): ends for section in _MEASURED for name, ends in _MEASURING.items()},
    ("", "seed"): _FROM_0,
    ("search", "training_steps"): _FROM_1,
    ("search", "evaluate_epochs"): _FROM_1,
    ("search", "evaluate_images"): (2, None),
    ("search.supernet", "resolution"): (8, None),
    ("search.supernet", "seed"): _FROM_0,
    ("promise", "gallery_points"): _FROM_0,
    ("promise", "gallery_each"): _FROM_1,
    ("promise", "most_sessions"): _FROM_1,
    ("promise", "tuned_epochs"): _FROM_0,
    ("train", "seed"): _FROM_0,
    ("train", "distill_weight"): _SHARE,
    ("export", "calibration_images"): _FROM_1,
    ("export", "qat_if_worse"): _SHARE,
    ("export", "qat_epochs"): _FROM_1,
    ("export", "int8_drop"): _SHARE,
    ("export", "keep_int8_loss"): (0, 100),
    ("verify", "rounds"): _FROM_1,
    ("verify", "samples"): _FROM_1,
    ("verify", "min_round_s"): (0, 3_600),
}
"""Least and largest value of what no class checks by itself."""
_MAY_BE_EMPTY = {("export", "also")}
_REMEDY = ': set runtimes = ["auto"] in [profile] for the fastest runtime, and the budget alone here'


def require_valid(config: Config, place: Place) -> None:
    """Refuse what a later stage would refuse, naming the line.

    Raises:
        HwnasError: A value is out of its range, is not known, or does not go with another one.
    """
    _require_ranges(config, place)
    _require_known(config, place)
    _require_accepted(config, place)
    _require_together(config, place)


def require_in_range(section: str, values: Mapping[str, Any], place: Place) -> None:
    """Refuse a value of a section that is too small or too large, where no class does by itself.

    Raises:
        HwnasError: One is.
    """
    for (of, name), (low, high) in _RANGES.items():
        given = values.get(name) if of == section else None
        for value in given if isinstance(given, tuple) else (given,):
            if value is not None and not (low <= value and (high is None or value <= high)):
                wanted = f"at least {low}" if high is None else f"from {low} to {high}"
                raise HwnasError(f"{name} must be {wanted}, but got {value}{place(section, name)}")


def _require_ranges(config: Config, place: Place) -> None:
    for section, values in config.values.items():
        require_in_range(section, values, place)
    for section in _MEASURED:
        minutes = config.values[section]["max_minutes"]
        if minutes is not None and minutes <= 0:
            raise HwnasError(f"max_minutes must be over 0, but got {minutes}{place(section, 'max_minutes')}")
    if not 0.5 <= config.search.confidence < 1:
        raise HwnasError(
            f"confidence must be at least 0.5 and below 1, but got {config.search.confidence}"
            f"{place('search', 'confidence')}"
        )


def _require_known(config: Config, place: Place) -> None:
    from hwnas import bits, device, latency, runtimes, spaces, tasks, tracking
    from hwnas.export import PRECISIONS
    from hwnas.finalists.ranking import RANKS
    from hwnas.search import STRATEGIES
    from hwnas.search.objective import limit, require_objective
    from hwnas.search.oneshot.latency_loss import LATENCY_LOSSES
    from hwnas.train.auxiliary import require_possible
    from hwnas.train.optim import pick_device

    one_of: dict[tuple[str, str], tuple[str, ...]] = {
        ("fit", "model"): latency.MODELS,
        ("promise", "rank"): RANKS,
        ("export", "also"): PRECISIONS,
        ("export", "keep_by"): bits.NAMES,
        ("profile", "precisions"): device.PRECISIONS,
        ("profile", "runtimes"): (device.AUTO, *runtimes.RUNTIMES),
        ("search", "strategy"): tuple(STRATEGIES),
        ("search", "evaluate"): (*SUPERNETS, "scratch", *CALLED),
        ("baseline", "strategy"): tuple(STRATEGIES),
        ("search.settings", "loss"): tuple(sorted(LATENCY_LOSSES)),
        ("baseline.settings", "loss"): tuple(sorted(LATENCY_LOSSES)),
    }
    for (section, name), known in one_of.items():
        given = config.values[section].get(name)
        for value in given if isinstance(given, tuple) else (given,):
            if value is not None and value not in known:
                raise HwnasError(
                    f"{name} must be of {', '.join(known)}, but got {value!r}{place(section, name)}"
                )
        least = 0 if (section, name) in _MAY_BE_EMPTY else 1
        if isinstance(given, tuple) and len(set(given)) != max(least, len(given)):
            raise HwnasError(f"{name} must name something, each once, but got {given}{place(section, name)}")

    if device.AUTO in (config.targets.runtimes or ())[1:]:
        raise HwnasError(
            f"{device.AUTO} must stand before the runtimes that it chooses from, but got "
            f"{config.targets.runtimes}{place('profile', 'runtimes')}"
        )

    def checked(section: str, name: str, check: Callable[[], object]) -> None:
        try:
            check()
        except HwnasError as error:
            raise HwnasError(f"{error}{place(section, name)}") from error

    names = config.basics.device
    if len(set(names)) != max(1, len(names)):
        raise HwnasError(f"device must name something, each once, but got {names}{place('', 'device')}")
    for budget in config.search.budgets or ("",):
        if not _is_budget(budget):
            raise HwnasError(
                f'a budget must be milliseconds over 0 or a share up to 100 % as "60%", but got {budget!r}'
                f"{_REMEDY if budget.startswith(device.AUTO) else ''}{place('search', 'budgets')}"
            )
    checked("search", "objectives", lambda: list(map(require_objective, config.search.objectives)))
    checked("search", "limits", lambda: list(map(limit, config.search.limits)))
    checked("", "space", lambda: spaces.load(config.basics.space))
    checked("", "task", lambda: tasks.require(config.basics.task))
    checked("", "track", lambda: tracking.require(config.basics.track))
    auxiliary, task = config.values["train"]["auxiliary"], tasks.get(config.basics.task)
    checked("train", "auxiliary", lambda: require_possible(auxiliary, task))
    for section in ("search.supernet", "train"):
        checked(section, "device", lambda name=section: pick_device(config.values[name]["device"]))  # type: ignore[misc]
    if not config.basics.folder.strip():
        raise HwnasError(f"folder must name a folder, but is empty{place('', 'folder')}")
    if Path(config.data) == config.root and config.basics.data.strip() in ("", "."):
        raise HwnasError(f"data must name the images, but got {config.basics.data!r}{place('', 'data')}")


def _is_budget(text: str) -> bool:
    try:
        budget = Budget.read(text)
    except HwnasError:
        return False
    return not budget.is_share or budget.limit <= 100


def _require_accepted(config: Config, place: Place) -> None:
    """What the classes themselves refuse."""
    from hwnas.evaluators.supernet.config import OneShotConfig
    from hwnas.finalists import FinalistsOptions
    from hwnas.measure import ProfileOptions
    from hwnas.search import strategy
    from hwnas.train import TrainConfig

    def tried(section: str, kind: Any, values: Mapping[str, Any]) -> None:
        try:
            kind(**{name: value for name, value in values.items() if value is not None})
        except HwnasError as error:
            named = next((word for word in re.findall(r"\w+", str(error)) if word in values), None)
            raise HwnasError(
                f"[{section}] must hold settings that go together: {error}{place(section, named)}"
            ) from error

    tried("profile", ProfileOptions, config.profile)
    tried("search.supernet", OneShotConfig, config.values["search.supernet"])
    tried("search.settings", strategy(config.search.strategy), config.values["search.settings"])
    bounds = {field.name: config.values["promise"][field.name] for field in fields(FinalistsOptions)}
    tried("promise", FinalistsOptions, bounds)
    tried("promise.measuring", ProfileOptions, config.values["promise.measuring"])
    if config.baseline.strategy:
        tried("baseline.settings", strategy(config.baseline.strategy), config.values["baseline.settings"])
    tried("train", Origin, {field.name: config.values["train"][field.name] for field in fields(Origin)})
    tried("train", TrainConfig, config.train[1])


def _require_together(config: Config, place: Place) -> None:
    origin, settings = config.train
    _require_scoring(config, place)
    width = config.values["search.supernet"]["width"]
    if origin.init == "supernet" and width != 1:
        raise HwnasError(
            f"a supernet must be as wide as the network to lend it weights, but width is {width:g}: set "
            f'width = 1 in [search.supernet], or init to "seed"{place("train", "init")}'
        )
    if origin.teacher is not None and not origin.teacher.strip():
        raise HwnasError(f"a teacher must be the folder of a run, but is empty{place('train', 'teacher')}")
    if origin.teacher and not settings["distill_weight"]:
        raise HwnasError(
            f"a teacher must have a distill_weight over 0, but got 0{place('train', 'distill_weight')}"
        )


def _require_fitting(name: str, needs: Needs, evaluate: str | None, section: str, place: Place) -> None:
    """Refuse a strategy that needs another way to score."""
    if needs.shared_weights and evaluate != "supernet":
        how, others = ("has candidates learn blockwise", "exact, ")
        if evaluate == "scratch":
            how, others = ("has every network trained from scratch", "")
        elif evaluate in CALLED:
            how, others = ("has no network trained", "")
        raise HwnasError(
            f"a strategy that {how} must be a sampling one, but {name} trains a supernet: use "
            f"{others}evolution, nsga2, random or surrogate, for example{place(section, 'strategy')}"
        )
    if needs.fidelities and evaluate != "scratch":
        raise HwnasError(
            f"{name} must be able to train networks for less, but got evaluate = {evaluate!r}: set "
            f'evaluate = "scratch" and evaluate_epochs = 9, for example{place("search", "evaluate")}'
        )
    if needs.block_errors and evaluate != "blockwise":
        raise HwnasError(
            f"{name} must know the errors of blocks, but got evaluate = {evaluate!r}: set "
            'evaluate = "blockwise", or use evolution, nsga2, random or surrogate, for example'
            f"{place('search', 'evaluate')}"
        )


def _require_tasks(pool: PoolSpec, evaluate: str | None, place: Place, *, is_layerwise: bool) -> None:
    """Refuse a pool where nothing can be done beside something else."""
    if evaluate == "blockwise" and not is_layerwise:
        raise HwnasError(
            f"candidates must learn layer by layer to be taught by a pool, but got {pool} and layerwise = "
            f"false: set layerwise = true in [search.supernet]{place('search.supernet', 'layerwise')}, or "
            f'pool = "processes:1"{place("search", "pool")}'
        )
    if evaluate not in ("scratch", "blockwise"):
        raise HwnasError(
            f"a pool must be processes:1 where evaluate = {evaluate!r}, but got {pool}: set evaluate = "
            f'"scratch" to train every network, or "blockwise"{place("search", "pool")}'
        )


def _require_scoring(config: Config, place: Place) -> None:
    """Who trains a supernet has one; who trains each network has no use of one."""
    from hwnas.search import strategy

    wanted, asked = config.search, config.baseline.strategy
    if wanted.teacher is not None and wanted.evaluate != "blockwise":
        raise HwnasError(
            f"a teacher must have pupils, but got {wanted.teacher} and evaluate = {wanted.evaluate!r}: set "
            f'evaluate = "blockwise"{place("search", "teacher")}'
        )
    if wanted.alike is not None and wanted.evaluate not in ("scratch", SIMILARITY):
        raise HwnasError(
            f"alike must be left out where networks are scored by themselves, but got {wanted.alike} and "
            f'evaluate = {wanted.evaluate!r}: set evaluate = "scratch" or "{SIMILARITY}"'
            f"{place('search', 'alike')}"
        )
    if wanted.alike is None and wanted.evaluate == SIMILARITY:
        raise HwnasError(
            f"alike must say whom networks are to be similar to where evaluate = {SIMILARITY!r}, but is not "
            f"set: give the folder of a run{place('search', 'evaluate')}"
        )
    try:
        pool = PoolSpec.read(wanted.pool)
    except SpaceError as error:
        raise HwnasError(f"{error}{place('search', 'pool')}") from error
    supernet = config.values["search.supernet"]
    if not pool.is_here:
        _require_tasks(pool, wanted.evaluate, place, is_layerwise=supernet["layerwise"])
    for key in ("block_score", "layerwise"):
        if wanted.evaluate != "blockwise" and supernet[key]:
            raise HwnasError(
                f"{key} must be left out where no candidate learns block by block, but got "
                f'{supernet[key]!r}: leave it out, or set evaluate = "blockwise"'
                f"{place('search.supernet', key)}"
            )
    for section, name in (("search", wanted.strategy), ("baseline", asked)):
        if name is not None:
            _require_fitting(name, strategy(name).needs, wanted.evaluate, section, place)
    if wanted.evaluate in SUPERNETS:
        return
    if wanted.evaluate in CALLED and config.values["promise"]["rank"] == "int8":
        raise HwnasError(
            f'rank must be left out or "fp32" where networks are not trained, but got "int8" and evaluate = '
            f"{wanted.evaluate!r}{place('promise', 'rank')}"
        )
    if config.train[0].init == "supernet":
        raise HwnasError(
            'init must be "seed" where networks are trained from scratch, but got "supernet": there is none'
            f"{place('train', 'init')}"
        )
