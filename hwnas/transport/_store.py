"""Files on a device, named by their content: sent once, checked, then renamed into place."""

from __future__ import annotations

import shlex
import tempfile
from pathlib import Path

from hwnas import files
from hwnas.errors import TransportError
from hwnas.transport._shell import ATTEMPTS, CALL_S, REMEDY, Link, LinkLost

_HASH_BYTES_PER_S = 20_000_000  # a slow phone
_LEAST_BYTES = 256  # of a piece; connecting takes as much
_LISTED = 16  # files at a time, as a long answer does not pass where links break often

_CLEAN = "mkdir -p {folder} && cd {folder} && rm -f ./*.part ./*.part.* && set -- * && echo $#"

_LIST = """\
n=
cd {folder} && set -- * && shift {start} && for file; do
  [ ! -f "$file" ] || sha256sum "$file" || exit
  n=x$n
  [ ${{#n}} -lt {count} ] || break
done"""

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
rm -f {part}.*
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
            total = int(self._link.call(_CLEAN.format(folder=folder)).split()[-1])
            found: dict[str, str] = {}
            for start in range(0, total, _LISTED):
                command = _LIST.format(folder=folder, start=start, count=_LISTED)
                listing = self._link.call(command, quiet_s=_patience_s(1 << 30))
                pairs = (line.split(None, 1) for line in listing.splitlines() if len(line) > 64)
                found |= {name.strip().lstrip("*"): digest for digest, name in pairs}
            self._there = found
        return self._there


def send(link: Link, local: Path, remote: str, digest: str, mode: str = "644") -> None:
    """Send a file to a temporary name, check it there, rename it into place.

    It goes whole, or where the link is lost meanwhile in pieces, of which each has to arrive but once.

    Raises:
        TransportError: It cannot arrive whole, or the link is lost for good.
    """
    try:
        link.shell.send(local, f"{remote}.part")
    except LinkLost as error:
        link.recover(error)
        _send_pieces(link, local, f"{remote}.part")
    part, target = shlex.quote(f"{remote}.part"), shlex.quote(remote)
    command = _SETTLE.format(part=part, target=target, digest=digest, mode=mode)
    found = link.call(command, quiet_s=_patience_s(local.stat().st_size)).strip()
    if found != digest:
        raise TransportError(
            f"a file must arrive as it was sent, but {local.name} did not (SHA-256 {digest} became "
            f"{found or 'nothing'}): check the free space on the device and the cable"
        )


def _send_pieces(link: Link, local: Path, part: str) -> None:
    """Send a file in pieces that the link survives, and put them together on the device.

    A piece is a quarter of the one that was lost, or twice the one that arrived. Each goes to a file named by
    where it begins, so that sending it again, and then less of it, does no harm.

    Raises:
        TransportError: The link was lost again and again and nothing arrived, or is lost for good.
    """
    data, name = local.read_bytes(), part.rpartition("/")[2].removesuffix(".part")
    done, size, failed = 0, max(len(data) // 4, _LEAST_BYTES), 1
    with tempfile.TemporaryDirectory(prefix="hwnas-") as folder:
        piece = Path(folder) / name
        while done < len(data):
            count = piece.write_bytes(data[done : done + size])
            try:
                link.shell.send(piece, f"{part}.{done:012d}")
            except LinkLost as error:
                failed += 1
                if failed == ATTEMPTS:
                    raise TransportError(
                        f"a file must reach the device at least in pieces, but {done} of {len(data)} bytes "
                        f"of {name} passed before the link was lost {failed} times in a row, at last in a "
                        f"piece of {count} bytes: {error}: {REMEDY}"
                    ) from error
                link.recover(error)
                size = max(size // 4, _LEAST_BYTES)
            else:
                done, size, failed = done + count, 2 * count, 0
    source = f"cat {shlex.quote(part)}.*" if data else ":"  # of an empty file there are no pieces
    link.call(f"{source} >{shlex.quote(part)}")


def _patience_s(size: int) -> float:
    return CALL_S + size / _HASH_BYTES_PER_S
