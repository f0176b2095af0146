"""Reading a config: the TOML file of ``hwnas run``, or values that a program gives."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from hwnas import plugins, spaces
from hwnas.errors import HwnasError, PluginError, typed
from hwnas.search.auto import AUTO, chosen
from hwnas.search.settings import STRATEGY
from hwnas.settings import sections
from hwnas.settings.checks import require_valid
from hwnas.settings.config import Config, Place
from hwnas.settings.keys import Key, convert
from hwnas.settings.kinds import SCARCE, Basics

_HEADER = re.compile(r"^\s*\[\s*([^\[\]]+?)\s*\]")


def read(path: Path) -> Config:
    """Read a config.

    Raises:
        HwnasError: It is not there or is no TOML; a section or key is not known (the nearest one
            and the line are named); a value is of the wrong type.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        given = tomllib.loads(text)
    except FileNotFoundError as error:
        raise HwnasError(
            f"a config must be there, but {path} does not exist: {typed('init', path)} writes one"
        ) from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise HwnasError(f"a config must be readable TOML, but {path} is not: {error}") from error
    return _checked(given, path.resolve().parent, lambda section, key: _place(path, text, section, key))


def make(root: Path, given: Mapping[str, Any], place: Place = lambda _section, _key: "") -> Config:
    """A config of values that a program gives, nested as in TOML.

    Args:
        root: Folder that paths are relative to.
        given: The values that are not the defaults.
        place: Says where a value came from, for the end of a message.

    Raises:
        HwnasError: As of ``read``.
    """
    return _checked(given, root, place)


def _checked(given: Mapping[str, Any], root: Path, place: Place) -> Config:
    tables = dict(_tables(given))
    _load_plugins(tables[""].get("plugins", ()), root, place)
    if _text(tables, "search", "strategy", STRATEGY, place) == AUTO:
        tables["search"] = _automatic(tables, place)
    strategy = _text(tables, "search", "strategy", STRATEGY, place)
    baseline = _text(tables, "baseline", "strategy", None, place)
    if baseline is not None and baseline == strategy:
        raise HwnasError(
            f"the baseline must be another strategy than the search, but both are {strategy!r}"
            + place("baseline", "strategy")
        )
    known = sections(strategy or STRATEGY, baseline)
    values = {}
    for section in tables:
        if section not in known:
            raise HwnasError(
                _unknown(f"[{section}]", section, [s for s in known if s]) + place(section, None)
            )
    if tables.get("search", {}).get("evaluate") == "scratch":
        tables["promise"] = SCARCE | tables.get("promise", {})
    for section, keys in known.items():
        values[section] = _section(section, keys, tables.get(section, {}), place)
    config = Config(root, values)
    require_valid(config, place)
    return config


def _automatic(tables: Mapping[str, Mapping[str, Any]], place: Place) -> dict[str, Any]:
    """The table of a search whose strategy is chosen by its space and by how networks are scored."""
    space = _text(tables, "", "space", Basics.space, place) or Basics.space
    found = chosen(_text(tables, "search", "evaluate", None, place), is_tied=spaces.is_tied(space))
    return {**tables["search"], "strategy": found.strategy, "evaluate": found.evaluate}


def _load_plugins(given: Any, root: Path, place: Place) -> None:
    """Load what the names in a config may be of, before they are looked at."""
    if (
        isinstance(given, str)
        or not isinstance(given, Iterable)
        or not all(isinstance(i, str) for i in given)
    ):
        raise HwnasError(f"plugins must be a list of files, but got {given!r}{place('', 'plugins')}")
    try:
        plugins.load(*(root / Path(file).expanduser() for file in given))
        plugins.ready()
    except PluginError as error:
        raise PluginError(f"{error}{place('', 'plugins')}") from error


def _tables(given: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Name and keys of every table, those outside any table first."""
    yield "", {k: v for k, v in given.items() if not isinstance(v, dict)}
    for name, table in given.items():
        if isinstance(table, dict):
            yield name, {k: v for k, v in table.items() if not isinstance(v, dict)}
            for inner, nested in table.items():
                if isinstance(nested, dict):
                    yield f"{name}.{inner}", nested


def _text(tables: Mapping[str, Any], section: str, key: str, default: str | None, place: Place) -> str | None:
    value = tables.get(section, {}).get(key, default)
    if value is not None and not isinstance(value, str):
        raise HwnasError(f"{key} in [{section}] must be text, but got {value!r}{place(section, key)}")
    return value


def _section(section: str, keys: tuple[Key, ...], given: Mapping[str, Any], place: Place) -> dict[str, Any]:
    known = {key.name: key for key in keys}
    where = f" in [{section}]" if section else ""
    for name, value in given.items():
        if name not in known:
            raise HwnasError(_unknown(f"{name}{where}", name, list(known)) + place(section, name))
        try:
            convert(value, known[name].hint)
        except TypeError as error:
            raise HwnasError(
                f"{name}{where} must be {error}, but got {value!r}{place(section, name)}"
            ) from error
    return {
        name: convert(given[name], key.hint) if name in given else key.default for name, key in known.items()
    }


def _unknown(what: str, name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.0)
    return f"a config must only hold what hwnas knows, but got {what}" + (
        f"; the nearest is {near[0]}" if near else ""
    )


def _place(path: Path, text: str, section: str, key: str | None) -> str:
    """Where a key stands, for the end of a message: its line, or that of its section's heading."""
    current, heading = "", None
    for number, line in enumerate(text.splitlines(), start=1):
        if header := _HEADER.match(line):
            current = header[1].replace('"', "").replace(" ", "")
            is_within = current == section or current.startswith(f"{section}.")
            heading = heading or (number if is_within else None)
            found = is_within and key is None
        else:
            found = (
                current == section
                and key is not None
                and bool(re.match(rf"\s*[\"']?{re.escape(key)}[\"']?\s*[=.]", line))
            )
        if found:
            return f" (line {number} of {path})"
    return f" (line {heading} of {path})" if heading else f" (in {path})"
