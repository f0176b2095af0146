"""The ``hwnas`` program: loads the command line, and can be interrupted while it does."""

from __future__ import annotations

import sys


def main() -> None:
    """Entry point; Ctrl-C is one line from the first import on."""
    try:
        from hwnas.cli import main as run

        run()
    except KeyboardInterrupt:
        from hwnas import torchrun

        if torchrun.number() == 0:  # of the processes of torchrun, one tells
            sys.stderr.write("interrupted; what a run or a table has is kept, and nothing of hwnas measure\n")
        sys.exit(130)


if __name__ == "__main__":
    main()
