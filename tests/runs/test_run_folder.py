"""The names of a run's files stand once: what they are, and that nobody else spells them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import hwnas
from hwnas import device
from hwnas.runs import folder as module
from hwnas.runs.folder import BenchFolder, ChainFolder, Entry, RunFolder, ShippingFolder, model_name
from hwnas.tables import places

PACKAGE = Path(hwnas.__file__).parent
HERE = "runs/folder.py"
NAMES = {
    value.name
    for kind in (RunFolder, ChainFolder, ShippingFolder, BenchFolder)
    for value in vars(kind).values()
    if isinstance(value, Entry)
}
FILES = {name.rsplit("/", 1)[-1] for name in NAMES if "." in name}
FOLDERS = NAMES - FILES
OTHERS = {
    ("transport/_bundle.py", "manifest.json"): "of an agent's bundle",
    ("release/examples/example_litert.py", "preprocessing.json"): "ships, and runs without hwnas",
    ("release/examples/example_onnxruntime.py", "preprocessing.json"): "ships, and runs without hwnas",
    ("tables/places.py", "tables"): "of the user's data",
    ("data/detection/yolo.py", "labels.txt"): "a list of classes beside the user's pictures",
    ("data/segmentation/colours.py", "labels.txt"): "a list of classes beside the user's masks",
}
SLUGS = (HERE, "tables/places.py", "tables/scales.py", "device.py")
"""Who may make a file's name of a target: runs, tables, what is known of clocks, the target itself."""


def spelled(text: str) -> Iterator[str]:
    """Names of a run's files in a program: as text of their own, or joined to a path."""
    if not any(name in text for name in FILES | FOLDERS):
        return  # most programs need not be parsed
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from {node.value} & FILES - {RunFolder.lock}  # that is a suffix as well
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
            yield from _joined(node.right)
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") in ("joinpath", "with_name"):
            yield from (name for argument in node.args for name in _joined(argument))


def _joined(node: ast.expr) -> Iterator[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        parts = set(node.value.split("/"))
        yield from parts & (FOLDERS | FILES)


def named_by_slug(text: str) -> bool:
    """Whether a program makes the name of a file of the short text of a target."""
    if "slug" not in text:
        return False
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.JoinedStr):
            slugs = [n for n in ast.walk(node) if isinstance(n, ast.Attribute) and n.attr == "slug"]
            texts = [n.value for n in node.values if isinstance(n, ast.Constant)]
            if slugs and any("." in str(part) for part in texts):
                return True
    return False


def test_no_other_module_spells_the_name_of_a_file_of_a_run():
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        name, text = path.relative_to(PACKAGE).as_posix(), path.read_text("utf-8")
        if name != HERE:
            found += [f"{name}: {word}" for word in spelled(text) if (name, word) not in OTHERS]
        if name not in SLUGS and named_by_slug(text):
            found.append(f"{name}: a file named by a target")
    assert found == [], f"use {module.__name__} and {places.__name__}"


@pytest.mark.parametrize(
    "text",
    [
        'x = run / "arch.json"',
        'names = ("search.json",)',
        "path = run / 'export' / name",
        'run.joinpath("finalists", other)',
        'run.with_name("weights.safetensors")',
        'FILE = "gallery.json"',
        'run / "compare/answers.json"',
    ],
)
def test_a_spelled_name_is_found(text):
    assert list(spelled(text))


def test_what_is_no_name_of_a_file_is_left_alone():
    assert not list(spelled('"""Reads ``arch.json``."""\nstage = "export"\nhalf = whole / 2\nx / "other"'))
    assert named_by_slug('f"{target.slug}.jsonl"')
    assert not named_by_slug('f"of {target.slug}"')


def test_every_exception_is_one():
    for name, word in OTHERS:
        assert word in list(spelled((PACKAGE / name).read_text("utf-8")))


def test_names_are_those_of_every_version():
    """What users have on their disks: a name that changes here loses it."""
    run, target = Path("run"), device.load("host").target("litert", "int8")
    assert RunFolder(run).weights == run / "weights.safetensors"
    assert RunFolder.weights == "weights.safetensors"
    assert RunFolder(run).shipping.manifest == run / "export" / "manifest.json"
    assert RunFolder(run).latency_model(target) == run / "latency" / "host-litert-int8.json"
    assert RunFolder(run).finalists_table(target) == run / "finalists" / "host-litert-int8.jsonl"
    assert RunFolder(run).match("shufflenetv2", target).name == "match-shufflenetv2-host-litert-int8.json"
    assert RunFolder(run).contender("found", 3).path == run / "compare" / "found-seed3"
    assert RunFolder(run).answers == run / "compare" / "answers.json"
    assert ChainFolder(run).latency_model(target) == run / "latency" / "litert-int8.json"
    assert ChainFolder(run).latency_model(target, among=True) == run / "latency" / "host-litert-int8.json"
    assert ChainFolder(run).run("fbnet").arch == run / "fbnet" / "arch.json"
    assert model_name(target) == "host-litert-int8.json"
    assert {"arch.json", "search.json", "history.jsonl", "train.json", "supernet.safetensors"} <= FILES
    assert {"jobs.jsonl", "bench.json", "bench.html"} <= FILES
    assert {"ranges.json", "against.json", "compare.json", "mistakes.json", "chain.json", ".lock"} <= FILES


def test_tables_lie_with_a_folder_of_the_device_or_without():
    target = device.load("host").target("onnxruntime", "fp32")
    inner, flat = places.candidates(Path("tables"), target)
    assert inner == Path("tables/host/onnxruntime-fp32.jsonl")
    assert flat == Path("tables/onnxruntime-fp32.jsonl")
    assert places.table(places.of_device("host"), target) == places.candidates(places.own(), target)[0]
