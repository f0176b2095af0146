"""The application object, the console, and how errors reach the user."""

from __future__ import annotations

import inspect
import json
import math
import os
import re
import sys
import time
from collections.abc import Callable, Mapping
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from rich.console import Console, ConsoleDimensions, RenderableType
from rich.errors import MarkupError
from rich.markup import escape
from rich.status import Status
from rich.table import Table
from rich.text import Text
from typer.core import TyperCommand, TyperOption

from hwnas import __version__, plugins, torchrun
from hwnas.cli._log import listen
from hwnas.statistics.verdict import FAIL, NOT_PROVEN, PASS, Verdict

if TYPE_CHECKING:
    from hwnas.train.config import EpochRecord

_Verb = TypeVar("_Verb", bound=Callable[..., Any])


def _loaded(paths: list[Path] | None) -> list[Path] | None:
    """Load plug-ins before any other option is looked at: a name may be one that they bring."""
    plugins.load(*paths or ())
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


class App(typer.Typer):
    """Verbs of the command line: each takes ``--plugin`` beside its own options."""

    def command(self, *names: Any, **settings: Any) -> Callable[[_Verb], _Verb]:
        """Make a function a verb."""
        add = super().command(*names, cls=_Command, **settings)

        def made(verb: _Verb) -> _Verb:
            add(_with_plugins(verb))
            return verb

        return made


def _with_plugins(verb: Callable[..., Any]) -> Callable[..., Any]:
    """The same with one more option, which is dealt with before the verb is called."""

    @wraps(verb)
    def command(*args: Any, plugin: list[Path] | None = None, **options: Any) -> Any:
        return verb(*args, **options)

    own = inspect.signature(verb, eval_str=True)
    option = inspect.Parameter("plugin", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=_Plugins)
    command.__signature__ = own.replace(parameters=[*own.parameters.values(), option])  # type: ignore[attr-defined]
    command.__annotations__ = {**verb.__annotations__, "plugin": _Plugins}
    return command


app = App(
    name="hwnas",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Finds the best neural network for your own phone, board, CPU or GPU, "
    "under a measured latency budget.",
    epilog="Exit codes: 0 done and PASS, 1 FAIL or an error, 2 wrong usage, 3 NOT PROVEN, 130 interrupted.",
)

_UNBOUNDED = 4096  # columns of a file or a pipe, where nothing is gained by breaking lines
_STYLES = "default|bold|dim|red|green|yellow|bold red|bold green|bold yellow"
_FOREIGN = re.compile(rf"(?<!\\)\[(?=[A-Za-z#/@])(?!(?:/|{_STYLES})\])")
"""What looks like markup and is none of ours: a name, a path or a value in brackets."""


_QUIET_S = 60.0
"""Without a terminal, the longest that nothing is printed of what is being done."""
_COUNTED = re.compile(r"^\d|: |\s\d")


class _Progress(Status):
    """What is being done: one line that changes; where there is no terminal, a line a step and a minute."""

    def __init__(self, text: RenderableType, *, console: Console) -> None:
        super().__init__(_rendered(text, console), console=console)
        self._said, self._at = set[str](), time.monotonic()
        self._tell(text)

    def update(self, status: RenderableType | None = None, **given: Any) -> None:
        """As of ``Status``; a step is what stands before a colon and before what counts up."""
        super().update(None if status is None else _rendered(status, self.console), **given)
        self._tell(status)

    def _tell(self, text: RenderableType | None) -> None:
        if self.console.is_terminal or not isinstance(text, str):
            return
        step, now = _COUNTED.split(text, maxsplit=1)[0], time.monotonic()
        if step not in self._said or now - self._at >= _QUIET_S:
            line = text if step in self._said or not step else step
            self.console.print(line, soft_wrap=True, highlight=False)
            self._at = now
        self._said.add(step)


def _rendered(text: RenderableType, console: Console) -> RenderableType:
    """Text with the styles of the console, which takes brackets that are none."""
    return console.render_str(text) if isinstance(text, str) else text


class _Console(Console):
    """As wide as its terminal, or as its text where there is none; takes text of any origin."""

    @property
    def size(self) -> ConsoleDimensions:
        """Width and height in characters."""
        if os.environ.get("COLUMNS") or self.file.isatty():
            return super().size
        return ConsoleDimensions(_UNBOUNDED, 25)

    @size.setter
    def size(self, new: tuple[int, int]) -> None:
        self._width, self._height = new

    def status(self, status: RenderableType, **_: Any) -> Status:
        """What is being done, until its end."""
        return _Progress(status, console=self)

    def render_str(self, text: str, **given: Any) -> Text:
        """Text with the styles that hwnas uses; any other bracket is just a bracket."""
        try:
            return super().render_str(_FOREIGN.sub(r"\[", text), **given)
        except MarkupError:
            return super().render_str(text, **{**given, "markup": False})


out = _Console(emoji=False)
"""Results for people go here (standard output)."""

err = _Console(stderr=True, emoji=False)
"""Progress, warnings and errors go here (standard error)."""


def show_epoch(record: EpochRecord) -> None:
    """Print how a training stands after an epoch."""
    err.print(str(record), highlight=False)


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
) -> None:
    """Options before the verb."""
    listen(err)
    if (count := torchrun.count()) > 1 and context.invoked_subcommand not in SHARED:
        raise typer.BadParameter(
            f"torchrun must start hwnas {' or hwnas '.join(SHARED)}, but started {count} of hwnas "
            f"{context.invoked_subcommand}: start it without"
        )
