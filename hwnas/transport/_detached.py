"""Programs that go on when the link is lost, and a reader that misses and doubles nothing.

The program runs in a session of its own on the device and writes to a file. The reader is a loop
of the device's shell that sends what was added since a given byte, and a blank line when nothing
was, so that silence means a lost link, and a reader whose link is gone ends at its next line. It
starts no other program while it waits: what is measured must not be disturbed.
"""

from __future__ import annotations

import secrets
import shlex
import time
from collections.abc import Iterator, Sequence

from hwnas.errors import AgentError
from hwnas.transport._shell import Link, LinkLost
from hwnas.transport.base import no_answer

HEARTBEAT_S = 0.2
"""How often the reader says that it is there."""

PACE_S = 0.05
"""Pause after a line where a link carried nothing: lines sent at once are one packet, which passes or not."""

LINK_S = 0.9
"""A link that is silent for longer is taken to be lost."""

_LINE_BYTES = 64 * 1024 * 1024  # no line of a program is longer
_TAIL_BYTES = 2000  # of standard error, in messages

# Starting twice is harmless: only the first to make the lock goes on.
_START = """\
mkdir -p {folder} && cd {folder} || exit 1
if [ ! -s pid ]; then
  {{ trap "" HUP
     setsid sh -c {inner} </dev/null >/dev/null 2>&1 & }}
fi
i=0
while [ ! -s pid ] && [ $i -lt 100 ]; do sleep 0.05; i=$((i+1)); done
[ -s pid ]"""

_INNER = """\
(set -C; : >lock) 2>/dev/null || exit 0
: >out
echo $$ >pid.part
mv pid.part pid
trap - HUP
{command} >>out 2>err
echo $? >status.part
mv status.part status"""

# `over` makes one more pass after the end is known: what was written before it is then seen.
_FOLLOW = """\
status=gone
if cd {folder} && [ -r out ] && read -r pid <pid; then
  exec 3<out
  {skip}
  part= over=
  while :; do
    if IFS= read -r line <&3; then
      printf '%s\\n' "$part$line"
      part=
      {pace}
      continue
    fi
    part=$part$line
    [ -z "$over" ] || break
    if [ -e status ] || ! kill -0 "$pid" 2>/dev/null; then
      over=1
    else
      echo
      sleep {heartbeat_s}
    fi
  done
  [ ! -e status ] || read -r status <status
fi
echo "<{marker}:$status>\""""


class Detached:
    """One run of a program in a folder of its own on the device.

    Args:
        link: The way there.
        folder: Absolute path. The same folder is the same run: starting it again changes nothing. It is
            the program's working folder.
    """

    def __init__(self, link: Link, folder: str) -> None:
        self._link = link
        self.folder = folder

    def start(self, command: Sequence[str]) -> None:
        """Start the program unless this run is already there; raises TransportError on failure."""
        inner = _INNER.format(command=shlex.join(command))
        self._link.call(_START.format(folder=shlex.quote(self.folder), inner=shlex.quote(inner)))

    def lines(self, *, silence_s: float) -> Iterator[bytes]:
        """Every line of the program's output, once, whatever happens to the link.

        Raises:
            TransportError: The link was lost and did not come back. The program goes on.
            TransportTimeout: No line came for ``silence_s``.
            AgentError: The program ended with another status than 0, or vanished.
        """
        offset, pace, lost = 0, ":", 0.0
        heard = alive = time.monotonic()
        while True:
            try:
                for line in self._follow(offset, pace):
                    alive = time.monotonic()
                    if isinstance(line, str):
                        return self._check(line)
                    if line:
                        offset, heard = offset + len(line) + 1, alive
                        yield line
                    elif alive - heard > silence_s:
                        raise no_answer(silence_s)
            except LinkLost as error:
                if lost == alive:  # not a sign of life since it came back
                    pace = f"sleep {PACE_S}"
                lost = alive
                self._link.recover(error, since=alive)

    def _follow(self, offset: int, pace: str) -> Iterator[bytes | str]:
        """Lines from a byte on, empty ones as heartbeats, and at last the status as text."""
        marker = secrets.token_hex(8)
        skip = f"dd bs={offset} count=1 <&3 >/dev/null 2>&1" if offset else ":"
        command = _FOLLOW.format(
            folder=shlex.quote(self.folder), skip=skip, heartbeat_s=HEARTBEAT_S, marker=marker, pace=pace
        )
        rest, end = b"", f"<{marker}:".encode()
        for chunk in self._link.shell.stream(command, quiet_s=LINK_S):
            *whole, rest = (rest + chunk).split(b"\n")
            for raw in whole:
                line = raw.removesuffix(b"\r")
                if line.startswith(end):
                    yield line[len(end) :].rstrip(b">").decode(errors="replace")
                    return
                yield line
            if len(rest) > _LINE_BYTES:
                raise AgentError(f"a line of an agent must be shorter than {_LINE_BYTES} bytes, but is not")
        raise LinkLost("the output of an agent must end with its marker, but the link was lost before")

    def _check(self, status: str) -> None:
        if status == "0":
            return
        said = self.complaint() or "it wrote nothing to standard error"
        if status == "gone":
            raise AgentError(
                f"an agent must end with a status, but this one vanished (killed, or the device was "
                f"restarted): {said}"
            )
        raise AgentError(f"an agent must end with status 0, but this one ended with {status}: {said}")

    def complaint(self) -> str:
        """The end of what the program wrote to standard error."""
        _, text = self._link.ask(f"tail -c {_TAIL_BYTES} {shlex.quote(self.folder)}/err")
        return text.strip()

    def remove(self) -> None:
        """End the program if it still runs, and remove its folder."""
        self._link.call(removal(self.folder))


def removal(folder: str) -> str:
    """The command that ends the program of a run and removes the run's folder."""
    return (
        f"cd {shlex.quote(folder)} 2>/dev/null || exit 0; "
        "if [ -s pid ] && [ ! -e status ]; then read -r pid <pid; kill -9 -$pid 2>/dev/null; fi; "
        f"cd / && rm -rf {shlex.quote(folder)}"
    )
