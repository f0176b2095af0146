"""The report of a run: one self-contained HTML file, made from the files that the run left.

Each section is a function from a ``Record`` to HTML, empty where its files are not there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from hwnas import __version__, files
from hwnas.bench import StrategyBench
from hwnas.benchmark import FileBenchmark
from hwnas.errors import HwnasError, in_words
from hwnas.report import (
    _adapted,
    _bench,
    _benchmark,
    _beside,
    _budgets,
    _compare,
    _conditions,
    _course,
    _front,
    _latency,
    _measuring,
    _network,
    _page,
    _reproduce,
    _runtimes,
    _shipped,
    _task,
    summary,
)
from hwnas.report._record import Record, damaged, read
from hwnas.report.summary import RunSummary
from hwnas.runs import outputs
from hwnas.runs.folder import RunFolder

_SECTIONS: tuple[Callable[[Record], str], ...] = (
    _budgets.headline,
    _shipped.variants,
    _adapted.ladder,
    _front.front,
    _compare.against,
    _beside.other_run,
    _network.network,
    _runtimes.runtimes,
    _measuring.measuring,
    _latency.models,
    _course.course,
    _course.training,
    _task.sections,
    _conditions.measured,
    _reproduce.reproduce,
)


def write(
    run: Path, *, latencies: Sequence[Path] = (), tables: Path | None = None, baseline: Path | None = None
) -> Path:
    """Make ``report.html`` in a run's folder from what is there.

    Args:
        run: Folder with at least ``arch.json`` and ``search.json``; training, export,
            verification, gallery and comparison are shown where they have been done.
        latencies: Latency models that the search believed; by default those in the run's folder, or of the
            ``hwnas run`` that it is of.
        tables: Folder of the tables that they were fitted to, for the conditions of measurement; by default
            those of the ``hwnas run``, or the user's own where the models were fitted to those.
        baseline: Another run, to compare with.

    Raises:
        HwnasError: The run has no architecture, or a file in it cannot be read.
    """
    path = RunFolder(run).report
    if run.is_dir():
        outputs.require_file(path, "a report")
    files.write_atomic(path, page(run, latencies=latencies, tables=tables, baseline=baseline))
    return path


def page(
    run: Path, *, latencies: Sequence[Path] = (), tables: Path | None = None, baseline: Path | None = None
) -> str:
    """The same as text; nothing is written.

    Raises:
        HwnasError: The run has no architecture, or a file in it cannot be read.
    """
    with _readable(run):
        record = read(run, latencies, tables, baseline)
        sections = [section(record) for section in _SECTIONS]
        lead = f"{_budgets.origin(record)}, made with hwnas {__version__}"
        return _page.page(_budgets.title(record), lead, [text for text in sections if text])


def compared(first: Path, second: Path, names: tuple[str, str]) -> str:
    """A page about two runs side by side, as text.

    Args:
        first: A run.
        second: Another.
        names: What they are called there.

    Raises:
        HwnasError: One has no architecture, or a file in it cannot be read.
    """
    with _readable(first, second):
        lead = f"two runs, side by side, by hwnas {__version__}"
        return _beside.page((read(first), read(second)), names, lead)


def summarised(run: Path) -> RunSummary:
    """What a run is and what came of it, in the words of its report.

    Raises:
        HwnasError: The run has no architecture, or a file in it cannot be read.
    """
    with _readable(run):
        return summary.of(read(run))


@contextmanager
def _readable(*runs: Path) -> Iterator[None]:
    """Whatever else is wrong in the files of runs is one sentence, too."""
    try:
        yield
    except HwnasError:
        raise
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise HwnasError(
            "the files of a run must be as hwnas wrote them, but one in "
            f"{' or '.join(map(str, runs))} is not: {in_words(error)}: repeat that stage with this version"
        ) from error


def write_benchmark(found: FileBenchmark, path: Path) -> None:
    """Write a page about a benchmark.

    Args:
        found: What was measured.
        path: The file.

    Raises:
        WriteError: It cannot be written.
    """
    files.write_atomic(path, _benchmark.page(found))


def write_bench(found: StrategyBench, path: Path) -> None:
    """Write a page about a bench of strategies.

    Args:
        found: What they reached.
        path: The file.

    Raises:
        WriteError: It cannot be written.
    """
    files.write_atomic(path, _bench.page(found))


__all__ = [
    "RunSummary",
    "compared",
    "damaged",
    "page",
    "summarised",
    "write",
    "write_bench",
    "write_benchmark",
]
