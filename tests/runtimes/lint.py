"""Finds code that asks by name which runtime it has; see ``test_runtimes.py``."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Set

_ASKING = {"startswith", "endswith", "get", "pop", "index", "count", "removeprefix", "removesuffix"}


def questions(source: str, names: Set[str]) -> list[int]:
    """Lines with a comparison, an ``in``, a lookup, a table or a ``match`` by one of the names."""
    return sorted({node.lineno for node in ast.walk(ast.parse(source)) if _asks(node, names)})


def _asks(node: ast.AST, names: Set[str]) -> bool:
    match node:
        case ast.Compare(left=left, comparators=others):
            return any(_names(part, names) for part in (left, *others))
        case ast.Subscript(slice=key) | ast.MatchValue(value=key):
            return _names(key, names)
        case ast.Dict(keys=keys):
            return any(_names(key, names) for key in keys if key is not None)
        case ast.Call(func=ast.Attribute(attr=attribute), args=arguments) if attribute in _ASKING:
            return any(_names(argument, names) for argument in arguments)
    return False


def _names(node: ast.AST, names: Set[str]) -> bool:
    return not names.isdisjoint(_literals(node))


def _literals(node: ast.AST) -> Iterator[str]:
    """Texts in an expression, in its tuples, lists and sets, and in keys made of several parts."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.Tuple | ast.List | ast.Set):
        for element in node.elts:
            yield from _literals(element)
