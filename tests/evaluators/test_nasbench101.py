"""NAS-Bench-101 as it is published: records with checksums, messages in base64, cells that are one."""

from __future__ import annotations

import base64
import json
import struct
from itertools import combinations, product

import networkx
import numpy as np
import published_files as published
import pytest

from hwnas.errors import DataError
from hwnas.evaluators.tabular import nasbench101, tfrecord
from hwnas.evaluators.tabular.nasbench1shot1 import SPACES, OneShotCells
from hwnas.evaluators.tabular.nasbench101 import OPERATIONS, CellGraph
from hwnas.evaluators.tabular.protobuf import fields

CONV3, CONV1, POOL = OPERATIONS
MATRIX = ((0, 1, 1, 0), (0, 0, 0, 1), (0, 0, 0, 1), (0, 0, 0, 0))
CELL = CellGraph(MATRIX, ("input", CONV3, POOL, "output"))
SWAPPED = CellGraph(MATRIX, ("input", POOL, CONV3, "output"))
OTHER = CellGraph(MATRIX, ("input", CONV3, CONV3, "output"))
HANGING = CellGraph(
    ((0, 1, 1, 1, 0), (0, 0, 0, 0, 1), (0, 0, 0, 0, 0), (0, 0, 0, 0, 1), (0, 0, 0, 0, 0)),
    ("input", POOL, CONV1, CONV3, "output"),
)


def rows(*given):
    return [published.row101(*each) for each in given]


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "nasbench.tfrecord"
    given = [
        (name, epochs, cell.matrix, cell.operations, 0.8 + run / 100 + epochs / 1e4, 0.7 + run / 100)
        for epochs in (4, 108)
        for run in range(3)
        for name, cell in (("a", CELL), ("b", OTHER))
    ]
    path.write_bytes(published.tfrecord(rows(*given)))
    return path


def test_checksums_are_those_of_the_standard():
    """RFC 3720, B.4."""
    assert tfrecord.crc32c(bytes(32)) == 0x8A9136AA
    assert tfrecord.crc32c(b"\xff" * 32) == 0x62A8AB43
    assert tfrecord.crc32c(bytes(range(32))) == 0x46DD794E
    rng = np.random.default_rng(0)
    for length in (0, 1, 2, 3, 4, 5, 1023, 1024, 1025, 1027, 3000):
        data = rng.bytes(length)
        assert tfrecord.crc32c(data) == published.crc32c(data)


def test_cells_have_the_accuracies_of_their_three_trainings(file):
    found = nasbench101.read(file)
    assert set(found) == {CELL.key, OTHER.key}
    trained = found[SWAPPED.key]
    assert trained.cell == CELL
    assert trained.validation == {
        4: pytest.approx([0.8004, 0.8104, 0.8204]),
        108: pytest.approx([0.8108, 0.8208, 0.8308]),
    }
    assert trained.test == {epochs: pytest.approx([0.7, 0.71, 0.72]) for epochs in (4, 108)}


def test_a_file_is_read_record_by_record(file):
    whole = file.read_bytes()
    file.write_bytes(whole[:-1])
    read = nasbench101.runs(file)
    assert [next(read).name for _ in range(11)][-2:] == ["b", "a"]
    with pytest.raises(DataError, match=r"record 12 of .* is not: the file ends in it"):
        next(read)


def test_every_cut_and_every_wrong_byte_is_found(tmp_path):
    path = tmp_path / "a.tfrecord"
    whole = published.tfrecord([b"one record"])
    for end in range(1, len(whole)):
        path.write_bytes(whole[:end])
        with pytest.raises(DataError, match="a record must be whole, but record 1"):
            list(tfrecord.records(path))
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(DataError, match=r"record 1 of .* checksum"):
            list(tfrecord.records(path))
    path.unlink()
    with pytest.raises(DataError, match="must be readable"):
        list(tfrecord.records(path))


def changed(place, value):
    record = json.loads(published.row101("a", 108, CELL.matrix, CELL.operations, 0.9, 0.9))
    record[place] = value
    return json.dumps(record).encode()


def message(*evaluated):
    return base64.b64encode(published.metrics(evaluated)).decode()


@pytest.mark.parametrize(
    ("record", "said"),
    [
        (b"no JSON", "record 1"),
        (b"[1, 2]", "not enough values"),
        (b'"\xff"', "decode"),
        (changed(1, "many"), "invalid literal"),
        (changed(2, "0" * 15), "its matrix is"),
        (changed(2, "2" * 16), "its matrix is"),
        (changed(2, "1" * 16), "go to later vertices"),
        (changed(2, "0" * 9), "must have a row and a column"),
        (changed(2, 7), "object"),
        (changed(3, "input,conv3x3-bn-relu,conv9x9,output"), "operations of a cell must be"),
        (changed(3, "conv3x3-bn-relu,conv3x3-bn-relu,maxpool3x3,output"), "operations of a cell must be"),
        (changed(4, "?!"), "record 1"),
        (changed(4, base64.b64encode(b"\x0a\x7f").decode()), "field 1 of a message is cut off"),
        (changed(4, base64.b64encode(b"\x80" * 12).decode()), "a number of a message is cut off"),
        (changed(4, message((0, 0, 0, 0))), "evaluated 1 times"),
        (changed(4, message(*[(0, 0, 93.0, 0.9)] * 3)), "an accuracy must be in"),
        (changed(4, message(*[(0, 0, float("nan"), 0.9)] * 3)), "an accuracy must be in"),
    ],
)
def test_a_record_of_another_form_is_named(record, said, tmp_path):
    path = tmp_path / "a.tfrecord"
    path.write_bytes(published.tfrecord([record]))
    with pytest.raises(DataError, match=r"record 1 of .* is not: ") as raised:
        nasbench101.read(path)
    assert said in str(raised.value)


def test_messages_are_read_as_they_stand_on_the_wire():
    assert list(fields(b"\x08\x96\x01\x12\x02hi\x19" + struct.pack("<d", 1.5) + b"\x25abcd")) == [
        (1, 150),
        (2, b"hi"),
        (3, struct.pack("<d", 1.5)),
        (4, b"abcd"),
    ]


def test_equal_cells_have_one_key():
    assert CELL.key == SWAPPED.key == HANGING.key
    assert CELL.key != OTHER.key
    assert HANGING.pruned == SWAPPED
    with pytest.raises(DataError, match="a way from input to output"):
        _ = CellGraph(((0, 0), (0, 0)), ("input", "output")).key


def as_graph(cell):
    graph = networkx.DiGraph()
    graph.add_nodes_from((v, {"operation": name}) for v, name in enumerate(cell.operations))
    graph.add_edges_from((i, j) for i, row in enumerate(cell.matrix) for j, edge in enumerate(row) if edge)
    return graph


def every_cell_of_four_vertices():
    for edges, names in product(product((0, 1), repeat=6), product(OPERATIONS, repeat=2)):
        a, b, c, d, e, f = edges
        matrix = ((0, a, b, c), (0, 0, d, e), (0, 0, 0, f), (0, 0, 0, 0))
        try:
            yield CellGraph(matrix, ("input", *names, "output")).pruned
        except DataError:
            continue


def test_keys_tell_the_same_cells_apart_as_trying_all_orders():
    cells = set(every_cell_of_four_vertices())
    equal = 0
    for one, other in combinations(cells, 2):
        same = networkx.is_isomorphic(
            as_graph(one), as_graph(other), node_match=lambda a, b: a["operation"] == b["operation"]
        )
        equal += same
        assert (one.key == other.key) == same
    assert equal > 3


def test_spaces_of_1shot1_are_sets_of_these_cells(file):
    """What reads one vertex after the other is a chain; with two, both must be read somewhere."""
    chain = OneShotCells((1, 1))
    assert {cell.operations for cell in chain.cells()} == {
        ("input", "output"),
        *(("input", name, "output") for name in OPERATIONS),
    }
    both = OneShotCells((1, 1, 2))
    table = nasbench101.read(file)
    assert set(both.of(table)) == {CELL.key, OTHER.key}
    assert chain.of(table) == {}


def test_spaces_of_1shot1_have_at_most_nine_edges():
    assert [sum(space.parents) for space in SPACES.values()] == [9, 9, 9]
    for number, vertices in ((1, 6), (2, 6), (3, 7)):
        first = next(SPACES[number].cells())
        assert len(first.operations) <= vertices
