"""The command line: one verb a stage, one file a verb, each a thin call of the public function.

Heavy imports (torch, ONNX, LiteRT, scikit-learn) happen inside the verbs, so that ``hwnas
--help`` is instant. Exit codes: 0 done, 1 an error of the user's or the device's, 2 usage.
"""

from __future__ import annotations

import errno
import faulthandler
import os
import signal
import sys
import traceback
from pathlib import Path

from rich.markup import escape

from hwnas import torchrun
from hwnas.cli import (  # noqa: F401  (each registers its verbs)
    _runlog,
    _terminal,
    adapt,
    bench,
    compare,
    devices,
    doctor,
    export,
    fit,
    import_model,
    imports,
    measure,
    pick,
    profile,
    quickstart,
    report,
    run,
    search,
    serve,
    spaces,
    table,
    train,
    verify,
)
from hwnas.cli._app import app
from hwnas.cli._console import Verbosity, err
from hwnas.cli._pages import address
from hwnas.errors import HwnasError, ProcessLost

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def _end(number: int, _frame: object) -> None:
    """End as Ctrl-C does, so that nothing is left behind: no agent, no temporary folder."""
    sys.exit(128 + number)


def main() -> None:
    """Entry point of the ``hwnas`` program."""
    _terminal.prepare()
    is_first = torchrun.number() == 0
    if not is_first:
        _terminal.hush()
    for number in filter(None, (signal.SIGTERM, getattr(signal, "SIGHUP", None))):  # Windows has no SIGHUP
        if is_first and signal.getsignal(number) is signal.SIG_DFL:  # nohup has it ignored
            signal.signal(number, _end)  # others of torchrun have nothing to leave in order
    if not faulthandler.is_enabled():
        faulthandler.enable(_terminal.voice())  # a crash in a compiled library says at least where
    with _runlog.command(sys.argv[1:]):
        _run()


def _run() -> None:
    try:
        try:
            app()
        finally:
            _terminal.flush()
    except BrokenPipeError:  # whoever read has read enough
        _terminal.abandon(sys.stdout)
        sys.exit(1)
    except HwnasError as error:
        _runlog.failed(error)
        if isinstance(error, ProcessLost) and error.is_told:
            sys.exit(1)
        _fail(str(error), error.page)
    except OSError as error:
        _runlog.failed(error)
        _fail(_of_the_system(error))
    except (KeyboardInterrupt, SystemExit) as stop:
        if isinstance(stop, SystemExit) and stop.code != 130:  # typer exits with 130 where it is interrupted
            raise
        err.print("interrupted: what was finished is kept (hwnas measure begins anew)")
        sys.exit(130)
    except Exception as error:
        if err.verbosity == Verbosity.VERBOSE or os.environ.get("HWNAS_TRACEBACK"):
            sys.stderr = _terminal.voice()
            raise
        _runlog.failed(error)
        _fail(_unforeseen(error))


def _fail(text: str, page: str = "") -> None:
    """Say what went wrong, in one line, and end; where to read on is a second one."""
    line = " ".join(text.split("\n"))
    sys.stderr = _terminal.voice()
    try:
        err.print(f"[bold red]error:[/] {escape(line)}", soft_wrap=True, highlight=False)
        if page:
            err.print(f"[dim]see {escape(address(page))}[/]", soft_wrap=True, highlight=False)
        _terminal.flush()
    except OSError:  # nobody can be told
        for stream in (sys.stdout, sys.stderr):
            _terminal.abandon(stream)
    sys.exit(1)


def _of_the_system(error: OSError) -> str:
    where = error.filename if error.filename is not None else "standard output or another stream"
    remedy = "free some space" if error.errno in _FULL else "mend that"
    return (
        f"files must be readable and writable, but {where}: {error.strerror or error}: {remedy} and start "
        "again; what was finished is kept"
    )


def _unforeseen(error: Exception) -> str:
    place = traceback.extract_tb(error.__traceback__)[-1]
    log = _runlog.path()
    said = "with --verbose it says where" if log is None else f"{log} says where, as --verbose does"
    return (
        "files and settings must be as hwnas knows them, but something is not, and it was not foreseen: "
        f"{type(error).__name__}: {error} ({Path(place.filename).name}, line {place.lineno}): "
        f"{said}, for a report of this fault"
    )


__all__ = ["main"]
