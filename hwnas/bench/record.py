"""The searches of a bench: one JSON line each, appended by whoever finished it as soon as it has.

File format ``hwnas-bench-jobs/1``. The first line says what all were run on. A line that was cut off is
dropped, and its search run again; anything else that does not fit is an error.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hwnas import __version__, files
from hwnas.errors import HwnasError, SchemaMismatch, in_words

SCHEMA = "hwnas-bench-jobs/1"


@dataclass(frozen=True)
class BenchFound:
    """What a search would have returned after so many queries.

    Attributes:
        queries: How many it was given.
        indices: The network; None where it scored none that keeps the budget.
        scored: Queries that it used: fewer where one more could not change anything.
        distinct: Different networks among them.
        seconds: Of the search until then, of its process alone.
    """

    queries: int
    indices: tuple[int, ...] | None
    scored: int
    distinct: int
    seconds: float


@dataclass(frozen=True)
class Course:
    """A finished search.

    Attributes:
        entrant: Name of what searched.
        budget: What networks might cost.
        seed: Of its chance.
        found: At each number of queries that it was read at.
    """

    entrant: str
    budget: float
    seed: int
    found: tuple[BenchFound, ...]

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Course:
        """Rebuild what a line holds."""
        found = tuple(
            BenchFound(
                int(each["queries"]),
                None if each["indices"] is None else tuple(map(int, each["indices"])),
                int(each["scored"]),
                int(each["distinct"]),
                float(each["seconds"]),
            )
            for each in data["found"]
        )
        return cls(str(data["entrant"]), float(data["budget"]), int(data["seed"]), found)


Key = tuple[str, float, int, int]
"""Entrant, budget, seed and queries."""


def keyed(courses: Iterable[Course]) -> dict[Key, BenchFound]:
    """What was found, by what it was found with."""
    return {(c.entrant, c.budget, c.seed, each.queries): each for c in courses for each in c.found}


def opened(path: Path, identity: Mapping[str, Any]) -> list[Course]:
    """The searches that a file holds; it is begun where it is not there.

    Args:
        path: The file.
        identity: What must be equal for them to count; plain JSON.

    Raises:
        SchemaMismatch: The file is of another bench.
        HwnasError: It cannot be read, or a line is damaged.
    """
    header = {"schema": SCHEMA, "hwnas": __version__, **identity}
    if not path.exists():
        files.write_atomic(path, _line(header))
        return []
    text = _text(path)
    whole = text[: text.rfind("\n") + 1]
    first, *lines = whole.splitlines() or [""]
    _require_same(path, _object(path, 1, first), header)
    courses = [_course(path, number, line) for number, line in enumerate(lines, start=2)]
    if whole != text:
        files.write_atomic(path, whole)
    return courses


def append(path: Path, course: Course) -> None:
    """Add a search and flush it to disk.

    Raises:
        HwnasError: The line could not be written whole; the file is as before.
    """
    try:
        files.append_whole(path, _line(asdict(course)))
    except OSError as error:
        raise HwnasError(
            f"a search must be written whole, but {path} did not take it: {error}: free some space"
        ) from error


def _require_same(path: Path, found: Mapping[str, Any], header: Mapping[str, Any]) -> None:
    odd = [name for name in header if found.get(name) != header[name]]
    if odd:
        said = "; ".join(f"its {name} is {found.get(name)!r} instead of {header[name]!r}" for name in odd)
        raise SchemaMismatch(
            f"a folder must be of the bench that goes on in it, but {path} is of another: {said}: give "
            "another --out, or what it was made with",
            field=odd[0],
        )


def _course(path: Path, number: int, line: str) -> Course:
    data = _object(path, number, line)
    try:
        return Course.from_json(data)
    except (KeyError, TypeError, ValueError) as error:
        raise HwnasError(
            f"line {number} of {path} must hold a search, but does not: {in_words(error)}: delete that line, "
            "and the search is run again"
        ) from error


def _object(path: Path, number: int, line: str) -> dict[str, Any]:
    try:
        data = json.loads(line)
    except json.JSONDecodeError:
        data = None
    if not isinstance(data, dict):
        raise HwnasError(
            f"line {number} of {path} must be a JSON object, but is not: "
            + ("give another --out" if number == 1 else "delete that line, and the search is run again")
        )
    return data


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise HwnasError(f"searches of a bench must be readable, but {path} is not: {error}") from error


def _line(data: Mapping[str, Any]) -> str:
    return json.dumps(data, separators=(",", ":"), allow_nan=False) + "\n"
