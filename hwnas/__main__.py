"""The ``hwnas`` program: loads the command line, and can be interrupted while it does."""

from __future__ import annotations

import sys

_AGAIN = "run `pip install --force-reinstall hwnas`"


def main() -> None:
    """Entry point; Ctrl-C is one line from the first import on."""
    try:
        try:
            from hwnas.cli import main as run
        except ImportError as error:
            sys.stderr.write(
                f"error: hwnas must be installed with all that it needs, but {error}: {_AGAIN}\n"
            )
            sys.exit(1)
        run()
    except KeyboardInterrupt:
        from hwnas import torchrun

        if torchrun.number() == 0:  # of the processes of torchrun, one tells
            sys.stderr.write("interrupted: what was finished is kept (hwnas measure begins anew)\n")
        sys.exit(130)


if __name__ == "__main__":
    main()
