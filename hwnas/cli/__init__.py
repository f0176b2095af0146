"""The command line: one verb a stage, one file a verb, each a thin call of the public function.

Heavy imports (torch, ONNX, LiteRT, scikit-learn) happen inside the verbs, so that ``hwnas
--help`` is instant. Exit codes: 0 done, 1 an error of the user's or the device's, 2 usage.
"""

from __future__ import annotations

import sys

from rich.markup import escape

from hwnas.cli import (  # noqa: F401  (each registers its verbs)
    compare,
    devices,
    doctor,
    fit,
    imports,
    pick,
    profile,
    quickstart,
    run,
    search,
    ship,
    spaces,
    table,
    train,
)
from hwnas.cli._app import app, err
from hwnas.errors import HwnasError


def main() -> None:
    """Entry point of the ``hwnas`` program."""
    try:
        app()
    except HwnasError as error:
        err.print(f"[bold red]error:[/] {escape(str(error))}", soft_wrap=True, highlight=False)
        sys.exit(1)
    except (KeyboardInterrupt, SystemExit) as stop:
        if isinstance(stop, SystemExit) and stop.code != 130:  # typer exits with 130 where it is interrupted
            raise
        err.print("interrupted; what was finished is kept")
        sys.exit(130)


__all__ = ["main"]
