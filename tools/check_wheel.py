"""Build what an index would get, install it into a clean environment and use it away from the checkout.

Catches what an editable install hides: a file that is not packaged, a dependency that is not declared, a type
that users' checkers do not see. Prints one line a step and fails on the first that does not work. With
``--keep DIR`` what passed stays there: sdist, wheel, and the list of what it runs on (CycloneDX).
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import venv
import zipfile
from email import message_from_string
from pathlib import Path

_TYPED = "import hwnas, pathlib; assert (pathlib.Path(hwnas.__file__).parent / 'py.typed').is_file()"
_LINK = re.compile(r"\]\((?!https?://)[^)]*\)")
_CHECKED = ("tests/typed_user.py", "examples")
ROOT = Path(__file__).resolve().parent.parent


def run(*command: str | Path, cwd: Path) -> None:
    """Run a command with this checkout invisible to Python."""
    print("+", *command, flush=True)
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    subprocess.run(list(map(str, command)), cwd=cwd, env=environment, check=True)


def build(folder: Path) -> Path:
    """The sdist, and the wheel made of it, which must be the one that is made of the checkout; the wheel."""
    run(sys.executable, "-m", "build", "--outdir", folder, ROOT, cwd=folder)
    (wheel,) = folder.glob("*.whl")
    beside = folder / "beside"
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", beside, ROOT, cwd=folder)
    if wheel.read_bytes() != (beside / wheel.name).read_bytes():
        raise SystemExit("the sdist must make the wheel that the checkout makes, but makes another")
    return wheel


def look(wheel: Path) -> None:
    """Its metadata as an index shows them."""
    run(sys.executable, "-m", "twine", "check", "--strict", *wheel.parent.glob("hwnas-*"), cwd=wheel.parent)
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        found = message_from_string(archive.read(name).decode())
        licences = [name for name in archive.namelist() if "/licenses/" in name]
    if dead := _LINK.findall(str(found.get_payload())):
        raise SystemExit(f"links must lead somewhere on an index, but the description has {dead[0]}")
    if found["License-Expression"] is None or not licences:
        raise SystemExit("a wheel must say its licence and bring the text, but does not")


def check_types(python: Path, folder: Path) -> None:
    """What users write is typed as they see it: no error, and where all is public no unknown type."""
    for each in _CHECKED:
        (shutil.copytree if (ROOT / each).is_dir() else shutil.copy)(ROOT / each, folder / Path(each).name)
    settings = {
        "include": [Path(each).name for each in _CHECKED],
        "exclude": ["**/*.ipynb"],  # with pandas, which is not there
        "typeCheckingMode": "standard",
        "strict": ["typed_user.py"],
    }
    (folder / "pyrightconfig.json").write_text(json.dumps(settings), encoding="utf-8")
    run(sys.executable, "-m", "basedpyright", "--pythonpath", python, "--project", folder, cwd=folder)


def list_parts(python: Path, version: str, to: Path) -> None:
    """What is installed beside the wheel, as CycloneDX; each version as constraints.txt has it."""
    project = ROOT / "pyproject.toml"
    words = (
        "-m",
        "cyclonedx_py",
        "environment",
        "--pyproject",
        project,
        "--output-reproducible",
        "--output-file",
        to,
    )
    run(sys.executable, *words, python, cwd=to.parent)
    found = json.loads(to.read_text("utf-8"))
    found["metadata"]["component"]["version"] = version  # which is no part of pyproject.toml
    to.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    locked = dict(
        line.split("==")
        for line in (ROOT / "constraints.txt").read_text("utf-8").splitlines()
        if "==" in line
    )
    for part in found["components"]:
        own = part["version"].partition("+")[0]  # without what a build adds, as +cpu
        if locked.get(part["name"], own) != own:
            raise SystemExit(f"parts must be as locked, but {part['name']} is {part['version']}")
    if found["metadata"]["component"]["name"] != "hwnas" or "torch" not in str(found["components"]):
        raise SystemExit("the list of parts must be of hwnas, with all that it runs on, but is not")


def main() -> None:
    """Build, look, install, use."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", type=Path, help="where what passed is put")
    kept = parser.parse_args().keep
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        wheel = build(folder)
        look(wheel)
        venv.create(folder / "env", with_pip=True)
        binaries = folder / "env" / "bin"
        constraints = ROOT / "constraints.txt"
        install = [binaries / "python", "-m", "pip", "install", "--quiet", "--no-compile"]  # for one use
        run(*install, "-c", constraints, wheel, cwd=folder)
        for arguments in (["--help"], ["devices", "list"], ["spaces", "list"]):
            run(binaries / "hwnas", *arguments, cwd=folder)
        run(binaries / "python", "-c", _TYPED, cwd=folder)
        check_types(binaries / "python", folder)
        version = wheel.name.split("-")[1]
        parts = folder / f"hwnas-{version}.cdx.json"
        list_parts(binaries / "python", version, parts)
        if kept is not None:
            kept.mkdir(parents=True, exist_ok=True)
            for each in (*folder.glob("hwnas-*.tar.gz"), wheel, parts):
                shutil.copy(each, kept)


if __name__ == "__main__":
    main()
