"""Options that are settings: their names, types, defaults and words come from the one list of them."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from hwnas.cli import _usage
from hwnas.settings.checks import require_in_range
from hwnas.settings.keys import Key, convert
from hwnas.settings.options import Option, flag

Settings = Mapping[str, Any]
"""Values by name of the option."""

KNOWN = "Beginning with what is learned"


def from_network(what: str, check: Callable[[str], None] = _usage.known_network) -> Any:
    """The option ``--from``; ``what`` is its help, and ``check`` refuses a wrong name."""
    return typer.Option(
        "--from",
        metavar="NETWORK",
        callback=_usage.checked(check),
        rich_help_panel=KNOWN,
        help=what,
    )


Weights = Annotated[
    Path | None,
    typer.Option(rich_help_panel=KNOWN, help="File of its weights; by default those of a package."),
]
Resolution = Annotated[
    int | None, typer.Option(rich_help_panel=KNOWN, min=8, help="Pixels that it shall see.")
]


def settings(
    *options: Option, panels: Mapping[str, str] | None = None, **more: tuple[Any, Any, str]
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command options, one a setting; their values come as its argument ``settings``.

    Args:
        options: The settings.
        panels: Panel of the help by name of an option.
        more: Type, default and help of options whose key depends on other options.
    """
    found: dict[str, Key] = {item.name: item.setting() for item in options}
    found |= {name: Key(name, *facts) for name, facts in more.items()}

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        @wraps(function)
        def command(**given: Any) -> None:
            values = {name: _value(given.pop(name), key) for name, key in found.items()}
            for item in options:
                with _usage.usage():
                    require_in_range(item.section, {item.key: values[item.name]}, lambda *_: "")
            function(**given, settings=values)

        own = inspect.signature(function, eval_str=True).parameters.values()
        parameters = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own if p.name != "settings"]
        parameters += [_parameter(name, key, (panels or {}).get(name)) for name, key in found.items()]
        command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        command.__annotations__ = {p.name: p.annotation for p in parameters}
        return command

    return decorate


def _value(given: Any, key: Key) -> Any:
    if given is None or (isinstance(given, list) and not given):
        return key.default
    with _usage.usage():
        try:
            return convert(given, key.hint)
        except TypeError as error:
            raise typer.BadParameter(f"{key.name} must be {error}, but got {given!r}") from error


def _parameter(name: str, key: Key, panel: str | None) -> inspect.Parameter:
    """A keyword of a command that typer makes an option of."""
    typed = flag(name)
    is_switch = key.hint is bool or bool in typing.get_args(key.hint)
    is_many = typing.get_origin(key.hint) is tuple
    declared = f"{typed}/{typed.replace('--', '--no-', 1)}" if is_switch else typed
    said = escape(f"{key.doc} May be repeated." if is_many else key.doc)
    kind: Any = list[str] | None if is_many else key.hint
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=None if is_many else key.default,
        annotation=Annotated[kind, typer.Option(declared, help=said, rich_help_panel=panel)],
    )
