"""``manifest.json``: what is in a shipping folder, where it comes from, what was promised.

Fields that this version does not know are left alone, so that others can add their own; those
that it needs must be there. Another schema is refused.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hwnas import files, tasks
from hwnas.errors import HwnasError, SchemaMismatch, in_words, typed
from hwnas.export import PRECISIONS, RUNTIMES
from hwnas.release.verification import Verification
from hwnas.runs import records
from hwnas.runs.folder import RunFolder, ShippingFolder
from hwnas.statistics.verdict import Verdict
from hwnas.tasks import Task

SCHEMA = "hwnas-manifest/2"
MANIFEST = ShippingFolder.manifest
LABELS = ShippingFolder.labels
PREPROCESSING = ShippingFolder.preprocessing
PROBES = ShippingFolder.probes
REPORT = ShippingFolder.report

_ELSEWHERE = "verified_elsewhere"  # on further devices, as "verification" is on one
_FIELDS = {
    "architecture": dict,
    "weights_sha256": str,
    "data": dict,
    "device": str,
    "budgets": list,
    "variants": list,
    "files": dict,
}
_VARIANT_FIELDS = {"name": str, "runtime": str, "precision": str, "file": str, "bytes": int}
_BUDGET_FIELDS = {"target": dict, "budget_ms": float}
_OPTIONAL = {"verification": dict, _ELSEWHERE: list, "scales": dict, "settings": dict}
"""Not of every version, or only there after ``hwnas verify``."""
_TASK = {"task?": str, "metric?": records.METRIC}


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a shipping folder, with every file's hash checked.

    Raises:
        SchemaMismatch: The manifest is of another version, or a field is missing or odd.
        HwnasError: The manifest is no JSON, or a file is missing or not the one that was
            exported.
    """
    manifest = read_json(folder, MANIFEST, "the manifest of a shipping folder")
    found = manifest.get("schema")
    if found != SCHEMA:
        raise SchemaMismatch(
            f"a manifest must be of schema {SCHEMA}, but {folder / MANIFEST} is of {found!r}: "
            f"{_export_again(folder)}",
            field="schema",
        )
    _require_fields(manifest, _FIELDS, folder)
    records.require(manifest, _TASK, "a manifest", folder / MANIFEST, "export again")
    _require_fields(manifest, {f"test_{records.metric_of(manifest).key}_pytorch": float}, folder)
    _require_fields(manifest, {name: kind for name, kind in _OPTIONAL.items() if name in manifest}, folder)
    for found in _verified(manifest):
        _require_parsed(found, "verification", Verification, folder)
    if "learning" in manifest:
        _require_parsed(manifest["learning"], "learning", Verdict, folder)
    records.require(
        manifest["data"], records.DATA, "the data of a manifest", folder / MANIFEST, _export_again(folder)
    )
    for entry in manifest["variants"]:
        _require_fields(entry, _VARIANT_FIELDS, folder)
        _require_known(entry, folder)
    for budget in manifest["budgets"]:
        _require_fields(budget, _BUDGET_FIELDS, folder)
        if budget.get("predicted_ms") is not None:  # a known network was not searched for
            _require_fields(budget, {"predicted_ms": float}, folder)
    needed = [*(entry["file"] for entry in manifest["variants"]), LABELS, PREPROCESSING, PROBES]
    unlisted = [name for name in needed if name not in manifest["files"]]
    if unlisted or not manifest["variants"]:
        raise SchemaMismatch(
            "a manifest must list the hash of every model, the labels, the preprocessing and the probes, but "
            f"{folder / MANIFEST} lacks {', '.join(unlisted) or 'models'}: {_export_again(folder)}",
            field="files",
        )
    for name, digest in manifest["files"].items():
        _require_file(folder, name, digest)
    return manifest


def manifest_if_whole(folder: Path) -> dict[str, Any]:
    """The manifest, empty where the shipping folder is not whole."""
    try:
        return read_manifest(folder)
    except HwnasError:
        return {}


def task_of(manifest: Mapping[str, Any]) -> Task:
    """What the network of a manifest is for; earlier versions knew classification only."""
    return tasks.get(manifest["task"]) if "task" in manifest else tasks.of_record(manifest["data"])


def verifications_of(manifest: Mapping[str, Any]) -> tuple[Verification, ...]:
    """What was found on each device; on the one that the manifest is for first, if it was verified there."""
    return tuple(map(Verification.from_json, _verified(manifest)))


def with_verification(manifest: Mapping[str, Any], found: Verification) -> dict[str, Any]:
    """The manifest with what was found on a device in the place of what was found there before."""
    known = {item["device"]: item for item in _verified(manifest)} | {found.device: found.to_json()}
    first, *others = sorted(known.values(), key=lambda item: bool(item["device"] != manifest["device"]))
    return {**manifest, "verification": first, **({_ELSEWHERE: others} if others else {})}


def verified_in(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a manifest that say what was found on devices."""
    return {name: manifest[name] for name in ("verification", _ELSEWHERE) if name in manifest}


def _verified(manifest: Mapping[str, Any]) -> list[Any]:
    first = [manifest["verification"]] if "verification" in manifest else []
    return [*first, *manifest.get(_ELSEWHERE, ())]


def add_file(folder: Path, name: str, content: bytes | str) -> None:
    """Put another file into a shipping folder, or a newer one in its place, and list its hash."""
    manifest = read_json(folder, MANIFEST, "the manifest of a shipping folder")
    _require_fields(manifest, {"files": dict}, folder)
    files.write_atomic(folder / name, content)
    manifest["files"][name] = files.sha256(folder / name)
    files.write_json(folder / MANIFEST, manifest)


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


def _export_again(folder: Path) -> str:
    """What makes a shipping folder, or makes it anew: the end of a sentence."""
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
    return f"{typed('train', run)}, then {typed('export', run)}"


def read_labels(folder: Path) -> list[str]:
    """The labels, in the order of the models' answers."""
    try:
        return (folder / LABELS).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise HwnasError(f"labels must be readable text, but {folder / LABELS} is not: {error}") from error


def same(first: Any, second: Any) -> bool:
    """Whether two values are the same JSON."""
    return json.dumps(first, sort_keys=True) == json.dumps(second, sort_keys=True)


def _require_fields(found: Any, fields: Mapping[str, type], folder: Path) -> None:
    for name, kind in fields.items():
        value = found.get(name) if isinstance(found, dict) else None
        accepted = (float, int) if kind is float else kind
        if not isinstance(value, accepted):
            raise SchemaMismatch(
                f"a manifest must have {name} ({kind.__name__}), but {folder / MANIFEST} has "
                f"{'none' if value is None else repr(value)}: {_export_again(folder)}",
                field=name,
            )


def _require_parsed(found: Any, name: str, kind: type[Verification | Verdict], folder: Path) -> None:
    try:
        kind.from_json(found)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise SchemaMismatch(
            f"the {name} in a manifest must be as hwnas wrote it, but that in {folder / MANIFEST} is not: "
            f"{in_words(error)}: {_export_again(folder)}",
            field=name,
        ) from error


def _require_known(entry: Mapping[str, Any], folder: Path) -> None:
    for name, known in (("runtime", RUNTIMES), ("precision", PRECISIONS)):
        if entry[name] not in known:
            raise SchemaMismatch(
                f"the {name} of a model must be one of {known}, but {folder / MANIFEST} has {entry[name]!r}",
                field=name,
            )


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
