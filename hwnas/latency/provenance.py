"""Where a model's numbers come from."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from hwnas.errors import TableError
from hwnas.tables.table import LatencyTable


def table_sha256(table: LatencyTable) -> str:
    """Hash of a table's content: that of its file, where nothing was torn off the end."""
    digest = hashlib.sha256()
    for line in (table.header(), *(item.to_json() for item in table.rounds)):
        digest.update((json.dumps(line, separators=(",", ":"), allow_nan=False) + "\n").encode())
    return digest.hexdigest()


def file_sha256(path: Path) -> str:
    """What ``table_sha256`` is of the table in a file that hwnas wrote, without reading its rows.

    Raises:
        TableError: The file cannot be read.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        reason = error.strerror or error
        raise TableError(f"a latency table must be readable, but {path} is not: {reason}") from error
    digest = hashlib.sha256()
    for line in content.split(b"\n")[:-1]:
        if not line.startswith(b'{"note":'):
            digest.update(line + b"\n")
    return digest.hexdigest()
