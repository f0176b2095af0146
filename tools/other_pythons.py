"""Print the other Pythons that hwnas is for and that run here, a path a line; what is not here on stderr."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

OTHERS = ("3.12", "3.13")
# Where version managers keep what they installed; the shim of theirs on the PATH need not lead to one.
MANAGERS = (".pyenv/versions/{}.*/bin/python", ".local/share/uv/python/cpython-{}.*/bin/python")
ASKED = "import ensurepip, ssl, sys, venv; print('{}.{}'.format(*sys.version_info))"


def candidates(version: str) -> Iterator[str]:
    """What may be Python ``version``, the one on the PATH first, then the newest of each version manager."""
    on_path = shutil.which(f"python{version}")
    if on_path is not None:
        yield on_path
    for pattern in MANAGERS:
        yield from (str(path) for path in sorted(Path.home().glob(pattern.format(version)), reverse=True))


def runs(python: str, version: str) -> bool:
    """Whether ``python`` starts, is that version, and can make an environment."""
    try:
        asked = subprocess.run([python, "-c", ASKED], capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return asked.returncode == 0 and asked.stdout.strip() == version


def main() -> None:
    """Print one path for each version that is here."""
    for version in OTHERS:
        found = next((python for python in candidates(version) if runs(python, version)), None)
        if found is None:
            print(f"Python {version} is not here", file=sys.stderr)
        else:
            print(found)


if __name__ == "__main__":
    main()
