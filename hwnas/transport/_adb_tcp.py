"""ADB over TCP without the ``adb`` program, by adb-shell. Imported only where it is needed."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from adb_shell import exceptions
from adb_shell.adb_device import AdbDevice
from adb_shell.auth.keygen import keygen
from adb_shell.auth.sign_pythonrsa import PythonRSASigner

from hwnas import files
from hwnas.errors import TransportError
from hwnas.transport import _program
from hwnas.transport._adb_socket import AdbSocket
from hwnas.transport._shell import LinkLost

CONNECT_S = 5.0
AUTH_S = 30.0
"""How long the user has to accept the dialog on the phone."""

_ERRORS: tuple[type[Exception], ...] = (
    OSError,
    *(kind for kind in vars(exceptions).values() if isinstance(kind, type) and issubclass(kind, Exception)),
)


class AdbTcp:
    """A ``Shell`` on one phone.

    Args:
        address: host:port of its adb daemon, for example after ``adb tcpip 5555``.
        key: File of the private RSA key; made where it is not there.
        auth_s: How long the user has to accept a key that the phone does not know.
    """

    def __init__(self, address: str, key: Path | None = None, auth_s: float = AUTH_S) -> None:
        host, _, port = address.rpartition(":")
        if not host or not port.isdigit():
            raise TransportError(f"the address of a phone must be host:port, but got {address!r}")
        self._host, self._port = host.strip("[]"), int(port)
        self._key = key or files.user_config() / "adbkey"
        self._auth_s = auth_s
        self._device: AdbDevice | None = None

    def connect(self) -> None:
        """See ``Shell.connect``."""
        self.close()
        signers = [PythonRSASigner.FromRSAKeyPath(str(path)) for path in self._keys()]
        device = AdbDevice(AdbSocket(self._host, self._port), CONNECT_S, banner="hwnas")
        asked: list[AdbDevice] = []
        try:
            device.connect(signers, CONNECT_S, self._auth_s, CONNECT_S, auth_callback=asked.append)
        except _ERRORS as error:
            device.close()
            if asked:
                raise TransportError(
                    "a phone must allow this computer to use it, but it did not: unlock it, accept the "
                    "dialog 'Allow USB debugging?' and try again"
                ) from error
            if isinstance(error, exceptions.InvalidCommandError):
                raise TransportError(
                    "a phone with wireless debugging asks for pairing, which needs the adb program: "
                    "install it, or plug the phone in once and run `adb tcpip 5555`"
                ) from error
            raise LinkLost(f"{self._host}:{self._port}: {type(error).__name__}: {error}") from error
        self._device = device

    def _keys(self) -> list[Path]:
        """The user's own key for adb, where there is one, and that of hwnas."""
        if not self._key.exists():
            _make_key(self._key)
        if self._key.stat().st_mode & 0o077:
            self._key.chmod(0o600)
        users = Path.home() / ".android" / "adbkey"
        return [path for path in (users, self._key) if path.exists() and Path(f"{path}.pub").exists()]

    def close(self) -> None:
        """See ``Shell.close``."""
        device, self._device = self._device, None
        if device is not None:
            with suppress(*_ERRORS):
                device.close()

    def stream(self, command: str, *, quiet_s: float) -> Iterator[bytes]:
        """See ``Shell.stream``."""
        with self._using() as device:
            yield from device.streaming_shell(command, quiet_s, quiet_s, decode=False)

    def send(self, local: Path, remote: str) -> None:
        """See ``Shell.send``."""
        limit_s = _program.send_s(local)
        try:
            with self._using() as device:
                device.push(str(local), remote, transport_timeout_s=limit_s, read_timeout_s=limit_s)
        except exceptions.PushFailedError as error:
            said = bytes(error.args[0]).decode(errors="replace")
            raise TransportError(
                f"a phone must take the files that it is sent, but for {local.name} it says: {said}: free "
                "some space on it"
            ) from error

    @contextmanager
    def _using(self) -> Iterator[AdbDevice]:
        """The connected device; closed by whatever goes wrong, as what is still to come is not known."""
        if self._device is None:
            self.connect()
        try:
            yield self._device
        except exceptions.PushFailedError:
            self.close()
            raise
        except _ERRORS as error:
            self.close()
            raise LinkLost(f"{type(error).__name__}: {error}") from error
        except GeneratorExit:  # nobody listens to a command that goes on
            self.close()
            raise


def _make_key(path: Path) -> None:
    """An RSA key pair that nobody else can read, not even while it is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:  # mode 0700
        made = Path(folder) / path.name
        keygen(str(made))
        made.chmod(0o600)
        Path(f"{made}.pub").replace(f"{path}.pub")
        made.replace(path)
