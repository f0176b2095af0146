"""The application object, what all verbs take, and what several print."""

from __future__ import annotations

import inspect
import json
import math
import sys
from collections.abc import Callable, Mapping
from contextlib import nullcontext, suppress
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from rich.markup import escape
from rich.table import Table
from typer.core import TyperCommand, TyperOption

from hwnas import __version__, plugins, torchrun
from hwnas.cli._console import Verbosity
from hwnas.cli._console import err as err  # verbs print there
from hwnas.cli._console import out as out
from hwnas.cli._log import listen
from hwnas.errors import PluginError
from hwnas.statistics.verdict import FAIL, NOT_PROVEN, PASS, Verdict

if TYPE_CHECKING:
    from hwnas.train.config import EpochRecord

BEARING = ("doctor",)
"""Verbs that work, and tell of it, where an installed plug-in does not load."""

_Verb = TypeVar("_Verb", bound=Callable[..., Any])


def _loaded(context: typer.Context, paths: list[Path] | None) -> list[Path] | None:
    """Load plug-ins before any other option is looked at: a name may be one that they bring."""
    plugins.load(*paths or ())
    bears = context.command.name in BEARING and context.parent is context.find_root()
    with suppress(PluginError) if bears else nullcontext():
        plugins.ready()
    return paths


_Plugins = Annotated[
    list[Path] | None,
    typer.Option(
        "--plugin",
        metavar="FILE",
        callback=_loaded,
        is_eager=True,
        help="Python file that registers blocks, spaces, tasks, runtimes, strategies or trackers; may be "
        "repeated.",
    ),
]


_TWICE = "must be given once, but is there twice: leave one out"


class _Command(TyperCommand):
    """A verb that refuses an option that is given twice, of which only the last would count."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read what was typed."""
        _, _, seen = self.make_parser(ctx).parse_args(args=list(args))
        for option in (each for each in seen if isinstance(each, TyperOption)):
            if seen.count(option) > 1 and not (option.multiple or option.count):
                said = _TWICE if option.is_flag else f"{_TWICE}, or join both by a comma if it takes several"
                raise typer.BadParameter(said, ctx, option)
        return super().parse_args(ctx, args)


_Quiet = Annotated[bool, typer.Option("--quiet", help="Print results, warnings and errors, no progress.")]
_Verbose = Annotated[
    bool,
    typer.Option("--verbose", help="Print also what goes on inside, with the time, and where a fault is."),
]
_EVERYWHERE: dict[str, tuple[Any, Any]] = {
    "plugin": (_Plugins, None),
    "quiet": (_Quiet, False),
    "verbose": (_Verbose, False),
}
"""Type and default of the options of each verb."""


class App(typer.Typer):
    """Verbs of the command line: each takes what all take beside its own options."""

    def command(self, *names: Any, **settings: Any) -> Callable[[_Verb], _Verb]:
        """Make a function a verb."""
        add = super().command(*names, cls=_Command, **settings)

        def made(verb: _Verb) -> _Verb:
            add(_as_all(verb))
            return verb

        return made


def _as_all(verb: Callable[..., Any]) -> Callable[..., Any]:
    """The same with the options of all, which are dealt with before the verb is called."""

    @wraps(verb)
    def command(
        *args: Any,
        plugin: list[Path] | None = None,
        quiet: bool = False,
        verbose: bool = False,
        **options: Any,
    ) -> Any:
        _talk(quiet=quiet, verbose=verbose, before=err.verbosity)
        return verb(*args, **options)

    own = inspect.signature(verb, eval_str=True)
    more = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)
        for name, (kind, default) in _EVERYWHERE.items()
    ]
    command.__signature__ = own.replace(parameters=[*own.parameters.values(), *more])  # type: ignore[attr-defined]
    command.__annotations__ = verb.__annotations__ | {name: kind for name, (kind, _) in _EVERYWHERE.items()}
    return command


def _talk(*, quiet: bool, verbose: bool, before: Verbosity) -> None:
    """Be as loud as is asked for; ``before`` is what was asked before the verb."""
    if (quiet or before == Verbosity.QUIET) and (verbose or before == Verbosity.VERBOSE):
        raise typer.BadParameter("--quiet and --verbose must not be given both: leave one out")
    err.verbosity = Verbosity.QUIET if quiet else Verbosity.VERBOSE if verbose else before
    if quiet or verbose:
        listen(err)


app = App(
    name="hwnas",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Finds the best neural network for your own phone, board, CPU or GPU, "
    "under a measured latency budget.",
    epilog="Exit codes: 0 done and PASS, 1 FAIL or an error, 2 wrong usage, 3 NOT PROVEN, 130 interrupted.",
)


def show_epoch(record: EpochRecord) -> None:
    """Print how a training stands after an epoch."""
    err.tell(err.pace.told(str(record)))


def print_table(table: Table) -> None:
    """Print a table of which nothing is cut off, however narrow the terminal is."""
    for column in table.columns:
        column.no_wrap, column.overflow = False, "fold"
    out.print(table)


def print_quality(session: Mapping[str, Any], name: str = "") -> None:
    """Print what speaks against a session, and what its clock did; nothing where all was quiet.

    Args:
        session: The fields of a ``conditions.SessionQuality``.
        name: What was measured.
    """
    reasons, notes = session.get("reasons") or (), session.get("notes") or ()
    of = f"{name}: " if name else ""
    if reasons:
        said = f"measured in a session that was {session['word']}: {'; '.join(reasons)}"
        err.print(f"{escape(of)}[yellow]{escape(said)}[/]", highlight=False, soft_wrap=True)
    for note in notes:
        out.print(escape(f"{of}while measuring, {note}"), highlight=False, soft_wrap=True)


Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")]


def emit_json(data: Any) -> None:
    """Print one JSON object for machines; NaN and infinity are refused."""
    sys.stdout.write(json.dumps(data, allow_nan=False) + "\n")


def finite(value: float | None) -> float | None:
    """A callback of options that take a number: nan is neither below their least nor above their most."""
    if value is not None and not math.isfinite(value):
        raise typer.BadParameter(f"a number must be finite, but got {value}")
    return value


EXIT_CODES = {PASS: 0, FAIL: 1, NOT_PROVEN: 3}
"""By verdict; 1 is also an error of the user's or the device's, 2 a usage error, 130 an interruption."""

AcceptNoise = Annotated[
    bool,
    typer.Option("--accept-noise", help="Exit with 0 where a promise is NOT PROVEN; it is said and kept."),
]

_COLOURS = {PASS: "green", FAIL: "red", NOT_PROVEN: "yellow"}


def coloured(found: Verdict | None, nothing: str = "–") -> str:
    """The word of a verdict as rich markup; ``nothing`` where there is none."""
    return f"[dim]{nothing}[/]" if found is None else f"[bold {_COLOURS[found.word]}]{found.word}[/]"


def leave(found: Verdict | None, *, accept_noise: bool = False) -> None:
    """End the program with the code of a verdict; nothing happens where that is 0.

    Raises:
        typer.Exit: The verdict is not PASS, nor NOT PROVEN and accepted.
    """
    code = 0 if found is None else EXIT_CODES[found.word]
    if code and not (accept_noise and found is not None and found.word == NOT_PROVEN):
        raise typer.Exit(code)


def _version(asked: bool) -> None:
    if asked:
        out.print(__version__)
        raise typer.Exit


SHARED = ("search", "train")
"""Verbs that processes of torchrun share."""


@app.callback()
def _root(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
    quiet: _Quiet = False,
    verbose: _Verbose = False,
) -> None:
    """Options before the verb."""
    listen(err)
    _talk(quiet=quiet, verbose=verbose, before=Verbosity.USUAL)
    if (count := torchrun.count()) > 1 and context.invoked_subcommand not in SHARED:
        raise typer.BadParameter(
            f"torchrun must start hwnas {' or hwnas '.join(SHARED)}, but started {count} of hwnas "
            f"{context.invoked_subcommand}: start it without"
        )
