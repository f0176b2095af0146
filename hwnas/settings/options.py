"""How settings are written on the command line, for who reads it and for who repeats what was done."""

from __future__ import annotations

import json
import shlex
import tomllib
from dataclasses import dataclass
from typing import Any

from hwnas.errors import HwnasError
from hwnas.settings import section
from hwnas.settings.keys import Key, keys_of
from hwnas.settings.kinds import Finalists


def flag(name: str) -> str:
    """An option of a name as it is typed."""
    return f"--{name.replace('_', '-')}"


def words(name: str, *values: Any) -> list[str]:
    """An option with values, each as it is typed, quoted for a shell; nothing for None."""
    return [f"{flag(name)} {shlex.quote(_text(value))}" for value in values if value is not None]


@dataclass(frozen=True)
class Option:
    """An option of a verb that sets a key of a config.

    Attributes:
        name: Of the parameter; written with hyphens.
        section: Of the key.
        key: Its name.
    """

    name: str
    section: str
    key: str

    @property
    def flag(self) -> str:
        """As it is typed."""
        return flag(self.name)

    def setting(self) -> Key:
        """The key that it sets, without what needs torch; one of a strategy is set where it is typed."""
        if self.section == "search.settings":
            return _of_strategies(self.name)
        if self.section == "promise":
            return next(key for key in keys_of("promise", Finalists) if key.name == self.key)
        return section(self.section)[self.key]

    def words(self, value: Any) -> list[str]:
        """The option with a value, as it is typed; nothing where it is not set."""
        if isinstance(value, bool):
            return [self.flag if value else self.flag.replace("--", "--no-", 1)]
        return words(self.name, *(value if isinstance(value, tuple | list) else (value,)))


def _of_strategies(name: str) -> Key:
    """A key that many strategies share; those of one's own may have another default."""
    from hwnas.search.settings import OneShotSettings, SamplingSettings

    shared = (key for kind in (OneShotSettings, SamplingSettings) for key in keys_of("search.settings", kind))
    key = next(key for key in shared if key.name == name)
    doc = f"{key.doc.rstrip('.')}; {key.default} where it is not set."
    return Key(name, key.hint | None, None, doc)


SEARCH = (
    Option("space", "", "space"),
    Option("data", "", "data"),
    Option("task", "", "task"),
    Option("strategy", "search", "strategy"),
    Option("seed", "", "seed"),
    Option("evaluate", "search", "evaluate"),
    Option("evaluate_epochs", "search", "evaluate_epochs"),
    Option("evaluate_images", "search", "evaluate_images"),
    Option("alike", "search", "alike"),
    Option("teacher", "search", "teacher"),
    Option("pool", "search", "pool"),
    Option("class_weights", "search.supernet", "class_weights"),
    Option("batch_size", "search.supernet", "batch_size"),
    Option("proxy_width", "search.supernet", "width"),
    Option("proxy_resolution", "search.supernet", "resolution"),
    Option("train_on", "search.supernet", "device"),
    Option("confidence", "search", "confidence"),
    Option("objective", "search", "objectives"),
    Option("limit", "search", "limits"),
    Option("rank", "promise", "rank"),
    Option("gallery", "promise", "gallery_points"),
)
"""Of ``hwnas search``; every other key of these sections is typed as ``--set``."""

OF_STRATEGIES = tuple(
    Option(name, "search.settings", name) for name in ("warmup_steps", "steps", "queries", "loss")
)
"""Of ``hwnas search``, where the strategy has such a setting."""

SETTABLE = ("search", "search.supernet", "search.settings", "promise", "promise.measuring")
"""Sections whose keys ``hwnas search --set`` takes."""


def of_section(name: str) -> tuple[Option, ...]:
    """An option a key: those of ``hwnas train``, ``export`` and ``verify``."""
    return tuple(Option(key, name, key) for key in section(name))


def set_words(section: str, key: str, value: Any) -> str:
    """A setting that has no option of its own, as it is typed."""
    text = json.dumps(list(value) if isinstance(value, tuple) else value)
    return f"--set {shlex.quote(f'{section}.{key}={text}')}"


def set_read(text: str) -> tuple[str, str, Any]:
    """Section, key and value of what is typed after ``--set``; without a section it is of the strategy.

    Raises:
        HwnasError: It is of another form, or of a section that has no place there.
    """
    name, equals, value = text.partition("=")
    section, _, key = name.strip().rpartition(".")
    section = section or "search.settings"
    if not equals or not key or section not in SETTABLE:
        raise HwnasError(
            "a setting must be written SECTION.KEY=VALUE as in a file of hwnas run, its section one of "
            f"{', '.join(SETTABLE)}, but got {text!r}"
        )
    try:
        return section, key, tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return section, key, value.strip()


def _text(value: Any) -> str:
    return repr(value) if isinstance(value, float) else str(value)
