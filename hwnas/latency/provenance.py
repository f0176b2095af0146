"""Where a model's numbers come from."""

from __future__ import annotations

import hashlib
import json

from hwnas.tables.table import LatencyTable


def table_sha256(table: LatencyTable) -> str:
    """Hash of a table's content: that of its file, where nothing was torn off the end."""
    digest = hashlib.sha256()
    for line in (table.header(), *(item.to_json() for item in table.rounds)):
        digest.update((json.dumps(line, separators=(",", ":"), allow_nan=False) + "\n").encode())
    return digest.hexdigest()
