"""Boards over SSH, by the system's ``ssh``: keys, agents, jump hosts and host keys are its business.

A host whose key is not known is refused: connect to it once by hand and compare the key.
"""

from __future__ import annotations

import platform
import re
import shlex
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from hwnas.device import Device
from hwnas.errors import TransportError
from hwnas.transport import _program
from hwnas.transport._shell import LinkLost
from hwnas.transport.remote import RemoteTransport

CONNECT_S = 10.0
_PERSIST_S = 60  # the shared connection ends by itself after this, should nobody be left to end it

_REFUSALS = {
    "Host key verification failed": "connect once with `ssh {where}` and compare the key that it shows",
    "REMOTE HOST IDENTIFICATION HAS CHANGED": "find out why the key of the board has changed",
    "Permission denied": "put your public key on the board (`ssh-copy-id {where}`)",
    "Could not resolve hostname": "check --serial, or the option address of the device",
    "Bad configuration option": "check the option ssh of the device",
}
"""What ssh says where waiting is in vain, and what the user must do."""


class SshProgram:
    """A ``Shell`` on one board.

    Args:
        address: user@host, or a name of the user's ssh configuration.
        options: Further words for ssh, such as ``-p 2222``.
        program: The ssh program.
    """

    def __init__(self, address: str, options: Sequence[str] = (), program: str = "ssh") -> None:
        if not re.fullmatch(r"[\w.@:\[\]%-]+", address) or address.startswith("-"):
            raise TransportError(f"the address of a board must be user@host, but got {address!r}")
        self._address = address
        self._program = program
        self._options = list(options)
        self._socket: tempfile.TemporaryDirectory[str] | None = None

    def connect(self) -> None:
        """Open one connection that all commands share."""
        if platform.system() == "Windows":
            raise TransportError(
                "a board that ssh reaches must be measured from Linux or macOS, but this machine runs "
                "Windows, whose ssh shares no connection: start hwnas in WSL"
            )
        self.close()
        self._socket = tempfile.TemporaryDirectory(prefix="hwnas-")  # mode 0700, and a short path
        shared = ["-o", "ControlMaster=yes", "-o", f"ControlPersist={_PERSIST_S}"]
        log = Path(self._socket.name) / "log"
        with log.open("wb") as said:  # a pipe would be held open by the connection in the background
            status = _program.wait_for(
                [*self._argv(), *shared, self._address, "true"], said, timeout_s=2 * CONNECT_S
            )
        if not status:
            return
        text = log.read_text("utf-8", "replace").strip()
        self.close()
        for sign, remedy in _REFUSALS.items():
            if sign in text:
                raise TransportError(
                    f"a board must let this computer in, but ssh says: {text[-500:]}: "
                    + remedy.format(where=shlex.join([*self._options, self._address]))
                )
        raise LinkLost(f"ssh {self._address} says: {text[-300:]}")

    def _argv(self) -> list[str]:
        folder = self._socket.name if self._socket else ""
        fixed = {
            "BatchMode": "yes",  # nobody is there to be asked
            "StrictHostKeyChecking": "yes",
            "ControlPath": f"{folder}/c",
        }
        usual = {"ConnectTimeout": f"{CONNECT_S:g}", "ServerAliveInterval": "5"}
        return [self._program, *_words(fixed), *self._options, *_words(usual)]  # of two, ssh takes the first

    def close(self) -> None:
        """End the shared connection."""
        folder, held = self._socket, self._argv()
        if folder is not None:
            if (Path(folder.name) / "c").exists():
                with suppress(TransportError):
                    _program.finish([*held, "-O", "exit", self._address], timeout_s=CONNECT_S)
            self._socket = None
            folder.cleanup()

    def _command(self, command: str) -> list[str]:
        if self._socket is None:
            self.connect()
        return [*self._argv(), "-T", self._address, f"exec sh -c {shlex.quote(command)}"]

    def stream(self, command: str, *, quiet_s: float) -> Iterator[bytes]:
        """See ``Shell.stream``."""
        yield from _program.stream(self._command(command), quiet_s=quiet_s)

    def send(self, local: Path, remote: str) -> None:
        """See ``Shell.send``."""
        argv = self._command(f"cat >{shlex.quote(remote)}")
        with local.open("rb") as source:
            status, said = _program.finish(argv, timeout_s=_program.send_s(local), source=source)
        if status == 255:  # ssh's own
            raise LinkLost(f"ssh says: {said.strip()[-300:]}")
        if status:
            raise TransportError(
                f"a board must take the files that it is sent, but for {local.name} it says: "
                f"{said.strip()[-300:]}: free some space on it"
            )


def _words(options: Mapping[str, str]) -> list[str]:
    return [word for name, value in options.items() for word in ("-o", f"{name}={value}")]


def open_board(device: Device, address: str | None = None) -> RemoteTransport:
    """The way to a board.

    Args:
        device: Its options must hold ``address`` (user@host) unless it is given; they may hold
            ``ssh``, a list of further words for ssh.
        address: user@host, or a name of the user's ssh configuration.

    Raises:
        TransportError: There is no address, or it makes no sense.
    """
    wanted = address or device.options.get("address")
    if not wanted:
        raise TransportError(
            f"a board must have an address, but {device.name} has none: give --serial USER@HOST "
            "(profile, measure, devices doctor), or copy its descriptor to your own devices and add the "
            "option address"
        )
    shell = SshProgram(str(wanted), [str(word) for word in device.options.get("ssh", ())])
    return RemoteTransport(shell, device, identity=str(wanted))
