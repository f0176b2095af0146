"""Experiment trackers that people use, one a file: where a run is shown beside the user's other runs.

A new tracker is one file with a class that satisfies ``base.Tracker``, and one line in ``TRACKERS``; a
plug-in has ``register`` instead. The classes, and the packages that they need, are imported when they are
asked for. What is said to them, and when, is no business of theirs: see ``following``.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any, TypeVar, cast

from hwnas import plugins
from hwnas.errors import TrackingError
from hwnas.tracking.base import Point, Tracker

TRACKERS: dict[str, str] = {
    "mlflow": "hwnas.tracking.mlflow:MLflow",
    "tensorboard": "hwnas.tracking.tensorboard:TensorBoard",
    "wandb": "hwnas.tracking.wandb:WeightsAndBiases",
}
"""Name of a tracker to module and class."""

Kind = TypeVar("Kind", bound=type[Any])


def register(kind: Kind) -> Kind:
    """Add a tracker of one's own; a decorator of its class, which is made with the text behind its name.

    Args:
        kind: Satisfies ``base.Tracker``, and has its name as the class attribute ``name``.

    Raises:
        PluginError: Its name is taken, or can be none; or it is not at the top of its file.
    """
    plugins.add(TRACKERS, getattr(kind, "name", None), plugins.reference(kind, "tracker"), "tracker")
    return kind


def require(texts: Sequence[str]) -> None:
    """Refuse names of no tracker, and the same tracker twice; loads none.

    Args:
        texts: As "mlflow" or "mlflow:URI".

    Raises:
        TrackingError: One is not known, or is there twice.
    """
    names = [text.partition(":")[0] for text in texts]
    for name in names:
        if name not in TRACKERS:
            raise TrackingError(
                f"a tracker must be one of {', '.join(sorted(TRACKERS))}, but got {name!r}: one of your own "
                "comes with --plugin"
            )
    _require_once(names)


def made(given: Sequence[str | Tracker]) -> tuple[Tracker, ...]:
    """Trackers by their names, as "mlflow" or "mlflow:URI"; one that is a tracker already stays.

    Raises:
        TrackingError: One is not known, or is there twice.
    """
    require([text for text in given if isinstance(text, str)])
    found = tuple(_made(each) if isinstance(each, str) else each for each in given)
    _require_once([each.name for each in found])
    return found


def _made(text: str) -> Tracker:
    name, _, place = text.partition(":")
    module, _, kind = TRACKERS[name].partition(":")
    return cast("Tracker", getattr(import_module(module), kind)(place))


def _require_once(names: Sequence[str]) -> None:
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise TrackingError(
            f"a tracker must be given once, but {', '.join(twice)} is there twice: leave one out"
        )


__all__ = ["TRACKERS", "Point", "Tracker", "made", "register", "require"]
