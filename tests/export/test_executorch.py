"""ExecuTorch programs: as its own exporter writes them, of every block, without its package."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from installed import needs

from hwnas import runtimes
from hwnas.blocks import Conv, MBConv, ShuffleUnit
from hwnas.errors import ExportError
from hwnas.export import _levels, _tables, lower, random_calibration, random_module
from hwnas.export._graph import Concat, Graph, Slice, Tensor
from hwnas.runtimes import _pte_file, executorch

WRITTEN_BY_EXECUTORCH = Path(__file__).parents[1] / "runtimes" / "programs"


def write(block, shape, precision, **options):
    images = random_calibration(shape, 4, 1) if precision == "int8" else None
    module = random_module([block], 0)
    return lower(module, shape, "executorch", precision, calibration=images, check=False, **options).model


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_a_program_is_as_executorch_writes_it(precision):
    theirs = _pte_file.read((WRITTEN_BY_EXECUTORCH / f"conv-{precision}.pte").read_bytes())
    ours = _pte_file.read(write(Conv(3, 4), (3, 8, 6), precision))
    assert ours == theirs


@pytest.mark.parametrize(
    ("block", "shape"),
    [
        (MBConv(16, 24, 3, 2, 6, se_ratio=0.25, activation="hswish"), (16, 14, 14)),
        (MBConv(16, 16, 3, 1, 3, groups=8), (16, 8, 6)),
        (ShuffleUnit(16, 16), (16, 8, 8)),
    ],
)
def test_int8_is_computed_in_whole_numbers_throughout(block, shape):
    execution = executorch.execution(write(block, shape, "int8"))
    assert (execution.partitions, execution.float_operators, execution.undelegated) == (1, (), ())
    assert execution.operators["Convert"] == 2, "of what comes in and of what goes out"


def test_a_program_is_the_same_whenever_it_is_written():
    assert len({write(MBConv(8, 8, 3, 1, 3), (8, 6, 6), "int8") for _ in range(2)}) == 1


def test_what_values_only_move_through_shares_its_levels():
    x, part, rest, y = (Tensor(name, (1, n, 2, 2)) for name, n in (("x", 4), ("a", 2), ("b", 2), ("y", 4)))
    graph = Graph((x,), (y,), (Slice(x, part, 0, 2), Slice(x, rest, 2, 4), Concat((rest, part), y)))
    images = np.linspace(-1, 2, 16, dtype=np.float32).reshape(1, 1, 4, 2, 2)
    _, levels = _levels.of(graph, (images,))
    assert len({levels[tensor.name] for tensor in (x, part, rest, y)}) == 1
    assert levels["x"].step == pytest.approx(3 / 255, rel=1e-4)


@pytest.mark.parametrize(("low", "high"), [(-1.0, 2.0), (0.0, 6.0), (-3.0, 0.0), (0.5, 3.0), (-3.0, -3.0)])
def test_levels_hold_zero_and_both_ends(low, high):
    levels = _levels.between(low, high)
    values = np.array([low, 0.0, high])
    back = levels.step * (levels.numbers(values).astype(float) - levels.zero)
    np.testing.assert_allclose(back, values, atol=levels.step / 2 + 1e-9)
    assert back[1] == 0


def test_channels_of_weights_have_steps_of_their_own():
    weight = np.array([[1.0, -2.0], [0.0, 0.0], [0.25, 0.5]])
    numbers, steps = _levels.of_weights(weight, 0)
    np.testing.assert_array_equal(numbers, [[64, -127], [0, 0], [64, 127]])
    np.testing.assert_allclose(steps[[0, 2]], [2 / 127, 0.5 / 127], rtol=1e-6)
    assert steps[1] > 0
    by_column, _ = _levels.of_weights(weight.T, 1)
    np.testing.assert_array_equal(by_column, numbers.T)


def test_tables_are_read_as_they_were_packed():
    inner = {1: np.int32(-5), 3: "text"}
    packed = _tables.pack({0: np.uint64(2**40), 1: [inner, {}], 4: np.array([1, 2], np.uint32)}, b"TEST")
    assert packed[4:8] == b"TEST"
    table = _pte_file._Fields.root(packed)
    first, second = table.tables(1)
    assert (table.number(0, "Q"), table.numbers(4, "I")) == (2**40, (1, 2))
    assert (first.number(1, "i"), first.text(3), second.number(1, "i")) == (-5, "text", 0)


@needs("executorch")
@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("hswish", ["decomposed", "native"])
def test_programs_of_several_images_and_of_native_hard_swish_compute_the_same(batch, hswish):
    block, shape = MBConv(16, 24, 3, 2, 3, se_ratio=0.25, activation="hswish"), (16, 9, 8)
    images = random_calibration(shape, 6, 1)
    for precision in ("fp32", "int8"):
        found = lower(
            random_module([block], 0),
            shape,
            "executorch",
            precision,
            calibration=images,
            batch=batch,
            hswish=hswish,
        )
        assert found.parity.max_error < (1e-5 if precision == "fp32" else 0.1)


@needs("executorch")
def test_half_of_a_program_is_refused():
    model = write(Conv(3, 4), (3, 8, 6), "fp32")
    with pytest.raises(ExportError, match="must be able to load"):
        runtimes.run(model[: len(model) // 2], "executorch", random_calibration((3, 8, 6), 1, 0))


@needs("executorch")
def test_nothing_is_said_beneath_python():
    """ExecuTorch tells of the processor when it is imported, and of its threads when they change."""
    script = (
        "from pathlib import Path; from hwnas.runtimes import executorch; import sys; p = Path(sys.argv[1])"
    )
    script += "; [executorch.method(p, threads=n) for n in (1, 2)]"
    program = str(WRITTEN_BY_EXECUTORCH / "conv-fp32.pte")
    done = subprocess.run([sys.executable, "-c", script, program], capture_output=True, text=True, check=True)
    assert done.stderr == done.stdout == ""
