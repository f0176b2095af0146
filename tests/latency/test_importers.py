"""Files of other people's making, good and bad."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hwnas import latency
from hwnas.device import Target
from hwnas.errors import DataError
from hwnas.latency.imports.importers import Provenance, import_blocks, import_networks
from hwnas.latency.imports.readers import read_networks
from hwnas.latency.networks import Networks, groups, unseen
from hwnas.space import SearchSpace

TARGET = Target("phone", "litert", "int8")
ORIGIN = Provenance("a paper", "MIT")


def write_networks(path: Path, space: SearchSpace, count: int) -> None:
    rng = np.random.default_rng(0)
    archs = [space.sample(rng) for _ in range(count)]
    lines = [f"{' '.join(map(str, a.indices))},{a.macs / 1e7 + 1:.6f}" for a in archs]
    path.write_text("\n".join(["arch,phone", *lines]) + "\n")


def test_networks_become_a_model_with_its_origin(macro: SearchSpace, tmp_path: Path) -> None:
    path = tmp_path / "networks.csv"
    write_networks(path, macro, 150)
    model = import_networks(path, "phone", macro, TARGET, ORIGIN)
    assert model.evaluation["heldout"].networks == 30
    assert model.evaluation["heldout"].mape < 0.01
    latency.save(model, tmp_path / "latency.json")
    again = latency.load(tmp_path / "latency.json")
    assert again.origin["licence"] == "MIT"
    assert again.origin["source"] == "a paper"
    assert again.origin["file"] == "networks.csv"
    assert len(again.origin["file_sha256"]) == 64


def test_copies_of_a_network_are_not_on_both_sides_of_the_split(macro: SearchSpace, tmp_path: Path) -> None:
    """Also those that are written otherwise: an identity does nothing, wherever it stands in its row."""
    rng, path = np.random.default_rng(0), tmp_path / "networks.csv"
    lines = []
    for number in range(20):
        drawn = list(macro.sample(rng).indices)
        for pair in ((0, 1), (1, 0)) * 3:
            drawn[3:5] = pair
            lines.append(f"{' '.join(map(str, drawn))},{1 + number}")
    path.write_text("\n".join(["arch,phone", *lines]) + "\n")
    model = import_networks(path, "phone", macro, TARGET, ORIGIN)
    sides = {}
    for split in ("heldout", "calibration"):
        rows = [key.split(":")[-1].split(".") for key in model.evaluation[split].keys]
        sides[split] = {macro.architecture(row).blocks for row in rows}
    assert len(sides["heldout"]) == 4
    assert not sides["heldout"] & sides["calibration"]
    assert model.evaluation["heldout"].networks + model.evaluation["calibration"].networks == len(lines)
    assert model.evaluation["heldout"].mape > 0.05, "latencies that follow from nothing cannot be predicted"


def test_a_table_does_not_judge_a_model_by_networks_that_it_was_fitted_to(macro: SearchSpace) -> None:
    seen = Networks("macro", np.array([[0, 0, 0, 0, 1, 0, 0, 0]]), np.array([1.0]))
    rows = np.array([[0, 0, 0, 1, 0, 0, 0, 0], [1] * 8])
    assert groups(macro, np.concatenate([seen.indices, rows])).tolist() == [0, 0, 1]
    found = unseen(macro, Networks("macro", rows, np.array([1.0, 2.0])), seen)
    assert found.indices.tolist() == [[1] * 8]


def test_parquet_reads_as_csv(tmp_path: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    columns = {"arch": ["0 1 2", "2 1 0"], "a": [1.5, 2.0], "b": [3.0, 4.0]}
    parquet.write_table(pyarrow.table(columns), tmp_path / "file.parquet")
    (tmp_path / "file.csv").write_text("arch,a,b\n0 1 2,1.5,3\n\n2 1 0,2,4\n")
    first, second = read_networks(tmp_path / "file.parquet"), read_networks(tmp_path / "file.csv")
    np.testing.assert_array_equal(first.indices, second.indices)
    assert first.latency_ms.keys() == second.latency_ms.keys() == {"a", "b"}
    np.testing.assert_array_equal(first.latency_ms["b"], second.latency_ms["b"])
    assert second.lines == (2, 4)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("0 0 0 0 0 0 0 0,nan", "line 3"),
        ("0 0 0 0 0 0 0 0,0", "line 3"),
        ("0 0 0 0 0 0 0 0,-1", "line 3"),
        ("0 0 0 0 0 0 0 0,fast", "line 3.*'fast'"),
        ("0 0 0 0 0 0 0 0", "line 3.*has 1"),
        ("0 0 0 0 0 0 0,1", "line 3.*7"),
        ("0 0 0 0 0 0 0 9,1", "rows must be architectures.*line 3"),
        ("0 0 0 0 0 0 0 x,1", "candidate numbers.*line 3"),
        ("0 0 0 0 0 0 0 -1,1", "candidate numbers.*line 3"),
        (",1", "candidate numbers.*line 3"),
    ],
)
def test_a_bad_row_is_named_by_its_line(macro: SearchSpace, tmp_path: Path, row: str, message: str) -> None:
    path = tmp_path / "networks.csv"
    path.write_text(f"arch,phone\n0 0 0 0 0 0 0 1,1.0\n{row}\n")
    with pytest.raises(DataError, match=message):
        import_networks(path, "phone", macro, TARGET, ORIGIN)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "arch,phone\n", "at least one row"),
        ("a.csv", "", "name its columns"),
        ("a.csv", "arch,arch\n", "each once"),
        ("a.csv", "arch,other\n0,1\n", r"columns \['phone'\]"),
        ("a.txt", "arch,phone\n0,1\n", "must end in"),
        ("a.parquet", "arch,phone\n0,1\n", "readable Parquet"),
    ],
)
def test_odd_files_are_refused(
    macro: SearchSpace, tmp_path: Path, name: str, content: str, message: str
) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=message):
        import_networks(tmp_path / name, "phone", macro, TARGET, ORIGIN)


def test_a_missing_file_is_refused(macro: SearchSpace, tmp_path: Path) -> None:
    for name in ("none.csv", "none.parquet"):
        with pytest.raises(DataError, match="none"):
            import_networks(tmp_path / name, "phone", macro, TARGET, ORIGIN)


def test_an_origin_must_be_given() -> None:
    with pytest.raises(DataError, match="licence"):
        Provenance("a paper", " ")


def test_blocks_become_a_table(macro: SearchSpace, tmp_path: Path) -> None:
    path = tmp_path / "blocks.csv"
    rows = [f"{w.key()},{w.macs / 1e7}" for w in macro.workloads()]
    path.write_text("\n".join(["key,latency_ms", *rows]))
    table = import_blocks(path, TARGET, ORIGIN)
    table.save(tmp_path / "table.jsonl")
    again = latency.fit(type(table).load(tmp_path / "table.jsonl"), macro, "lookup")
    arch = macro.architecture([1] * 8)
    assert again.predict(macro, np.array([arch.indices])).mean_ms[0] == pytest.approx(arch.macs / 1e7)
    assert table.environment["imported"]["licence"] == "MIT"


def test_bad_blocks_are_named_by_their_line(macro: SearchSpace, tmp_path: Path) -> None:
    good = macro.workloads()[0].key()
    path = tmp_path / "blocks.csv"
    for row, message in (
        (f"{good},2", "line 3.*repeats"),
        ("magic@1x1x1,2", "line 3"),
        (f"{good}x,2", "line 3"),
    ):
        path.write_text(f"key,latency_ms\n{good},1\n{row}\n")
        with pytest.raises(DataError, match=message):
            import_blocks(path, TARGET, ORIGIN)
    path.write_text("key,latency_ms\n")
    with pytest.raises(DataError, match="at least one"):
        import_blocks(path, TARGET, ORIGIN)
