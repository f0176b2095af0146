"""Whose table a search believes."""

from __future__ import annotations

import numpy as np
import pytest

from hwnas import files, latency, spaces
from hwnas.device import Target
from hwnas.errors import SchemaMismatch, TableError
from hwnas.latency import find_table, fitted
from hwnas.latency.provenance import file_sha256, table_sha256
from hwnas.tables.table import LatencyTable, Note, Round, append

SPACE = spaces.load("macro-r8-c10")
TARGET = Target("host", "litert", "int8")
SESSION = "20260203T040506Z-abcd"


def write(path, target=TARGET, workloads=None, cpu="Slow CPU"):
    rows = [
        Round(w.key(), "block", SESSION, 0, (0.01 + w.macs / 1e6,)) for w in workloads or SPACE.workloads()
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    LatencyTable(target, {"cpu_model": cpu}, rows).save(path)
    return path


@pytest.fixture
def places(tmp_path, monkeypatch):
    """The user's data folder and the shipped tables, both empty."""
    monkeypatch.setattr(files, "user_data", lambda: tmp_path / "user")
    monkeypatch.setattr(files, "shipped", lambda name: tmp_path / name)
    return tmp_path / "user" / "tables" / "host" / "litert-int8.jsonl", tmp_path / "lut_data" / "host" / (
        "litert-int8.jsonl"
    )


def test_ones_own_table_comes_first_and_without_a_warning(places):
    own, shipped = places
    write(own)
    write(shipped, cpu="Another CPU")
    found = find_table(TARGET, SPACE)
    assert (found.path, found.own, found.warning) == (own, True, "")


def test_a_shipped_table_is_used_after_a_warning_that_says_whose_it_was(places):
    own, shipped = places
    write(shipped, cpu="AMD EPYC 9999")
    write(own, workloads=SPACE.workloads()[:2])  # a table of one's own that does not cover the space
    found = find_table(TARGET, SPACE)
    assert found.path == shipped
    assert "AMD EPYC 9999 on 2026-02-03" in found.warning
    assert (
        "`hwnas profile --device host --space macro-r8-c10 --runtime litert --precision int8`"
        in found.warning
    )


def test_an_own_table_that_lacks_blocks_says_how_many(places):
    write(places[0], workloads=SPACE.workloads()[3:])
    found = find_table(TARGET, SPACE)
    assert found.own
    assert found.warning.startswith(
        f"3 of {len(SPACE.workloads())} blocks of macro-r8-c10 are not in the table"
    )
    assert found.command in found.warning


def test_no_table_at_all_is_one_sentence_with_the_command(places):
    with pytest.raises(
        TableError, match="none came with hwnas: run `hwnas profile --device host --space macro"
    ):
        find_table(TARGET, SPACE)


def test_a_folder_of_ones_choice_with_or_without_devices(places, tmp_path):
    flat = write(tmp_path / "flat" / "litert-int8.jsonl")
    assert find_table(TARGET, SPACE, flat.parent).path == flat
    nested = write(tmp_path / "flat" / "host" / "litert-int8.jsonl")
    assert find_table(TARGET, SPACE, flat.parent).path == nested
    with pytest.raises(TableError, match="must have a latency table of pixel"):
        find_table(Target("pixel", "litert", "int8"), SPACE, flat.parent)


def test_a_table_in_the_wrong_place_is_refused(places):
    write(places[0], Target("host", "litert", "fp32"))
    with pytest.raises(SchemaMismatch, match="must be of host/litert-int8, but is of host/litert-fp32"):
        find_table(TARGET, SPACE)


def test_a_table_of_a_few_networks_is_enough(places, tmp_path):
    """What `hwnas profile --few` leaves: whole networks and no block."""
    rng = np.random.default_rng(0)
    nets = {a.key(): a.macs for a in (SPACE.sample(rng) for _ in range(8))}
    rows = [Round(key, "calibration", SESSION, 0, (0.05 + macs / 1e6,)) for key, macs in nets.items()]
    places[0].parent.mkdir(parents=True)
    LatencyTable(TARGET, {}, rows).save(places[0])
    source = find_table(TARGET, SPACE)
    assert (source.own, source.model) == (True, "transfer")
    model = latency.load(fitted(source, tmp_path / "latency.json"))
    arch = SPACE.sample(rng)
    predicted = model.predict(SPACE, np.array([arch.indices])).mean_ms[0]
    assert predicted == pytest.approx(0.05 + arch.macs / 1e6, rel=0.3)


def test_a_model_is_fitted_once(places, tmp_path):
    write(places[0])
    source, path = find_table(TARGET, SPACE), tmp_path / "latency.json"
    before = fitted(source, path).stat().st_mtime_ns
    assert fitted(source, path).stat().st_mtime_ns == before
    assert latency.load(path).target == TARGET
    write(places[0], cpu="Changed")
    fitted(find_table(TARGET, SPACE), path)
    assert path.stat().st_mtime_ns != before


def test_the_hash_of_a_tables_file_is_that_of_its_rows(tmp_path):
    """What a report finds the table of a model by: notes and a torn last line are not in it."""
    path = write(tmp_path / "t.jsonl")
    table = LatencyTable.load(path)
    assert file_sha256(path) == table_sha256(table)
    append(path, Note(SESSION, "end", {"quiet": True}))
    with path.open("a") as file:
        file.write('{"key": "torn')
    assert file_sha256(path) == table_sha256(LatencyTable.load(path)) == table_sha256(table)
    path.write_bytes(path.read_bytes().rpartition(b"\n")[0] + b"\n")
    append(path, Round("another", "block", SESSION, 0, (1.0,), conditions={"cpu": "\u00e4"}, heavy_ms=(2.0,)))
    assert file_sha256(path) == table_sha256(LatencyTable.load(path)) != table_sha256(table)
    with pytest.raises(TableError, match="must be readable"):
        file_sha256(tmp_path)
