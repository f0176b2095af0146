"""A damaged table has a way out that loses nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from hwnas.device import Target
from hwnas.errors import SchemaMismatch, TableError
from hwnas.runs import outputs
from hwnas.tables.repair import repair
from hwnas.tables.table import LatencyTable, Note, Round


@pytest.fixture
def path(tmp_path: Path) -> Path:
    rounds = [Round(f"k{key}", "block", "s", n, (1.0,), (0.5,)) for n in range(3) for key in range(4)]
    table = LatencyTable(Target("host", "litert", "int8"), {"anchor": "a"}, rounds, [Note("s", "end", {})])
    table.save(tmp_path / "table.jsonl")
    return tmp_path / "table.jsonl"


DAMAGES = {
    "cut off in the middle": lambda line: line[: len(line) // 2],
    "not JSON": lambda line: b"oops" + line,
    "another JSON": lambda line: b"[]",
    "null": lambda line: b"null",
    "empty": lambda line: b"",
    "not UTF-8": lambda line: line.replace(b"block", b"blo\xff"),
    "zeros": lambda line: b"\0" * len(line),
    "a field gone": lambda line: line.replace(b'"session"', b'"sessio"'),
    "text for numbers": lambda line: line.replace(b"[1.0]", b'["1.0"]'),
    "a negative latency": lambda line: line.replace(b"[1.0]", b"[-1.0]"),
    "not a number": lambda line: line.replace(b"[1.0]", b"[NaN]"),
    "without end": lambda line: line.replace(b'"round":1', b'"round":Infinity'),
    "deep": lambda line: b"[" * 100_000,
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_only_what_is_damaged_is_dropped(path: Path, damage: str) -> None:
    lines = path.read_bytes().split(b"\n")
    damaged = [*lines]
    for number in (5, 7):  # the header is number 0
        damaged[number] = DAMAGES[damage](lines[number])
    path.write_bytes(b"\n".join(damaged))
    with pytest.raises(TableError, match=r"line 6 of .*: .*`hwnas table repair .*table.jsonl`"):
        LatencyTable.load(path)
    found = repair(path)
    assert list(found.dropped) == [6, 8]
    assert "Error" not in " ".join(found.dropped.values()), "words, not names of exceptions"
    assert found.copy is not None
    assert found.copy.read_bytes() == b"\n".join(damaged)
    assert path.read_bytes() == b"\n".join(line for n, line in enumerate(lines) if n not in (5, 7))
    assert len(LatencyTable.load(path).rounds) == 12 - 2
    assert found.kept == 12 - 2 + 1
    assert repair(path).copy is None, "once is enough"


def test_a_repeated_row_and_a_torn_end_are_dropped(path: Path) -> None:
    lines = path.read_bytes().split(b"\n")
    path.write_bytes(b"\n".join([*lines[:-1], lines[2], b'{"key": "k9']))
    found = repair(path)
    assert list(found.dropped) == [len(lines), len(lines) + 1]
    assert path.read_bytes() == b"\n".join(lines)


def test_copies_are_never_written_over(path: Path) -> None:
    for number in (1, 2):
        path.write_bytes(path.read_bytes() + b"oops\n")
        assert repair(path).copy == path.with_name(f"table.jsonl.damaged-{number}")


@pytest.mark.parametrize("header", [b"", b"oops", b"[]", b'{"schema": "hwnas-table/1", "target": null}'])
def test_without_its_first_line_nothing_says_what_it_is(path: Path, header: bytes) -> None:
    content = b"\n".join([header, *path.read_bytes().split(b"\n")[1:]])
    path.write_bytes(content)
    with pytest.raises(SchemaMismatch):
        repair(path)
    assert path.read_bytes() == content
    assert [p.name for p in path.parent.iterdir() if p.suffix != ".lock"] == ["table.jsonl"]


def test_a_byte_order_mark_that_an_editor_left_does_no_harm(path: Path) -> None:
    before = LatencyTable.load(path)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert LatencyTable.load(path).rounds == before.rounds
    assert repair(path).dropped == {}


@pytest.mark.parametrize(
    ("content", "said"), [(b"", "is empty"), (b"garb\xffage\n", "begins with 'garb"), (b"[]\n", "'[]'")]
)
def test_a_first_line_that_says_nothing_is_shown(path: Path, content: bytes, said: str) -> None:
    path.write_bytes(content)
    for use in (LatencyTable.load, repair):
        with pytest.raises(SchemaMismatch, match=r"what was measured, but .*: put the first line") as error:
            use(path)
        assert said in str(error.value)


def test_a_table_that_is_being_written_is_left_alone(path: Path) -> None:
    lock = path.with_name(".table.jsonl.lock")
    with outputs.hold(lock, "it", "it", TableError), pytest.raises(TableError, match="works on"):
        repair(path)


def test_what_is_missing_is_said_in_words(path: Path) -> None:
    lines = path.read_bytes().split(b"\n")
    lines[5] = DAMAGES["a field gone"](lines[5])
    path.write_bytes(b"\n".join(lines))
    assert repair(path).dropped == {6: "a row must have all fields of the format, but session is missing"}
