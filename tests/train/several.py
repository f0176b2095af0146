"""Programs that torchrun starts, as users start them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from ports import free_port

HERE = Path(__file__).parent


def environment():
    """Of one thread a process; what tests import is there as well."""
    folders = (HERE, HERE.parent, *sys.path)
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(map(str, folders))}


def started(*command, processes=1):
    """A program, alone or under torchrun, in a process group of its own."""
    words = [sys.executable]
    if processes > 1:
        where = ("--master-addr", "127.0.0.1", "--master-port", str(free_port()))  # not by this host's name
        words += ["-m", "torch.distributed.run", "--nproc-per-node", str(processes), *where]
    return subprocess.Popen(
        [*words, *map(str, command)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
        start_new_session=True,
    )


def ended(program, timeout=240):
    """Status, standard output and standard error of a program that comes to its end."""
    out, err = program.communicate(timeout=timeout)
    return program.returncode, out, err


def run(*command, processes=1):
    """As ``ended`` of what is ``started``."""
    return ended(started(*command, processes=processes))
