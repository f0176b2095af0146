"""Build the wheel, install it into a clean environment and use it away from the checkout.

Catches what an editable install hides: a file that is not packaged, a dependency that is not
declared. Prints one line a step and fails on the first that does not work.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

_TYPED = "import hwnas, pathlib; assert (pathlib.Path(hwnas.__file__).parent / 'py.typed').is_file()"
ROOT = Path(__file__).resolve().parent.parent


def run(*command: str | Path, cwd: Path) -> None:
    """Run a command with this checkout invisible to Python."""
    print("+", *command, flush=True)
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    subprocess.run(list(map(str, command)), cwd=cwd, env=environment, check=True)


def main() -> None:
    """Build, install, use."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run(sys.executable, "-m", "build", "--wheel", "--outdir", folder, ROOT, cwd=folder)
        (wheel,) = folder.glob("*.whl")
        venv.create(folder / "env", with_pip=True)
        binaries = folder / "env" / "bin"
        constraints = ROOT / "constraints.txt"
        install = [binaries / "python", "-m", "pip", "install", "--quiet", "--no-compile"]  # for one use
        run(*install, "-c", constraints, wheel, cwd=folder)
        for arguments in (["--help"], ["devices", "list"], ["spaces", "list"]):
            run(binaries / "hwnas", *arguments, cwd=folder)
        run(binaries / "python", "-c", _TYPED, cwd=folder)


if __name__ == "__main__":
    main()
