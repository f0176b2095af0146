"""The folder that ships: the trained network in every variant, and a manifest that says all.

A variant is a runtime and a precision. The manifest (``hwnas-manifest/2``) holds hashes,
provenance, the budgets that were asked for, and, once ``verify`` has run, what was measured.
Preprocessing is a file of its own, and inside every model.
"""

from __future__ import annotations

from hwnas.release.folder import (
    LABELS,
    MANIFEST,
    PREPROCESSING,
    PROBES,
    REPORT,
    add_file,
    manifest_if_whole,
    manifest_of,
    read_json,
    read_labels,
    read_manifest,
    same,
)
from hwnas.release.images import (
    find_data,
    load_data,
    predicted_by,
    predictions_of,
    public_name,
    require_same_data,
    unseen,
)
from hwnas.release.imported import export_imported
from hwnas.release.keeping import require_strategy
from hwnas.release.manifest import SCHEMA, Manifest, ShippedModel
from hwnas.release.shipping import (
    EXAMPLES,
    VARIANTS,
    export_run,
    is_for,
    made,
    program,
    read_run,
    require_offered,
)
from hwnas.release.stale import owner_of, run_of, shipping_of, stale, unfinished

__all__ = [
    "EXAMPLES",
    "LABELS",
    "MANIFEST",
    "PREPROCESSING",
    "PROBES",
    "REPORT",
    "SCHEMA",
    "VARIANTS",
    "Manifest",
    "ShippedModel",
    "add_file",
    "export_imported",
    "export_run",
    "find_data",
    "is_for",
    "load_data",
    "made",
    "manifest_if_whole",
    "manifest_of",
    "owner_of",
    "predicted_by",
    "predictions_of",
    "program",
    "public_name",
    "read_json",
    "read_labels",
    "read_manifest",
    "read_run",
    "require_offered",
    "require_same_data",
    "require_strategy",
    "run_of",
    "same",
    "shipping_of",
    "stale",
    "unfinished",
    "unseen",
]
