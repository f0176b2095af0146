"""One name, one thing: two public classes of one name would have to be told apart by where they are."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

import hwnas

HOME = Path(hwnas.__file__).parent


def test_no_two_public_classes_are_called_alike():
    """Modules of one room alone, ``_name.py``, may call theirs as they like."""
    found = defaultdict(list)
    for path in sorted(HOME.rglob("*.py")):
        within = path.relative_to(HOME)
        if not path.name.startswith("_") or path.name == "__init__.py":
            for node in ast.parse(path.read_text()).body:
                if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                    found[node.name].append(str(within))
    assert len(found) > 200, "or nothing was looked at"
    assert {name: homes for name, homes in found.items() if len(homes) > 1} == {}
