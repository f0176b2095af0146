"""The folder that ships: the trained network in every variant, and a manifest that says all.

A variant is a runtime and a precision. The manifest (``hwnas-manifest/1``) holds hashes,
preprocessing as data, provenance, the budgets that were asked for, and, once ``verify`` has
run, what was measured.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwnas import __version__, blocks, export, files, int8, spaces, train
from hwnas.data import Dataset
from hwnas.errors import HwnasError, SchemaMismatch
from hwnas.space import Architecture
from hwnas.train.run import dataset_of

if TYPE_CHECKING:
    from torch import nn

SCHEMA = "hwnas-manifest/1"
MANIFEST = "manifest.json"
LABELS = "labels.txt"

VARIANTS = {
    ("litert", "fp32"): "model.tflite",
    ("litert", "int8"): "model.int8.tflite",
    ("onnxruntime", "fp32"): "model.onnx",
    ("onnxruntime", "int8"): "model.int8.onnx",
}

_PACKAGES = ("torch", "ai-edge-litert", "litert-quantizer", "onnx", "onnxruntime", "numpy")


def read_run(run: Path) -> tuple[Architecture, dict[str, Any]]:
    """The architecture that a run found, and what ``search.json`` says of how."""
    arch = spaces.architecture_from_json(files.read_json(run / "arch.json", "the found architecture"))
    return arch, files.read_json(run / "search.json", "the record of the search")


def load_data(record: Mapping[str, Any], source: str | None = None) -> Dataset:
    """The data that a record (of search, training or export) was made with.

    Args:
        record: What ``Dataset.describe`` said.
        source: Where they are now, if they moved.

    Raises:
        DataError: They cannot be read, or are not the same any more.
    """
    return dataset_of({**record, "source": source or record["source"]})


def require_same_data(dataset: Dataset, record: Mapping[str, Any]) -> None:
    """Raise HwnasError where a dataset is not the one of the record."""
    if dataset.fingerprint != record["fingerprint"]:
        raise HwnasError(
            f"the data must be those that the network was trained on ({record['fingerprint']}), but "
            f"{dataset.name} has the fingerprint {dataset.fingerprint}: give the same ones with --data"
        )


def export_run(
    run: Path,
    dataset: Dataset,
    *,
    calibration_images: int = 256,
    qat_if_worse: float | None = None,
    qat_epochs: int = 3,
    on_variant: Callable[[str], None] = lambda _: None,
) -> Path:
    """Export the trained network of a run in every variant, each checked against PyTorch.

    Args:
        run: Folder with ``arch.json``, ``search.json``, ``train.json``, ``weights.safetensors``.
        dataset: What the network was trained on; its training images calibrate int8.
        calibration_images: How many of them.
        qat_if_worse: Drop of validation accuracy by int8 above which the network is fine-tuned
            under the rounding of int8; the better of both ships. None never does.
        qat_epochs: Passes of that fine-tuning.
        on_variant: Called with the name of each file that is about to be made.

    Returns:
        The manifest in ``run/export``.

    Raises:
        HwnasError: Something is missing in the run, or ``dataset`` is not the one it used.
        ExportError: A variant does not compute what PyTorch computes, or would not run whole.
    """
    arch, search = read_run(run)
    trained = files.read_json(run / "train.json", "the record of training")
    weights = run / "weights.safetensors"
    require_same_data(dataset, trained["data"])
    module = blocks.build(arch.blocks)
    train.load_weights(module, weights)
    folder = run / "export"
    calibration = dataset.normalize(dataset.train.images[:calibration_images])
    rounded: nn.Module = module
    rounding: dict[str, Any] | None = None
    if qat_if_worse is not None:
        on_variant("int8 networks for validation")
        rounded, rounding = int8.tune_run(
            run, module, dataset, trained, calibration, allowed_loss=qat_if_worse, epochs=qat_epochs
        )
    entries = []
    for (runtime, precision), name in VARIANTS.items():
        on_variant(name)
        source = rounded if precision == "int8" else module
        lowered = export.lower(source, arch.space.input_shape, runtime, precision, calibration=calibration)
        files.write_atomic(folder / name, lowered.model)
        entries.append(_entry(runtime, precision, folder / name, lowered))
    files.write_atomic(folder / LABELS, "".join(f"{label}\n" for label in dataset.class_names))
    manifest = folder / MANIFEST
    content = _manifest(arch, search, trained, dataset, weights, folder, entries)
    files.write_json(manifest, content | {"int8": rounding})
    return manifest


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a shipping folder, with every file's hash checked.

    Raises:
        SchemaMismatch: The manifest is of another version.
        HwnasError: A file is missing or is not the one that was exported.
    """
    manifest = files.read_json(folder / MANIFEST, "the manifest")
    if not isinstance(manifest, dict) or manifest.get("schema") != SCHEMA:
        found = manifest.get("schema") if isinstance(manifest, dict) else None
        raise SchemaMismatch(
            f"a manifest must be of schema {SCHEMA}, but {folder / MANIFEST} is of {found!r}: export again",
            field="schema",
        )
    for name, digest in manifest["files"].items():
        path = folder / name
        if not path.is_file():
            raise HwnasError(f"a shipping folder must be whole, but {path} is missing: export again")
        if files.sha256(path) != digest:
            raise HwnasError(f"{path} must be the file that was exported, but its hash differs: export again")
    return manifest


def _entry(runtime: str, precision: str, path: Path, lowered: export.Lowered) -> dict[str, Any]:
    channels_last = runtime == "litert"
    return {
        "name": f"{runtime}-{precision}",
        "runtime": runtime,
        "precision": precision,
        "file": path.name,
        "bytes": path.stat().st_size,
        "layout": "NHWC" if channels_last else "NCHW",
        "parity": lowered.parity.to_json() if lowered.parity else None,
    }


def _manifest(
    arch: Architecture,
    search: Mapping[str, Any],
    trained: Mapping[str, Any],
    dataset: Dataset,
    weights: Path,
    folder: Path,
    entries: list[dict[str, Any]],
) -> dict[str, Any]:
    shipped = (*(entry["file"] for entry in entries), LABELS)
    return {
        "schema": SCHEMA,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "hwnas": __version__,
        "versions": {"python": platform.python_version()} | {p: metadata.version(p) for p in _PACKAGES},
        "architecture": arch.to_json(),
        "macs": arch.macs,
        "params": arch.params,
        "weights_sha256": files.sha256(weights),
        "data": trained["data"],
        "preprocessing": {
            "height": arch.space.input_shape[1],
            "width": arch.space.input_shape[2],
            "channels": "RGB",
            "scale": 1 / 255,
            "mean": list(dataset.mean),
            "std": list(dataset.std),
            "formula": "(pixel * scale - mean) / std",
        },
        "test_accuracy_pytorch": trained["test_accuracy"],
        "budgets": search["constraints"],
        "variants": entries,
        "files": {name: files.sha256(folder / name) for name in shipped},
    }
