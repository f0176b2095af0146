"""Files on a device, named by their content: sent once, checked, then renamed into place."""

from __future__ import annotations

import shlex
from pathlib import Path

from hwnas import files
from hwnas.errors import TransportError
from hwnas.transport._shell import CALL_S, Link

_HASH_BYTES_PER_S = 20_000_000  # a slow phone

# May be run twice: then the file has its name already.
_SETTLE = """\
file={part}
[ -e "$file" ] || file={target}
found=$(sha256sum "$file") || exit
found=${{found%% *}}
if [ "$found" != {digest} ]; then
  rm -f "$file"
elif [ "$file" = {part} ]; then
  chmod {mode} {part} && mv -f {part} {target} || exit
fi
echo "$found\""""


class Store:
    """One folder on the device.

    Args:
        link: The way there.
        folder: Absolute path; made at the first use.

    Attributes:
        sent: Files sent, files found there already, and the bytes that travelled.
    """

    def __init__(self, link: Link, folder: str) -> None:
        self._link = link
        self._folder = folder
        self._there: dict[str, str] | None = None
        self.sent = {"files": 0, "skipped": 0, "bytes": 0}

    def push(self, local: Path) -> str:
        """Make a file available and return its path; raises TransportError where it cannot arrive whole."""
        if not local.is_file():
            raise TransportError(f"a file must be there to be sent to a device, but {local} is not")
        digest = files.sha256(local)
        return self.put(local, f"{digest}{local.suffix}", digest)

    def put(self, local: Path, name: str, digest: str, *, mode: str = "644") -> str:
        """Send a file under a name unless it is there with this SHA-256; return its path."""
        remote = f"{self._folder}/{name}"
        if self._inventory().get(name) == digest:
            self.sent["skipped"] += 1
            return remote
        send(self._link, local, remote, digest, mode)
        self._inventory()[name] = digest
        self.sent["files"] += 1
        self.sent["bytes"] += local.stat().st_size
        return remote

    def _inventory(self) -> dict[str, str]:
        """What is there, by name, each file read and hashed on the device once a session."""
        if self._there is None:
            folder = shlex.quote(self._folder)
            self._link.call(f"mkdir -p {folder} && cd {folder} && rm -f ./*.part")
            listing = self._link.call(
                f'cd {folder} && set -- * && if [ -f "$1" ]; then sha256sum "$@"; fi',
                quiet_s=_patience_s(1 << 30),
            )
            pairs = (line.split(None, 1) for line in listing.splitlines() if len(line) > 64)
            self._there = {name.strip().lstrip("*"): digest for digest, name in pairs}
        return self._there


def send(link: Link, local: Path, remote: str, digest: str, mode: str = "644") -> None:
    """Send a file to a temporary name, check it there, rename it into place.

    Raises:
        TransportError: It cannot arrive whole, or the link is lost for good.
    """
    link.persist(lambda: link.shell.send(local, f"{remote}.part"))
    part, target = shlex.quote(f"{remote}.part"), shlex.quote(remote)
    command = _SETTLE.format(part=part, target=target, digest=digest, mode=mode)
    found = link.call(command, quiet_s=_patience_s(local.stat().st_size)).strip()
    if found != digest:
        raise TransportError(
            f"a file must arrive as it was sent, but {local.name} did not (SHA-256 {digest} became "
            f"{found or 'nothing'}): check the free space on the device and the cable"
        )


def _patience_s(size: int) -> float:
    return CALL_S + size / _HASH_BYTES_PER_S
