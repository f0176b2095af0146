"""What type checkers see: ``tools/check_wheel.py`` gives them a program that uses every public name."""

from __future__ import annotations

import ast
from pathlib import Path

import hwnas

PROGRAM = Path(__file__).parent / "typed_user.py"


def test_the_checked_program_uses_every_public_name():
    used = {
        node.attr
        for node in ast.walk(ast.parse(PROGRAM.read_text("utf-8")))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "hwnas"
    }
    assert set(hwnas.__all__) - used == set()


def test_names_for_type_checkers_are_those_that_are_imported():
    """Those under TYPE_CHECKING, for checkers, and ``__getattr__``, for programs."""
    [guarded] = (
        node
        for node in ast.parse(Path(hwnas.__file__).read_text("utf-8")).body
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    )
    imports = (node for node in guarded.body if isinstance(node, ast.ImportFrom))
    for node in imports:
        for item in node.names:
            name = item.asname or item.name
            if name.startswith("_") or node.module == "inspect":
                continue
            assert name in hwnas.__all__
            assert getattr(hwnas, name).__name__.rpartition(".")[2] in (item.name, name)
