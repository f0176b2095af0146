"""Following a run: what its stages tell goes to trackers, once, and no tracker can stop a stage.

A run folder is one run of each tracker, whichever stages and processes work in it. A search or a training
that begins anew there is another run, as its curves are others.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hwnas import files, torchrun
from hwnas.errors import HwnasError, typed
from hwnas.runs import records
from hwnas.runs.folder import RunFolder
from hwnas.tracking import curves, logged, made
from hwnas.tracking.base import FAILED, FINISHED, INTERRUPTED, Tracker
from hwnas.tracking.channel import Channel
from hwnas.tracking.curves import Moment
from hwnas.tracking.facts import Records
from hwnas.tracking.logged import Logged

SEARCH, TRAIN, OTHER = "search", "train", ""
"""Stages that have curves of their own, and any other."""

_log = logging.getLogger(__name__)

_EVERY_S = 2.0  # that numbers are handed on
_SHOWN = 5  # of what was not logged


class Following:
    """Takes what a stage tells to trackers.

    Args:
        folder: Of the run.
        channels: One a tracker.
        others: What trackers know that do not follow this stage.
    """

    def __init__(self, folder: Path, channels: Sequence[Channel], others: Mapping[str, Logged]) -> None:
        self._folder, self._channels, self._others = folder, channels, others
        self._flushed = time.monotonic()
        self._is_kept = True

    def step(self, record: Mapping[str, Any]) -> None:
        """A step or a score of a search, as its ``live`` callback is told."""
        moment = curves.of_search(record)
        if moment is not None:
            self._hear(moment, is_urgent=False)

    def epoch(self, record: Mapping[str, Any]) -> None:
        """An epoch of a training, as ``train.json`` will have it."""
        self._hear(curves.of_epoch(record), is_urgent=True)

    def end(self, status: str) -> None:
        """The stage is over."""
        if not self._channels:
            return
        found = self._records() if status == FINISHED else None
        missing = {channel.name: channel.settle(found, status) for channel in self._channels}
        self._keep()
        for name, items in missing.items():
            if items:
                more = f" and {len(items) - _SHOWN} more" if len(items) > _SHOWN else ""
                again = typed("report", self._folder, "--track", name)
                _log.warning(
                    f"{name} was not told {', '.join(items[:_SHOWN])}{more}: all is kept in {self._folder}, "
                    f"and {again}, or any later stage with --track, tells what is missing"
                )

    def _hear(self, moment: Moment, *, is_urgent: bool) -> None:
        at_ms = round(time.time() * 1000)
        for channel in self._channels:
            channel.hear(moment, at_ms)
        if self._channels and (is_urgent or time.monotonic() - self._flushed >= _EVERY_S):
            for channel in self._channels:
                channel.flush()
            self._keep()
            self._flushed = time.monotonic()

    def _records(self) -> Records | None:
        try:
            return Records.of(self._folder)
        except HwnasError as error:
            _log.warning(f"trackers are not told what the run holds: {error}")
            return None

    def _keep(self) -> None:
        """Write down what trackers know; where that cannot be, it is told once."""
        known = {**self._others, **{channel.name: channel.known for channel in self._channels}}
        if not any(each.run or each.waiting for each in known.values()):
            return
        try:
            logged.write(self._folder, known)
        except HwnasError as error:
            if self._is_kept:
                _log.warning("%s", error)
            self._is_kept = False


def usable(given: Sequence[str | Tracker], folder: Path) -> tuple[Tracker, ...]:
    """Trackers that can be used for a run; of the processes of torchrun, the first one alone has any.

    Args:
        given: Their names, as "mlflow" or "mlflow:URI", or they themselves.
        folder: Of the run.

    Raises:
        TrackingError: One is not known, not installed, there twice, or cannot keep runs at its place.
    """
    trackers = made(given)
    if torchrun.number() != 0:
        return ()
    for tracker in trackers:
        tracker.check(folder)
    return trackers


@contextmanager
def followed(folder: Path, trackers: Sequence[Tracker], stage: str = OTHER) -> Iterator[Following]:
    """Have trackers follow a stage of a run; what goes wrong with one is logged, and the stage goes on.

    Args:
        folder: Of the run; need not be there yet.
        trackers: As ``usable`` gave them.
        stage: ``SEARCH``, ``TRAIN`` or ``OTHER``.

    Raises:
        HwnasError: What an earlier process wrote of its trackers is damaged.
    """
    known = logged.read(folder) if trackers else {}
    channels = []
    for tracker in trackers:
        own = known.get(Channel.name_of(tracker), Logged())
        own = Logged() if _is_another(RunFolder(folder), own, stage) else own
        channels.append(Channel(tracker, folder, title(folder), own))
    following = Following(folder, channels, known)
    try:
        yield following
    except (KeyboardInterrupt, SystemExit):
        following.end(INTERRUPTED)
        raise
    except BaseException:
        following.end(FAILED)
        raise
    following.end(FINISHED)


def title(folder: Path) -> str:
    """What people call a run: its folder's name, behind that of the ``hwnas run`` that it is of."""
    place = folder.resolve()
    chain = records.chain_of(place)
    return place.name if chain is None else f"{chain.path.name}/{place.name}"


def _is_another(run: RunFolder, known: Logged, stage: str) -> bool:
    """Whether a tracker's run is of a search or a training that this folder does not hold any more."""
    for path in (run.arch, run.train):
        if path.name in known.told and not (path.is_file() and known.was(path.name, files.sha256(path))):
            return True
    if stage == TRAIN:
        return curves.TRAINING in known.steps and not run.train_checkpoint.exists()
    begun = (run.history, run.search_checkpoint, run.search)
    return stage == SEARCH and bool(known.steps) and not any(path.exists() for path in begun)
