"""ExecuTorch programs: what their files say, read without ExecuTorch from some that it wrote."""

from __future__ import annotations

import importlib.util
import struct
import sys
from pathlib import Path
from types import ModuleType

import pytest
from installed import installed

from hwnas import files, runtimes
from hwnas.errors import ExportError
from hwnas.export import metadata
from hwnas.runtimes import _pte_file, executorch
from hwnas.runtimes.base import Tensor

FOLDER = Path(__file__).parent / "programs"
PROGRAMS = {kind: FOLDER / f"conv-{kind}.pte" for kind in ("fp32", "int8")}
TWO_METHODS = FOLDER / "two-methods.pte"
"""A tanh of five numbers as "first", and the convolution of the others as "forward", which is what runs."""
NO_FORWARD = FOLDER / "no-forward.pte"


@pytest.mark.parametrize("kind", PROGRAMS)
def test_a_program_says_what_it_computes_in(kind):
    found = runtimes.get("executorch").host.describe(PROGRAMS[kind])
    assert found.inputs == (Tensor("x0", (1, 3, 8, 6), "float32"),)
    assert found.outputs == (Tensor("y0", (1, 4, 8, 6), "float32"),)
    assert found.precision == kind
    assert found.operators == {"Conv2d": 1, "StaticTranspose": 2} | ({"Convert": 2} if kind == "int8" else {})


def test_of_several_methods_the_one_that_runs_is_described():
    found = _pte_file.describe(TWO_METHODS)
    assert _pte_file.read(TWO_METHODS.read_bytes()).methods == ("first", "forward")
    assert (found.graphs, found.main_graph) == (2, "forward")
    assert found.inputs == (Tensor("x0", (1, 3, 8, 6), "float32"),)
    assert found.operators == {"Conv2d": 1, "StaticTranspose": 2}
    with pytest.raises(
        ExportError, match=r"must have the method forward .*, but this one has decode, encode"
    ):
        _pte_file.describe(NO_FORWARD)


def test_a_value_whose_number_is_left_out_is_the_first():
    """Flatbuffers leave out what is 0, and the first value of a graph is what comes in."""
    first, types = _pte_file.read(PROGRAMS["int8"].read_bytes()).operators[0]
    assert (first, types) == ("Convert", {"float32", "int8"})


def test_all_of_it_is_xnnpacks():
    execution = executorch.execution(PROGRAMS["int8"].read_bytes())
    assert (execution.partitions, execution.undelegated, execution.float_operators) == (1, (), ())
    assert len(executorch.execution(PROGRAMS["fp32"].read_bytes()).float_operators) == 3


def test_what_is_no_program_or_half_of_one_is_refused(tmp_path):
    content = PROGRAMS["fp32"].read_bytes()
    for number, broken in enumerate((b"", b"no model", content[:40], content[: len(content) // 2])):
        (tmp_path / f"{number}.pte").write_bytes(broken)
        with pytest.raises(ExportError, match=r"a \.pte file must"):
            _pte_file.describe(tmp_path / f"{number}.pte")


def test_a_program_without_methods_is_not_called_damaged():
    """A root table with no field at all."""
    table = struct.pack("<I4sHHi", 12, b"ET12", 4, 4, 4)
    with pytest.raises(ExportError, match="to be measured, but this one has no methods"):
        _pte_file.read(table)


def test_every_damaged_byte_is_a_program_or_a_sentence():
    content = PROGRAMS["int8"].read_bytes()
    refused = 0
    for place in range(8, len(content), 7):
        damaged = bytearray(content)
        damaged[place] ^= 0xFF
        try:
            _pte_file.read(bytes(damaged))
        except ExportError:
            refused += 1
    assert refused > 20


def test_a_text_follows_a_program_and_changes_nothing_of_it():
    content = PROGRAMS["int8"].read_bytes()
    assert metadata.embedded(content, "executorch") is None
    first = metadata.embed(content, "executorch", "an older text")
    second = metadata.embed(first, "executorch", "é")
    assert metadata.embedded(second, "executorch") == "é"
    assert second == metadata.embed(content, "executorch", "é")
    assert _pte_file.read(second) == _pte_file.read(content)


def test_the_agent_reads_the_same_calls(monkeypatch):
    """It may use nothing of hwnas; ExecuTorch, not needed for that, is played by an empty module."""
    for name in ("executorch", "executorch.extension", "executorch.extension.pybindings"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    sys.modules["executorch.extension.pybindings"]._C = ModuleType("_C")
    path = files.shipped("profilers") / "executorch" / "agent.py"
    spec = importlib.util.spec_from_file_location("executorch_agent", path)
    agent = importlib.util.module_from_spec(spec)
    monkeypatch.setattr(sys, "path", [*sys.path])
    spec.loader.exec_module(agent)
    for program in (*PROGRAMS.values(), TWO_METHODS):
        plan = _pte_file.read(program.read_bytes())
        assert (
            list(agent._calls(program.read_bytes())) == [*plan.kernels, *plan.delegates] == ["XnnpackBackend"]
        )


def test_a_package_without_a_file_of_its_own_is_installed_and_a_folder_is_not(tmp_path, monkeypatch):
    """ExecuTorch is such a package, and ``profilers/executorch`` such a folder."""
    (tmp_path / "a_package").mkdir()
    (tmp_path / "a_package-1.0.dist-info").mkdir()
    (tmp_path / "a_package-1.0.dist-info" / "METADATA").write_text("Name: a-package\nVersion: 1.0\n")
    (tmp_path / "a_folder").mkdir()
    monkeypatch.syspath_prepend(str(tmp_path))
    assert installed("a_package", "a_folder") == ("a_package",)


@pytest.mark.skipif(bool(installed("executorch")), reason="hwnas[executorch] is installed")
def test_without_its_package_it_is_a_sentence():
    with pytest.raises(ExportError, match=r"pip install 'hwnas\[executorch\]'"):
        executorch.method(PROGRAMS["fp32"])
