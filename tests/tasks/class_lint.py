"""Finds code that takes labels for classes; see ``test_one_place.py``."""

from __future__ import annotations

import ast

_TRUTH = {"labels", "targets"}
_COMPARING = {"equal", "not_equal", "array_equal", "isclose", "allclose", "eq", "ne"}
_COUNTING = "hwnas.statistics.answers"


def classes(source: str) -> list[int]:
    """Lines that compare answers with labels, pick the likeliest of what a network says, or count classes."""
    return sorted({node.lineno for node in ast.walk(ast.parse(source)) if _takes(node)})


def _takes(node: ast.AST) -> bool:
    match node:
        case ast.Compare(left=left, ops=operators, comparators=others):
            is_equality = any(isinstance(operator, ast.Eq | ast.NotEq) for operator in operators)
            return is_equality and any(map(_is_truth_or_likeliest, (left, *others)))
        case ast.Call(func=ast.Attribute(attr=attribute), args=arguments) if attribute in _COMPARING:
            return any(map(_is_truth_or_likeliest, arguments))
        case ast.ImportFrom(module=module) if module == _COUNTING:
            return True
    return False


def _is_truth_or_likeliest(node: ast.expr) -> bool:
    """Whether it is what images are labelled with, some of it, or an arg-max."""
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name in _TRUTH
        case ast.Subscript(value=inner):
            return _is_truth_or_likeliest(inner)
        case ast.Call(func=ast.Attribute(attr=attribute, value=inner)):
            return attribute == "argmax" or _is_truth_or_likeliest(inner)
    return False
