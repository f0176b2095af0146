"""What all benches share: their options, progress, rows that outlive an interruption, and the report."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from hwnas import __version__


def parser(
    description: str | None, *, seed: int | None = None, seeds: Sequence[int] | None = None, rows: str = ""
) -> argparse.ArgumentParser:
    """Options that are called the same wherever they are there.

    Args:
        description: The docstring of the bench.
        seed: Default of ``--seed``; none for no such option.
        seeds: Default of ``--seeds``, which are what is repeated; none for no such option.
        rows: What is kept in the file of ``--rows``; none for no such option.
    """
    found = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    if seed is not None:
        found.add_argument("--seed", type=int, default=seed, help="where all randomness comes from")
    if seeds is not None:
        found.add_argument("--seeds", type=int, nargs="+", default=list(seeds), help="one run each")
    if rows:
        found.add_argument(
            "--rows", type=Path, help=f"JSONL of finished {rows}; a bench that was cut off goes on from it"
        )
    return found


def made_folder(text: str) -> Path:
    """A folder that is there from now on: the type of an option, as ``--work``."""
    folder = Path(text)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def names(text: str) -> list[str]:
    """Parts of a list joined by commas."""
    return [part.strip() for part in text.split(",") if part.strip()]


def say(text: str) -> None:
    """Progress goes to standard error."""
    print(text, file=sys.stderr, flush=True)


class Rows:
    """Finished parts of a bench, in a JSONL file: a bench that was cut off goes on from it.

    Args:
        path: The file; None keeps the rows in memory only.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.found: dict[str, Any] = {}
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
        if path is not None and path.exists():
            lines = path.read_text().split("\n")[:-1]  # a line that was cut off is done again
            path.write_text("".join(line + "\n" for line in lines))
            self.found = dict(json.loads(line) for line in lines)

    def __contains__(self, key: str) -> bool:
        return key in self.found

    def __getitem__(self, key: str) -> Any:
        return self.found[key]

    def add(self, key: str, row: Any) -> None:
        """Keep a row."""
        self.found[key] = row
        if self.path is not None:
            with self.path.open("a") as file:
                file.write(json.dumps([key, row]) + "\n")

    def get(self, key: str, make: Callable[[], Any]) -> Any:
        """The row of a key, made where it is not there yet."""
        if key not in self.found:
            self.add(key, make())
            say(f"{key}: {json.dumps(self.found[key])}")
        return self.found[key]


def environment(*packages: str, **further: Any) -> dict[str, Any]:
    """Where the numbers are from.

    Args:
        packages: Whose versions bear on them.
        further: What else does.
    """
    return {
        "hwnas": __version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "load_1min": os.getloadavg()[0],
        **{name: version(name) for name in packages},
        **further,
    }


def target(name: str, value: float | None, op: str, bound: float) -> dict[str, Any]:
    """One line of ``targets``; a value that was not measured in this run does not meet it."""
    met = value is not None and {"<=": value <= bound, ">=": value >= bound, "==": value == bound}[op]
    return {"name": name, "value": value, "op": op, "target": bound, "met": bool(met)}


def report(
    options: argparse.Namespace | Mapping[str, Any],
    results: Any,
    targets: Iterable[Mapping[str, Any]],
    environment: Mapping[str, Any],
) -> None:
    """Print the one JSON object of a bench on standard output."""
    config = vars(options) if isinstance(options, argparse.Namespace) else options
    found = {
        "config": {name: _plain(value) for name, value in config.items()},
        "environment": dict(environment),
        "results": results,
        "targets": list(targets),
    }
    print(json.dumps(found, allow_nan=False))


def _plain(value: Any) -> Any:
    """An option as JSON has it."""
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value if value is None or isinstance(value, bool | int | float | str | dict) else str(value)
