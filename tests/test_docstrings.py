"""What is public is documented: each name by ruff, here each parameter and each field."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from dataclasses import is_dataclass
from pathlib import Path

import pytest

import hwnas
from hwnas import api

ROOT = Path(hwnas.__file__).parent
MODULES = [path for path in sorted(ROOT.rglob("*.py")) if "examples" not in path.parts]
_ENTRY = re.compile(r"\*{0,2}(\w+): \S")
Documented = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def section(text: str, title: str) -> list[str] | None:
    """The names that a section of a docstring tells of, in its order; None where there is no such section."""
    lines = inspect.cleandoc(text).splitlines()
    if f"{title}:" not in lines:
        return None
    names = []
    for line in lines[lines.index(f"{title}:") + 1 :]:
        if line and not line.startswith(" "):
            break
        if line.startswith("    ") and not line.startswith("     "):
            matched = _ENTRY.match(line.strip())
            names.append(matched[1] if matched else line.strip())
    return names


def parameters(function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    """Its parameters, in order; those that a name begins with an underscore tell nobody anything."""
    given = function.args
    plain = [*given.posonlyargs, *given.args, given.vararg, *given.kwonlyargs, given.kwarg]
    names = [each.arg for each in plain if each is not None]
    return [name for name in names if name not in ("self", "cls") and not name.startswith("_")]


def fields(kind: ast.ClassDef) -> dict[str, bool]:
    """The public names that a class annotates, and whether each is a field of what is made of it."""
    found = (item for item in kind.body if isinstance(item, ast.AnnAssign))
    return {
        item.target.id: not ast.unparse(item.annotation).startswith("ClassVar")
        for item in found
        if isinstance(item.target, ast.Name) and not item.target.id.startswith("_")
    }


def faults(path: Path) -> Iterator[str]:
    """Where a docstring tells of other parameters or fields than there are."""
    source = path.read_text("utf-8")
    if not re.search("^ +(Args|Attributes):$", source, re.MULTILINE):
        return
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, Documented) or not (text := ast.get_docstring(node)):
            continue
        where = f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"
        own: list[str] | None = None
        if isinstance(node, ast.ClassDef):
            known, has = section(text, "Attributes"), fields(node)
            missing = {name for name, is_field in has.items() if is_field} - set(known or ())
            if known is not None and has and (odd := missing | (set(known) - has.keys())):
                yield f"{where}: Attributes and fields differ in {sorted(odd)}"
            made = [item for item in node.body if isinstance(item, ast.FunctionDef)]
            own = next((parameters(item) for item in made if item.name == "__init__"), None)
        else:
            own = parameters(node)
        if own is not None and (told := section(text, "Args")) is not None and told != own:
            yield f"{where}: Args are {told}, parameters {own}"


@pytest.mark.parametrize("folder", sorted({path.relative_to(ROOT).parts[0] for path in MODULES}))
def test_docstrings_tell_of_what_there_is(folder):
    own = [path for path in MODULES if path.relative_to(ROOT).parts[0] == folder]
    assert [fault for path in own for fault in faults(path)] == []


def classes() -> list[str]:
    return [name for name in hwnas.__all__ if inspect.isclass(getattr(hwnas, name))]


@pytest.mark.parametrize("name", classes())
def test_every_field_and_method_of_a_public_class_is_documented(name):
    kind = getattr(hwnas, name)
    assert inspect.getdoc(kind)
    if is_dataclass(kind):
        told = {n for each in kind.__mro__ for n in section(each.__doc__ or "", "Attributes") or ()}
        assert {n for n in kind.__dataclass_fields__ if not n.startswith("_")} <= told
    for member, value in inspect.getmembers(kind):
        if not member.startswith("_") and (inspect.isroutine(value) or isinstance(value, property)):
            assert inspect.getdoc(value), f"{name}.{member}"


@pytest.mark.parametrize("name", api.__all__)
def test_every_parameter_of_a_verb_is_documented(name):
    function = getattr(api, name)
    if not inspect.isclass(function):
        assert section(function.__doc__, "Args") == list(inspect.signature(function).parameters)


def test_sections_are_read():
    text = (
        "One.\n\nArgs:\n    a: The first,\n        in two lines.\n    **more: Others.\n\nReturns:\n    x: y"
    )
    assert section(text, "Args") == ["a", "more"]
    assert section("One.\n\nArgs:\n    no colon here\n", "Args") == ["no colon here"]
    assert section(text, "Attributes") is None


def test_a_fault_is_found(tmp_path, monkeypatch):
    monkeypatch.setattr("test_docstrings.ROOT", tmp_path)
    (tmp_path / "a.py").write_text('def f(a, b):\n    """One.\n\n    Args:\n        a: It.\n    """\n')
    assert list(faults(tmp_path / "a.py")) == ["a.py:1 f: Args are ['a'], parameters ['a', 'b']"]
