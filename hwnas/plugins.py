"""Plug-ins: a user's own blocks, spaces, tasks, runtimes, strategies and trackers, in files or in packages.

A plug-in is a Python file (``--plugin FILE``), or a module that an installed package names under the entry
point group ``hwnas``. It is run once, and registers what it brings::

    from hwnas import spaces

    @spaces.register
    def tiny(resolution: int = 32, num_classes: int = 10) -> SearchSpace: ...

``blocks``, ``spaces``, ``tasks``, ``runtimes``, ``search`` and ``tracking`` each have a ``register``.
Processes that this one starts load the same files: their names stand in the environment variable
``HWNAS_PLUGINS``.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterator, MutableMapping
from hashlib import sha256
from importlib.machinery import SourceFileLoader
from importlib.metadata import EntryPoint, entry_points
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from threading import RLock
from typing import Any

from hwnas.errors import PLUGINS, HwnasError, PluginError

ENVIRONMENT = "HWNAS_PLUGINS"
GROUP = "hwnas"

_log = logging.getLogger(__name__)
_files: list[Path] = []  # that were loaded, in order
_points: set[str] = set()  # entry points that were loaded
_added: list[tuple[MutableMapping[str, Any], str]] = []  # what they registered
_one_at_a_time = RLock()


class _Loader(SourceFileLoader):
    """Leaves no bytecode beside a user's file, which may be changed and loaded again within a second."""

    def set_data(self, path: str, data: Any, *, _mode: int = 0o666) -> None:
        """Write nothing."""


def load(*paths: Path | str) -> None:
    """Run files that register what they bring; a file that was loaded before is not run again.

    Args:
        paths: Python files.

    Raises:
        PluginError: A file is not there, does not run to its end, or brings a name that is taken. Then
            nothing of it stays registered.
    """
    for path in paths:
        file = Path(path).expanduser().resolve()
        with _one_at_a_time:
            if file in _files:
                continue
            if not file.is_file():
                raise PluginError(
                    f"a plug-in must be a Python file, but {path} is none: give the path of one"
                )
            _whole(str(path), lambda file=file: _run(file))  # type: ignore[misc]
            _log.debug("the plug-in %s is loaded", file)
            _files.append(file)
            PLUGINS.append(str(path))
            os.environ[ENVIRONMENT] = json.dumps(list(map(str, _files)))


def ready() -> None:
    """Load what the process that started this one had loaded, and what installed packages bring; once.

    Raises:
        PluginError: As ``load`` does.
    """
    load(*_inherited())
    for point in entry_points(group=GROUP):
        _load(point)


def examined() -> Iterator[tuple[str, PluginError | None]]:
    """Each plug-in that ``ready`` loads, and why it does not load where it does not; loads the others."""
    tries: list[tuple[str, Callable[[], None]]] = []
    try:
        tries += [(str(path), lambda path=path: load(path)) for path in _inherited()]  # type: ignore[misc]
    except PluginError as error:
        yield ENVIRONMENT, error
    for point in entry_points(group=GROUP):
        tries.append((_called(point), lambda point=point: _load(point)))  # type: ignore[misc]
    for name, attempt in tries:
        try:
            attempt()
        except PluginError as error:
            yield name, error
        else:
            yield name, None


def _inherited() -> list[Path]:
    """Files that the process which started this one had loaded."""
    try:
        return [Path(text) for text in json.loads(os.environ.get(ENVIRONMENT, "[]"))]
    except (TypeError, ValueError) as error:
        raise PluginError(
            f"{ENVIRONMENT} must be a JSON list of files, but {os.environ[ENVIRONMENT]!r} is none: unset it"
        ) from error


def _load(point: EntryPoint) -> None:
    """Load what an installed package brings, once."""
    with _one_at_a_time:
        if point.value not in _points:
            _whole(_called(point), point.load)
            _points.add(point.value)


def _called(point: EntryPoint) -> str:
    return point.value if point.dist is None else f"{point.value} of {point.dist.name}"


def files() -> tuple[Path, ...]:
    """The files that were loaded."""
    return tuple(_files)


def forget() -> None:
    """Take everything away that plug-ins registered, so that they can be loaded anew."""
    _undo(0)
    _files.clear()
    PLUGINS.clear()
    _points.clear()
    os.environ.pop(ENVIRONMENT, None)


def add(
    table: MutableMapping[str, Any], name: object, item: Any, what: str, form: str = "[a-z][a-z0-9_]*"
) -> None:
    """Put something into a table of names; for the ``register`` functions.

    Args:
        table: From names.
        name: The name.
        item: What it is of.
        what: What that is, for messages.
        form: Regular expression that the whole name must match.

    Raises:
        PluginError: The name is of another form, or is taken.
    """
    if not isinstance(name, str) or not re.fullmatch(form, name):
        raise PluginError(f"the name of a {what} must match {form}, but got {name!r}: rename it")
    if name in table and _origin(table[name]) != _origin(item):
        raise PluginError(f"a {what} must have a name of its own, but {name!r} is taken: rename it")
    if name not in table:
        _added.append((table, name))
    table[name] = item


def reference(kind: type[Any], what: str) -> str:
    """``module:Class`` of a class, as tables that import late hold them.

    Raises:
        PluginError: It is not at the top of its module.
    """
    if not isinstance(kind, type) or "." in kind.__qualname__:
        raise PluginError(f"a {what} must be a class at the top of its file, but got {kind!r}: move it there")
    return f"{kind.__module__}:{kind.__qualname__}"


def _origin(item: Any) -> Any:
    """The same for a class or a function that was defined anew, as in a cell of a notebook."""
    return (item.__module__, item.__qualname__) if hasattr(item, "__qualname__") else item


def _run(file: Path) -> None:
    digest = sha256(os.fsencode(file)).hexdigest()[:8]
    name = f"hwnas_plugin_{re.sub(r'[^A-Za-z0-9]', '_', file.stem)}_{digest}"
    loader = _Loader(name, str(file))
    spec = spec_from_file_location(name, file, loader=loader)
    if spec is None:
        raise PluginError(f"a plug-in must be a Python file, but {file} is none: give the path of one")
    module = module_from_spec(spec)
    sys.modules[name] = module
    try:
        loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise


def _whole(name: str, run: Callable[[], object]) -> None:
    """Run a plug-in; of one that fails, nothing stays."""
    before = len(_added)
    try:
        run()
    except (Exception, SystemExit) as error:
        _undo(before)
        what = str(error) if isinstance(error, HwnasError) else _said(error)
        raise PluginError(f"a plug-in must load without an error, but {name} does not: {what}") from error
    if len(_added) == before:
        _log.warning("the plug-in %s registers nothing: call hwnas.blocks.register or its like there", name)


def _said(error: BaseException) -> str:
    """An error of foreign code in one line."""
    if isinstance(error, SyntaxError):
        return f"{type(error).__name__}: {error.msg} (line {error.lineno})"
    place = traceback.extract_tb(error.__traceback__)[-1]
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text} ({Path(place.filename).name}, line {place.lineno})"


def _undo(before: int) -> None:
    for table, name in _added[before:]:
        table.pop(name, None)
    del _added[before:]
