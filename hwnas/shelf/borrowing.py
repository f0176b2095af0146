"""Running any command with a unit of a shelf, which is ours until it ends.

The command finds the unit in its environment: hwnas by ``hwnas.transport``, adb itself by its own variable.
It ends with this process, however that ends.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from hwnas import device
from hwnas.errors import DeviceError, TransportError
from hwnas.shelf.file import Shelf, Unit
from hwnas.shelf.leasing import Lease, leased
from hwnas.transport import SERIALS, serials

_LOOK_S = 0.2
_END_S = 30.0  # for a command to end once its lease is lost
_TERM_S = 5.0  # for one to end that is asked to, before it is killed
_SET_PDEATHSIG = 1  # of prctl


def run(shelf: Shelf, name: str, command: Sequence[str]) -> int:
    """Run a command while one unit of a device is leased; returns its exit status.

    Raises:
        DeviceError: There is no such unit on the shelf, or no such program.
        TransportError: Others have all of them, or the lease was lost: then the command was interrupted.
    """
    with leased(shelf, name, most=1) as (lease,):
        try:
            process = subprocess.Popen(
                list(command), env=_environment(lease.unit), preexec_fn=_to_end_with_this_process()
            )
        except OSError as error:
            raise DeviceError(f"a command must be a program, but {command[0]} is none: {error}") from error
        try:
            code = _ended(process, lease)
        finally:
            _end(process)
        return code if code >= 0 else 128 - code  # as shells say that a signal ended it


def _end(process: subprocess.Popen[bytes]) -> None:
    try:
        if process.poll() is None:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(_TERM_S)
    finally:
        process.kill()
        process.wait()


def _to_end_with_this_process() -> Callable[[], object] | None:
    """What a command does before it begins: ask Linux to be ended with us, as the unit then is not ours."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl
    return lambda: prctl(_SET_PDEATHSIG, signal.SIGTERM)


def _environment(unit: Unit) -> dict[str, str]:
    found = {**os.environ, SERIALS: json.dumps({**serials(), unit.device: unit.serial})}
    return found | ({"ANDROID_SERIAL": unit.serial} if device.load(unit.device).transport == "adb" else {})


def _ended(process: subprocess.Popen[bytes], lease: Lease) -> int:
    """The exit status; the command is interrupted where the lease is lost."""
    while True:
        try:
            return process.wait(_LOOK_S)
        except subprocess.TimeoutExpired:
            if lease.is_held:
                continue
        except KeyboardInterrupt:  # which the command was told as well
            with suppress(subprocess.TimeoutExpired):
                process.wait(_END_S)
            raise
        if os.name == "posix":
            process.send_signal(signal.SIGINT)
        else:
            process.terminate()  # Windows has nothing gentler for a process of another group
        deadline = time.monotonic() + _END_S
        while process.poll() is None and time.monotonic() < deadline:
            time.sleep(_LOOK_S)
        raise TransportError(
            f"a unit must be leased while it is used, but the lease of {lease.unit} was lost, so the command "
            "was interrupted: start again"
        )
