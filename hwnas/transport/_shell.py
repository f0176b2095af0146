"""The least that a way to a device must offer, and what is built on it for all of them.

A *shell* runs one command line on the device and carries files to it. Its own exit status is not
believed: programs for this have been seen to report success when the device went away. So every
command ends with a random marker and its status, in the output itself. No marker: the link is lost.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Protocol, TypeVar

from hwnas.errors import TransportError
from hwnas.transport.base import Losses

CALL_S = 20.0
"""Longest silence of a command that does little."""

PATIENCE_S = 60.0
"""How long a lost link may stay lost."""

ATTEMPTS = 12
"""How often one action is tried, or one file, on a link that breaks before anything is done."""

REMEDY = "try another cable or port, or a steadier network, and run the same command again"
"""What the user must do where a link breaks too often."""

_log = logging.getLogger(__name__)
_Result = TypeVar("_Result")


class LinkLost(TransportError):
    """The link broke or fell silent; what was under way may or may not have happened."""


class Shell(Protocol):
    """One way to a device."""

    def connect(self) -> None:
        """Connect, or connect again. Raises LinkLost, or TransportError where waiting is in vain."""

    def close(self) -> None:
        """Give up the connection. Never raises."""

    def stream(self, command: str, *, quiet_s: float) -> Iterator[bytes]:
        """Output of a command line of the device's POSIX shell, as it comes.

        Closing the iterator early gives up the command.

        Raises:
            LinkLost: The link broke, or nothing came for ``quiet_s``.
        """

    def send(self, local: Path, remote: str) -> None:
        """Copy a file to the device. Raises LinkLost, or TransportError where it says why not."""


class Link:
    """A shell that survives the loss of its connection.

    Args:
        shell: The way to the device.
        patience_s: How long a lost link may stay lost before that is an error.
    """

    def __init__(self, shell: Shell, patience_s: float = PATIENCE_S) -> None:
        self.shell = shell
        self._losses = Losses()
        self._patience_s = patience_s
        self._back = 0.0  # when it last came back
        self._was_there = False  # whether anything ever passed
        self._barren = 0  # how often it came back since the device last gave a sign of life

    def ask(self, command: str, *, quiet_s: float = CALL_S) -> tuple[int, str]:
        """Exit status and output of a command, which may be run more than once."""
        _log.debug("on the device: %s", command)
        return self.persist(lambda: ask_once(self.shell, command, quiet_s=quiet_s))

    def call(self, command: str, *, quiet_s: float = CALL_S) -> str:
        """Output of a command that must succeed.

        Raises:
            TransportError: It failed, or the link was lost and did not come back.
        """
        status, text = self.ask(command, quiet_s=quiet_s)
        if status:
            raise TransportError(
                f"a command on the device must succeed, but {command[:200]!r} ended with status {status}: "
                f"{text.strip()[-500:] or 'it said nothing'}"
            )
        return text

    def persist(self, action: Callable[[], _Result]) -> _Result:
        """Do something, again after every loss of the link, until it is done.

        Raises:
            TransportError: The link was lost too often, or did not come back in time.
        """
        for attempt in range(1, ATTEMPTS + 1):
            try:
                result = action()
            except LinkLost as error:
                if attempt == ATTEMPTS:
                    raise TransportError(
                        f"a link must hold for as long as one command takes, but was lost {ATTEMPTS} times "
                        f"in a row: {error}: {REMEDY}"
                    ) from error
                self.recover(error)
            else:
                self._was_there = True
                return result
        raise AssertionError("unreachable: the last attempt returns or raises")

    def recover(self, cause: LinkLost, *, since: float | None = None) -> None:
        """Connect again; tried at least once, as it may be this computer that slept.

        Args:
            cause: How the loss was noticed.
            since: When the device last gave a sign of life; now, if not given.

        Raises:
            TransportError: The link stayed lost for longer than the patience, or came back again and again
                without a sign of life.
        """
        began = time.monotonic() if since is None else since
        is_new = since is None or since >= self._back
        self._barren = 0 if is_new else self._barren + 1
        if self._barren >= ATTEMPTS and time.monotonic() > began + self._patience_s:
            raise TransportError(
                f"a link must carry something when it is back, but {ATTEMPTS} times in a row it was lost "
                f"before: {cause}: {REMEDY}"
            ) from cause
        try:
            self._reconnect(cause, began + self._patience_s)
        finally:
            lost_s = time.monotonic() - max(began, self._back)
            self._losses = Losses(self._losses.count + is_new, self._losses.seconds + lost_s)
            self._back = time.monotonic()

    def take_losses(self) -> Losses:
        """See ``Transport.take_losses``."""
        taken, self._losses = self._losses, Losses()
        return taken

    def _reconnect(self, cause: LinkLost, deadline: float) -> None:
        pause_s = 0.02
        while True:
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, 2.0)
            try:
                self.shell.close()
                self.shell.connect()
            except LinkLost as latest:
                error = latest
            else:
                return
            if time.monotonic() > deadline:
                break
        missed = "a lost link must come back" if self._was_there else "a device must answer"
        seen = f"{cause}; then: {error}" if str(error) != str(cause) else str(error)
        raise TransportError(
            f"{missed} within {self._patience_s:g} s, but it did not: {seen}: "
            "check the cable or the network and run the same command again"
        ) from error

    def close(self) -> None:
        """Give up the connection."""
        self.shell.close()


def ask_once(shell: Shell, command: str, *, quiet_s: float = CALL_S) -> tuple[int, str]:
    """Exit status and output of one command.

    Raises:
        LinkLost: The output ended without its marker, or nothing came for ``quiet_s``.
    """
    marker = secrets.token_hex(8)
    line = f'( {command}\n) 2>&1 </dev/null; echo "<{marker}:$?>"'
    output = b"".join(shell.stream(line, quiet_s=quiet_s)).replace(b"\r\n", b"\n")
    text, found, status = output.decode(errors="replace").rpartition(f"<{marker}:")
    with suppress(ValueError):
        if found:
            return int(status.rstrip().removesuffix(">")), text
    raise LinkLost(f"the output of a command must end with its marker, but ended with {output[-80:]!r}")
