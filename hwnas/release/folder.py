"""The files of a shipping folder: read with every hash checked, and others put beside them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hwnas import files
from hwnas.errors import HwnasError, typed
from hwnas.release.manifest import Manifest
from hwnas.runs import records
from hwnas.runs.folder import RunFolder, ShippingFolder

MANIFEST = ShippingFolder.manifest
LABELS = ShippingFolder.labels
PREPROCESSING = ShippingFolder.preprocessing
PROBES = ShippingFolder.probes
REPORT = ShippingFolder.report


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a shipping folder, with every file's hash checked.

    Raises:
        SchemaMismatch: The manifest is of another version, or a field is missing or odd.
        HwnasError: The manifest is no JSON, or a file is missing or not the one that was
            exported.
    """
    manifest = manifest_of(folder)
    for name, digest in manifest.files.items():
        _require_file(folder, name, digest)
    return manifest


def manifest_of(folder: Path) -> Manifest:
    """The manifest of a shipping folder, whose files are not looked at.

    Raises:
        SchemaMismatch: As of ``read_manifest``.
        HwnasError: The manifest is not there, or no JSON.
    """
    data = read_json(folder, MANIFEST, "the manifest of a shipping folder")
    return Manifest.from_json(data, folder / MANIFEST, _export_again(folder))


def manifest_if_whole(folder: Path) -> Manifest | None:
    """The manifest; None where the shipping folder is not whole."""
    try:
        return read_manifest(folder)
    except HwnasError:
        return None


def add_file(folder: Path, name: str, content: bytes | str) -> None:
    """Put another file into a shipping folder, or a newer one in its place, and list its hash."""
    manifest = manifest_of(folder)
    files.write_atomic(folder / name, content)
    files.write_json(folder / MANIFEST, manifest.with_file(name, files.sha256(folder / name)).to_json())


def read_json(folder: Path, name: str, what: str) -> dict[str, Any]:
    """A JSON object of a shipping folder.

    Raises:
        HwnasError: It is not there, or is no JSON object.
    """
    if folder.is_file():
        raise HwnasError(
            f"{what} must be looked for in a folder, but {folder} is a file: give its folder, {folder.parent}"
        )
    remedy = _export_again(folder)
    content = files.read_json(folder / name, what, remedy)
    if not isinstance(content, dict):
        raise HwnasError(f"{what} must be a JSON object, but {folder / name} is not: {remedy}")
    return content


def read_labels(folder: Path) -> list[str]:
    """The labels, in the order of the models' answers."""
    try:
        return (folder / LABELS).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise HwnasError(f"labels must be readable text, but {folder / LABELS} is not: {error}") from error


def same(first: Any, second: Any) -> bool:
    """Whether two values are the same JSON."""
    return json.dumps(first, sort_keys=True) == json.dumps(second, sort_keys=True)


def _export_again(folder: Path) -> str:
    """What makes a shipping folder, or makes it anew: the end of a sentence."""
    if elsewhere := records.runs_inside(folder):
        return elsewhere
    is_inside = folder.name == RunFolder.export and not RunFolder(folder).arch.exists()
    run = folder.parent if is_inside else folder
    known, shipped = RunFolder(run), ShippingFolder(folder)
    if not known.arch.exists():
        if any(path.exists() for path in (shipped.manifest, shipped.labels, shipped.probes)):
            return "copy the whole folder again from where it was exported, or export there again"
        return f"{typed('search', '--device', 'host=60%', '--out', run)}, then {_after_search(run)}, make it"
    if not known.train.exists():
        return f"{_after_search(run)}, make it"
    return f"{typed('export', run)} makes it anew"


def _after_search(run: Path) -> str:
    if RunFolder(run).is_imported:
        first = typed("train", "RUN", "--from", run, "--data", "DIR")
        return f"{first}, then {typed('export', 'RUN')}"
    return f"{typed('train', run)}, then {typed('export', run)}"


def _require_file(folder: Path, name: str, digest: Any) -> None:
    if Path(name).name != name:
        raise HwnasError(
            f"a manifest must list files of its own folder, but {folder / MANIFEST} has {name!r}"
        )
    path = folder / name
    if not path.is_file():
        raise HwnasError(f"a shipping folder must be whole, but {path} is missing: {_export_again(folder)}")
    if files.sha256(path) != digest:
        raise HwnasError(
            f"{path} must be the file that was exported, but its hash differs: {_export_again(folder)}"
        )
