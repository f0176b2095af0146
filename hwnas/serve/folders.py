"""Which runs there are below some folders, and what can be seen of each without reading it.

Nothing leads out of those folders: links to folders are not followed, and a run with a link to somewhere
else in it is not read.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from hwnas.runs.folder import ChainFolder, RunFolder

_DEEP = 3  # folders below what is served in which runs are looked for
_WITHIN = 3  # folders within a run that are looked into: its stages write no deeper
_OF_A_RUN = (
    *(RunFolder.arch, RunFolder.search, RunFolder.history, RunFolder.search_checkpoint, RunFolder.supernet),
    *(RunFolder.imported, RunFolder.adapting, RunFolder.train),
)
_PASSING = {
    *(RunFolder.lock, RunFolder.history, RunFolder.report, RunFolder.tracking),
    *(RunFolder.search_checkpoint, RunFolder.train_checkpoint, RunFolder.int8_checkpoint),
}
"""What changes without a change of what is listed."""


@dataclass(frozen=True)
class SeenRun:
    """What can be seen of a run without reading it.

    Attributes:
        path: Its folder.
        changed: When its newest file was written, in seconds since 1970.
        version: Changes whenever a file does that says what came of the run.
        begun: What was begun there and has left no record yet, for example "training"; may be empty.
        is_held: Whether a process works there, or was killed while it did.
        wrong: Why it must not be read, without its name; empty where it may.
    """

    path: Path
    changed: float
    version: tuple[tuple[str, int, int], ...]
    begun: str
    is_held: bool
    wrong: str


def find(roots: Sequence[Path]) -> dict[str, Path]:
    """The folders of runs by the names that they are shown under, in the order of names.

    Args:
        roots: Folders of runs, or of ``hwnas run``, or runs.
    """
    found: dict[str, Path] = {}
    for root in roots:
        home = root.resolve()
        for path in _runs(home, _DEEP):
            within = path.relative_to(home)
            name = (
                "/".join((home.name, *within.parts)) if len(roots) > 1 or path == home else within.as_posix()
            )
            name = os.fsencode(name).decode("utf-8", "backslashreplace")
            number = 1
            while (unique := name if number == 1 else f"{name} ({number})") in found:
                number += 1
            found[unique] = path
    return dict(sorted(found.items()))


def _runs(folder: Path, deep: int) -> Iterator[Path]:
    """Folders of runs in a folder; itself where it is one, or a chain that has not come so far."""
    try:
        with os.scandir(folder) as entries:
            there = list(entries)
    except OSError:
        return
    names = {entry.name for entry in there}
    if names & set(_OF_A_RUN):
        yield folder
        return
    inside = [
        run
        for entry in there
        if deep and not entry.name.startswith(".") and entry.is_dir(follow_symlinks=False)
        for run in _runs(Path(entry.path), deep - 1)
    ]
    if not inside and ChainFolder.state in names:
        inside = [folder]
    yield from inside


def state(path: Path, roots: Sequence[Path]) -> SeenRun:
    """What can be seen of a run now.

    Args:
        path: Its folder.
        roots: What nothing may lead out of.
    """
    run, chain = RunFolder(path), ChainFolder(path.parent)
    homes = [root.resolve() for root in roots]
    changed, version, wrong = 0.0, [], ""
    around = (chain.latency, chain.tables) if chain.state.is_file() else ()
    for folder in (path, *around):
        for entry, info in _files(folder, _WITHIN):
            if stat.S_ISLNK(info.st_mode):
                to = Path(entry.path).resolve()
                if not any(to.is_relative_to(home) for home in homes):
                    wrong = f"{entry.name} is a link that leads out of what is served"
            elif not stat.S_ISREG(info.st_mode):
                wrong = f"{entry.name} is no regular file"
            elif folder == path and entry.name != RunFolder.lock:
                changed = max(changed, info.st_mtime)
            if entry.name not in _PASSING:
                version.append((entry.path, info.st_mtime_ns, info.st_size))
    return SeenRun(path, changed, tuple(sorted(version)), _begun(run), run.lock.exists(), wrong)


def _files(folder: Path, deep: int) -> Iterator[tuple[os.DirEntry[str], os.stat_result]]:
    """Everything in a folder but folders; what goes while it is looked at is passed over."""
    try:
        with os.scandir(folder) as entries:
            there = list(entries)
    except OSError:
        return
    for entry in there:
        try:
            info = entry.stat(follow_symlinks=False)
        except OSError:
            continue
        if stat.S_ISDIR(info.st_mode):
            if deep:
                yield from _files(Path(entry.path), deep - 1)
        else:
            yield entry, info


def _begun(run: RunFolder) -> str:
    if ChainFolder(run.path).state.exists():
        return "before the search"
    if not run.search.exists():
        return "adapting" if run.adapting.exists() else "searching"
    if run.train_checkpoint.exists() and not run.train.exists():
        return "training"
    return "fine-tuning" if run.int8_checkpoint.exists() and not run.shipping.manifest.exists() else ""
