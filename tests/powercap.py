"""A folder like the kernel's ``/sys/class/powercap``, whose counters a process moves.

No machine of ours has one. It has the kernel's files, and counts what a processor of a constant power would
take, so that energies in it follow from times. Nothing here is a measurement of energy. A thread would have
to wait for whatever holds the interpreter of the tests.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

WATTS = 10
"""Of each package."""

_DIGITS = 12  # a number is written over the one before at once, so that no reader sees half of it


@contextmanager
def moving(
    root: Path,
    packages: Sequence[str] = ("package-0",),
    *,
    step_s: float = 0.001,
    begin_uj: int = 123_456,
    range_uj: int = 262_143_328_850,
) -> Iterator[Path]:
    """Packages with a core below each, and psys beside them, counted on every ``step_s``.

    Args:
        root: Is made.
        packages: Their names.
        step_s: From step to step.
        begin_uj: What each shows first.
        range_uj: Where each begins anew at 0.
    """
    named = {f"intel-rapl:{n}": name for n, name in enumerate(packages)}
    below = {f"{zone}:0": "core" for zone in named}
    for zone, name in (named | below | {"intel-rapl:9": "psys", "intel-rapl-mmio:0": "package-0"}).items():
        (root / zone).mkdir(parents=True)
        (root / zone / "name").write_text(f"{name}\n")
        (root / zone / "max_energy_range_uj").write_text(f"{range_uj}\n")
        (root / zone / "energy_uj").write_text(f"{begin_uj:0{_DIGITS}}\n")
    numbers = map(str, (step_s, begin_uj, range_uj))
    words = [sys.executable, __file__, *numbers, *(str(root / zone / "energy_uj") for zone in named)]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as mover:
        assert mover.stdout is not None
        mover.stdout.readline()  # it has begun
        try:
            yield root
        finally:
            mover.kill()


def _move(step_s: float, begin_uj: int, range_uj: int, files: Sequence[str]) -> None:
    with suppress(PermissionError):
        os.nice(-15)  # as punctual as the kernel's, where it may be
    counters = [os.open(file, os.O_WRONLY) for file in files]
    began = time.perf_counter()
    print(flush=True)
    while True:
        time.sleep(step_s)
        risen = round(WATTS * 1e6 * (time.perf_counter() - began))
        for counter in counters:
            os.pwrite(counter, f"{(begin_uj + risen) % range_uj:0{_DIGITS}}\n".encode(), 0)


if __name__ == "__main__":
    _move(float(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:])
