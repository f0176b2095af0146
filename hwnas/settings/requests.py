"""What is asked of the stages, made of settings: ``hwnas run`` and the verbs ask the same."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwnas.settings.config import Config

if TYPE_CHECKING:
    from hwnas.evaluators.supernet.config import OneShotConfig
    from hwnas.finalists import SearchOptions
    from hwnas.measure import ProfileOptions
    from hwnas.search.request import SearchRequest
    from hwnas.train import TrainConfig


def search(
    config: Config,
    *,
    space: str,
    data: str,
    latencies: tuple[Path, ...] = (),
    supernet: Path | None = None,
    is_baseline: bool = False,
) -> SearchRequest:
    """What is to be searched.

    Args:
        config: The settings.
        space: Name of the space; without a class count it gets that of the data.
        data: Source of images.
        latencies: Latency models, one a target, that the budgets are of.
        supernet: Weights of an earlier search, to be used instead of training anew.
        is_baseline: Whether the search that another one is compared with is meant.
    """
    from hwnas.budget import Budget
    from hwnas.search.objective import limit
    from hwnas.search.request import SearchRequest
    from hwnas.search.settings import DISTILLATION_STEPS, TRAINING_STEPS

    wanted, seed = config.search, config.basics.seed
    strategy, section = wanted.strategy, "search.settings"
    if is_baseline:
        strategy, section = config.baseline.strategy or strategy, "baseline.settings"
    settings = dict(config.values[section])
    if wanted.teacher:
        settings |= taught(strategy, settings)
    return SearchRequest(
        space=space,
        latencies=latencies,
        budgets=tuple(map(Budget.read, wanted.budgets)),
        data=data,
        task=config.basics.task,
        strategy=strategy,
        seed=seed,
        **_scoring(config, space),
        settings=settings,
        training_steps=wanted.training_steps or (DISTILLATION_STEPS if wanted.teacher else TRAINING_STEPS),
        supernet=supernet,
        teacher=config.search_teacher,
        confidence=wanted.confidence,
        objectives=tuple(dict.fromkeys(wanted.objectives)),
        limits=dict(map(limit, wanted.limits)),
    )


def taught(strategy: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of a strategy that are others where a trained network teaches, as far as nothing is set."""
    from dataclasses import fields

    from hwnas.search import strategy as strategy_of

    own = {field.name for field in fields(strategy_of(strategy))}
    return {"dropped": 1} if "dropped" in own and settings.get("dropped") is None else {}


def _scoring(config: Config, space: str) -> dict[str, Any]:
    """What scores architectures: a supernet, however it is trained, training each like one, or none."""
    from hwnas.evaluators.zero_cost.config import CALLED, Likeness, ZeroCostConfig
    from hwnas.pools import PoolSpec
    from hwnas.train import TrainConfig

    wanted, values, seed = config.search, config.values["search.supernet"], config.basics.seed
    oneshot = scorer(wanted.evaluate, values, space, seed, is_taught=wanted.teacher is not None)
    found: dict[str, Any] = {"oneshot": oneshot, "pool": PoolSpec.read(wanted.pool)}
    alike = None if config.alike is None else str(config.alike)
    if wanted.evaluate == "scratch":
        shared = {name: getattr(oneshot, name) for name in ("batch_size", "class_weights", "seed", "device")}
        found["scratch"] = TrainConfig(wanted.evaluate_epochs, **shared)
        found["alike"] = None if alike is None else Likeness(alike, wanted.evaluate_images)
    elif wanted.evaluate in CALLED:
        found["untrained"] = ZeroCostConfig(
            measure=wanted.evaluate,
            images=wanted.evaluate_images,
            seed=seed,
            device=oneshot.device,
            alike=alike,
        )
    return found


def scorer(
    evaluate: str | None, values: Mapping[str, Any], space: str, seed: int, *, is_taught: bool
) -> OneShotConfig:
    """How what scores is made and trained: blockwise, or as a supernet; see those two.

    Args:
        evaluate: Which, as in ``[search]``.
        values: The keys of ``[search.supernet]``.
        space: Name of the space.
        seed: Where they name none.
        is_taught: Whether a trained network teaches, blockwise.
    """
    if evaluate == "blockwise":
        return blockwise(values, space, seed, is_taught=is_taught)
    return supernet(values, space, seed)


def supernet(values: Mapping[str, Any], space: str, seed: int) -> OneShotConfig:
    """How a supernet is made and trained: on images of half the side, where nothing else is said.

    One that begins with the weights of a known network is as wide, and sees whole ones.

    Args:
        values: The keys of ``[search.supernet]``.
        space: Name of the space.
        seed: Where they name none.
    """
    from hwnas import spaces
    from hwnas.evaluators.supernet.config import OneShotConfig
    from hwnas.train.optim import pick_device

    searched = spaces.load(space)
    side = searched.input_shape[1]
    given: dict[str, Any] = {
        "seed": _first(values["seed"], seed),
        "resolution": values["resolution"] or max(8, side if searched.is_begun else side // 2),
        "device": pick_device(values["device"]).type,
    }
    if searched.is_begun:
        given["width"] = 1.0
    return OneShotConfig(**{**values, **given})


def blockwise(values: Mapping[str, Any], space: str, seed: int, *, is_taught: bool) -> OneShotConfig:
    """How candidates learn from one network, each from its block in the same place.

    Args:
        values: The keys of ``[search.supernet]``.
        space: Name of the space.
        seed: Where they name none.
        is_taught: Whether that network is trained already: then candidates are as large as its blocks are.
    """
    from hwnas import spaces

    given: dict[str, Any] = {"training": "blockwise"}
    if is_taught:
        given |= {"width": 1.0, "resolution": spaces.load(space).input_shape[1], "teacher_share": 0.0}
    return supernet({**values, **given}, space, seed)


def search_options(
    config: Config, *, measure: bool | None = None, tables: Path | None = None
) -> SearchOptions:
    """What is wanted beside the search.

    Args:
        config: The settings.
        measure: Whether finalists are measured; as the settings say where it is None.
        tables: Folder of latency tables, if not the user's own.
    """
    from hwnas.finalists import SearchOptions
    from hwnas.measure import ProfileOptions

    wanted, options = config.finalists
    return SearchOptions(
        measure=wanted.measure if measure is None else measure,
        rank=wanted.rank,
        tables=tables,
        gallery_points=wanted.gallery_points,
        gallery_each=wanted.gallery_each,
        finalists=options,
        measuring=ProfileOptions(**config.values["promise.measuring"]),
    )


def training(values: Mapping[str, Any], seed: int = 0, *, is_taught: bool | None = None) -> TrainConfig:
    """How a network is trained.

    Args:
        values: The keys of ``[train]``.
        seed: Where they name none.
        is_taught: Whether there is a teacher; as they say by default.
    """
    from dataclasses import fields

    from hwnas.train import TrainConfig
    from hwnas.train.optim import pick_device

    given = {field.name: values[field.name] for field in fields(TrainConfig) if field.name in values}
    given["seed"] = _first(given["seed"], seed)
    given["device"] = pick_device(given["device"]).type
    if not (values["teacher"] if is_taught is None else is_taught):
        given["distill_weight"] = 0.0
    return TrainConfig(**given)


def verifying(values: Mapping[str, Any]) -> ProfileOptions:
    """How shipped models are measured; up to three times the rounds where an interval is wide.

    Args:
        values: The keys of ``[verify]`` that say so.
    """
    from hwnas.measure import ProfileOptions

    return ProfileOptions(**values, max_rounds=3 * values["rounds"])


def _first(*values: int | None) -> int | None:
    """The first that is set."""
    return next((value for value in values if value is not None), None)
