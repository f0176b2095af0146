"""The history of a search: one JSON line a scored architecture, appended as soon as it is known.

File format ``hwnas-history/1``. The first line says which search it is of; every other line is
one trial, or an *ask* whose trial follows later, where several are in hand at the same time. A line
that was cut off is dropped when reading, anything else that does not fit is an error. A search that
is started again with its history asks the same questions in the same order and takes the recorded
answers, so it goes on exactly as if it had never stopped, with however many workers.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hwnas import files
from hwnas.errors import HwnasError, SchemaMismatch, in_words
from hwnas.runs.trial import Trial, score_of
from hwnas.search.oneshot import trace
from hwnas.statistics.metric import ACCURACY

SCHEMA = "hwnas-history/1"
_OF_WEIGHTS = ("steps", "weights")
"""What an evaluator says of the weights that it scores by, if it has any."""


@dataclass(frozen=True)
class Ask:
    """An architecture that a search asked for.

    Attributes:
        number: How many it had asked for by then, from 1.
        indices: Of the architecture; None where the strategy had none before it was told more.
        share: What part of a training it is scored after.
    """

    number: int
    indices: tuple[int, ...] | None
    share: float = 1.0


@dataclass(frozen=True)
class Told:
    """A score that a search was told.

    Attributes:
        trial: What was scored.
        ask: Number of the ask that it answers; None where it was asked for and told with none in between.
    """

    trial: Trial
    ask: int | None = None


@dataclass
class History:
    """What is already known of a search, and where what follows goes.

    Attributes:
        path: The file; None keeps nothing.
        events: What was recorded, in order.
        score: What scores are called in it.
    """

    path: Path | None = None
    events: list[Ask | Told] = field(default_factory=list)
    score: str = ACCURACY.score_key

    @property
    def known(self) -> list[Trial]:
        """Recorded trials, in order."""
        return [event.trial for event in self.events if isinstance(event, Told)]

    @classmethod
    def open(cls, path: Path | None, identity: Mapping[str, Any], score: str = ACCURACY.score_key) -> History:
        """Continue the file, or begin it where it is not there.

        Args:
            path: The file; None keeps nothing.
            identity: What must be equal for the recorded answers to hold; plain JSON.
            score: What scores are called in it.

        Raises:
            SchemaMismatch: The file is of another search.
            HwnasError: The file cannot be read, or a line is damaged.
        """
        if path is None:
            return cls(score=score)
        header = {"schema": SCHEMA, **json.loads(json.dumps(identity))}
        if not path.exists():
            files.write_atomic(path, _line(header))
            return cls(path, score=score)
        whole, is_torn = _read(path)
        found, events = _parsed(whole, path)
        for name in header:
            before, now = _comparable(found.get(name), header[name])
            if before != now:
                raise SchemaMismatch(_differs(path, name, before, now), field=name)
        if is_torn:
            files.write_atomic(path, whole)
        return cls(path, events, score)

    def asked(self, asks: Iterable[Ask]) -> None:
        """Add asks whose trials follow later, all or none, and flush them to disk.

        Raises:
            HwnasError: The lines could not be written whole; the file is as before.
        """
        self._append(
            {"ask": ask.number, "indices": ask.indices} | ({} if ask.share == 1 else {"share": ask.share})
            for ask in asks
        )

    def append(self, query: int, told: Told, seconds: float) -> None:
        """Add one trial and flush it to disk.

        Raises:
            HwnasError: The line could not be written whole; the file is as before.
        """
        answers = {} if told.ask is None else {"ask": told.ask}
        trial = told.trial.to_json(self.score)
        self._append([{"query": query, **answers, **trial, "seconds": round(seconds, 3)}])

    def _append(self, lines: Iterable[Mapping[str, Any]]) -> None:
        if self.path is None:
            return
        try:
            files.append_whole(self.path, "".join(map(_line, lines)))
        except OSError as error:
            raise HwnasError(
                f"a trial must be written whole, but {self.path} did not take it: {error}: free some space"
            ) from error


def _comparable(before: Any, now: Any) -> tuple[Any, Any]:
    """Two values of a header; what an earlier version did not say of an evaluator's weights is left out."""
    if isinstance(before, dict) and isinstance(now, dict):
        now = {name: value for name, value in now.items() if name in before or name not in _OF_WEIGHTS}
    return before, now


def _differs(path: Path, name: str, before: Any, now: Any) -> str:
    """The sentence on a history of another search."""
    what = f"a history must be of the search that continues it, but {path}"
    end = "delete it to start anew"
    if isinstance(before, dict) and isinstance(now, dict):
        odd = [key for key in {**before, **now} if before.get(key) != now.get(key)]
        if set(odd) <= set(_OF_WEIGHTS):
            return (
                f"{what} has scores by other weights of the supernet, after {before.get('steps')} steps "
                f"instead of {now.get('steps')}, which are on another scale: {end}"
            )
    return f"{what} has {name} {before!r} instead of {now!r}: {end}"


def damage(path: Path) -> str:
    """What is wrong with the history of a finished search, as a sentence; empty for nothing.

    One-shot searches keep the trace of their steps there (``hwnas.search.oneshot.trace``).
    """
    try:
        whole, is_torn = _read(path)
        header, *lines = _objects(whole, path)
        known = {SCHEMA: _event, trace.SCHEMA: _step}
        schema = header.get("schema")
        if schema not in known:
            return f"a history must be of {' or '.join(known)}, but {path} is of {schema!r}"
        for number, line in enumerate(lines, start=2):
            known[schema](line, path, number)
    except HwnasError as error:
        return str(error)
    return f"a history must end with a whole line, but the last one of {path} was cut off" if is_torn else ""


def _read(path: Path) -> tuple[str, bool]:
    """The whole lines of a file, and whether something follows them that was never finished."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise HwnasError(f"a history must be readable, but {path} is not: {error}") from error
    whole = text[: text.rfind("\n") + 1]
    return whole, whole != text


def _parsed(whole: str, path: Path) -> tuple[dict[str, Any], list[Ask | Told]]:
    """The header and what follows it."""
    header, *lines = _objects(whole, path)
    return header, [_event(line, path, n) for n, line in enumerate(lines, start=2)]


def _objects(whole: str, path: Path) -> list[dict[str, Any]]:
    """Every line; there is one at least."""
    lines = whole.splitlines()
    if not lines:
        raise HwnasError(
            f"a history must begin with the search that it is of, but {path} has no whole line: remove it "
            "where a search is to begin anew"
        )
    return [_parse(line, path, number) for number, line in enumerate(lines, start=1)]


def _line(data: Mapping[str, Any]) -> str:
    return json.dumps(data, separators=(",", ":"), allow_nan=False) + "\n"


def _parse(line: str, path: Path, number: int) -> dict[str, Any]:
    try:
        data = json.loads(line)
    except json.JSONDecodeError as error:
        raise HwnasError(f"line {number} of {path} must be JSON, but is not: {error}") from error
    if not isinstance(data, dict):
        raise HwnasError(f"line {number} of {path} must be a JSON object, but got {type(data).__name__}")
    return data


def _event(data: Mapping[str, Any], path: Path, number: int) -> Ask | Told:
    ask = data.get("ask")
    if "ask" in data and (not isinstance(ask, int) or isinstance(ask, bool) or ask < 1):
        raise HwnasError(f"line {number} of {path} must hold the number of an ask, but has {ask!r}")
    if "query" in data or ask is None:
        return Told(_trial(data, path, number), ask)
    try:
        indices = data["indices"]
        return Ask(ask, indices and tuple(map(int, indices)), float(data.get("share", 1.0)))
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise HwnasError(
            f"line {number} of {path} must hold an architecture that was asked for, but does not: "
            f"{in_words(error)}"
        ) from error


def _trial(data: Mapping[str, Any], path: Path, number: int) -> Trial:
    try:
        found = Trial.from_json(data)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise HwnasError(
            f"line {number} of {path} must hold a trial, but does not: {in_words(error)}"
        ) from error
    if not 0 <= found.quality <= 1:
        what = {"accuracy": "an accuracy"}.get(score_of(data), "a quality")
        raise HwnasError(f"line {number} of {path} must hold {what} in [0, 1], but has {found.quality}")
    return found


def _step(data: Mapping[str, Any], path: Path, number: int) -> None:
    if not isinstance(data.get("step"), int):
        raise HwnasError(f"line {number} of {path} must hold a step of a search, but does not")
