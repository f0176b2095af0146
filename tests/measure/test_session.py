"""A session measures what the table lacks, and only that."""

from __future__ import annotations

import json
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import fakes

from hwnas.measure import Progress
from hwnas.measure.store import missing_rounds, to_go_on
from hwnas.tables import conditions
from hwnas.tables.table import LatencyTable, Note, Round, append


def numbers(path: Path) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for item in LatencyTable.load(path).rounds:
        found.setdefault(item.key, []).append(item.number)
    return {key: sorted(rounds) for key, rounds in found.items()}


def test_latencies_are_those_of_the_agent(tmp_path: Path) -> None:
    path = tmp_path / "table.jsonl"
    deeds = {"anchor/1": "2.0 ok", "block0": "1.0 ok", "block1": "5.0 ok", "block2": "0.25 ok"}
    fakes.profile(path, fakes.make_items(3), deeds=deeds)
    table = LatencyTable.load(path)
    for key, truth in (("block0", 1.0), ("block1", 5.0), ("block2", 0.25)):
        measured = table.measurements[key]
        assert abs(measured.latency_ms / truth - 1) < 0.03
        assert measured.ci_ms[0] < measured.latency_ms < measured.ci_ms[1]
    assert abs(table.scale.light_ms / 2.0 - 1) < 0.02


def test_every_row_has_the_anchor_before_and_after(tmp_path: Path) -> None:
    path = tmp_path / "table.jsonl"
    fakes.profile(path, fakes.make_items(7))
    rounds = LatencyTable.load(path).rounds
    assert {(len(item.anchor_ms), len(item.heavy_ms)) for item in rounds} == {(8, 8)}


def test_every_round_has_a_run_of_the_agent_of_its_own_and_time_to_drift(tmp_path: Path) -> None:
    path, first = tmp_path / "table.jsonl", time.monotonic_ns()
    fakes.profile(path, fakes.make_items(2), options=replace(fakes.QUICK, min_round_s=0.3))
    table = LatencyTable.load(path)
    assert sum(note.moment == "span" for note in table.notes) == 6
    began = [min(r.conditions["start_ns"] for r in table.rounds if r.number == n) for n in range(6)]
    # a busy machine may begin each round late, but none early
    assert all(start - first >= number * 0.3e9 for number, start in enumerate(began))


def test_a_finished_table_asks_for_nothing(tmp_path: Path) -> None:
    path = tmp_path / "table.jsonl"
    fakes.profile(path, fakes.make_items(3))
    before = path.read_bytes()
    assert fakes.profile(path, fakes.make_items(3)).asked == []
    assert path.read_bytes() == before


def test_new_keys_and_new_rounds_are_added_to_the_old(tmp_path: Path) -> None:
    path = tmp_path / "table.jsonl"
    fakes.profile(path, fakes.make_items(2))
    exporter = fakes.profile(path, fakes.make_items(4))
    assert exporter.asked == ["anchor/1", "heavy/1", "block2", "block3"]
    fakes.profile(path, fakes.make_items(4), options=replace(fakes.QUICK, rounds=8, max_rounds=8))
    assert numbers(path) == {f"block{i}": list(range(8)) for i in range(4)}
    assert len({r.session for r in LatencyTable.load(path).rounds}) == 3


def test_the_same_model_file_is_measured_once(tmp_path: Path) -> None:
    path = tmp_path / "table.jsonl"
    same = dict.fromkeys(("block0", "block2", "block3"), "3.0 ok")
    fakes.profile(path, fakes.make_items(4), deeds=same)
    rows = [item for item in LatencyTable.load(path).rounds if item.key in same]
    assert Counter(item.number for item in rows) == dict.fromkeys(range(6), 3)
    assert len({item.conditions["start_ns"] for item in rows}) == 6, "three keys share each measurement"


def test_wide_rows_get_more_rounds_and_then_are_called_unstable(tmp_path: Path) -> None:
    path = tmp_path / "table.jsonl"
    # The fake agent wobbles by up to 1 %: half the interval is around 0.3 %.
    options = replace(fakes.QUICK, target_ci=1e-4, max_rounds=13)
    fakes.profile(path, fakes.make_items(3), options=options)
    assert numbers(path) == {f"block{i}": list(range(13)) for i in range(3)}
    doubtful = conditions.unstable(LatencyTable.load(path))
    assert set(doubtful) == {"block0", "block1", "block2"}
    assert all("after 13 rounds" in reason for reason in doubtful.values())


def test_narrow_rows_get_no_more_rounds(tmp_path: Path) -> None:
    path = tmp_path / "table.jsonl"
    fakes.profile(path, fakes.make_items(3), options=replace(fakes.QUICK, target_ci=0.02, max_rounds=50))
    assert numbers(path) == {f"block{i}": list(range(6)) for i in range(3)}
    assert conditions.unstable(LatencyTable.load(path)) == {}


def test_no_round_is_begun_after_the_time_is_up(tmp_path: Path) -> None:
    path = tmp_path / "table.jsonl"
    fakes.profile(path, fakes.make_items(3), options=replace(fakes.QUICK, max_minutes=1e-9))
    table = LatencyTable.load(path)
    assert table.rounds == ()
    assert missing_rounds(table) == 18
    assert "exporting the models alone took up to 0.1 minutes" in to_go_on(table)
    assert "start again" not in to_go_on(table), "with the same time nothing would ever be measured"
    fakes.profile(path, fakes.make_items(3))
    assert sum(map(len, numbers(path).values())) == 18


def test_where_some_rounds_were_measured_in_time_a_further_start_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "table.jsonl"
    fakes.profile(path, fakes.make_items(2))
    table = LatencyTable.load(path)
    session = table.rounds[0].session
    table.notes.append(Note(session, "end", {"seconds": {"export": 90.0}, "missing": 4}))
    assert to_go_on(table) == "start again to go on"
    table.notes.append(Note("another", "end", {"seconds": {"export": 90.0, "push": 6.0}, "missing": 4}))
    assert "alone took up to 1.7 minutes" in to_go_on(table), "a bound is rounded up"


def test_progress_ends_where_it_said_it_would(tmp_path: Path) -> None:
    seen: list[Progress] = []
    fakes.profile(tmp_path / "table.jsonl", fakes.make_items(5), progress=seen.append)
    assert Counter(p.stage for p in seen).keys() == {"export", "measure"}
    assert seen[-1].stage == "measure"
    assert seen[-1].done == seen[-1].total == 30
    measured = [p.done for p in seen if p.stage == "measure"]
    assert measured == sorted(measured)


def test_a_session_notes_what_it_was_asked_and_how_long_it_took(tmp_path: Path) -> None:
    path = tmp_path / "table.jsonl"
    fakes.profile(path, fakes.make_items(2))
    notes = {note.moment: note.facts for note in LatencyTable.load(path).notes}
    assert notes["begin"]["rounds"] == 6
    assert set(notes["end"]["seconds"]) == {"export", "push", "measure"}
    assert (notes["end"]["losses"], notes["end"]["lost_s"]) == (0, 0), "there is no link to this machine"
    assert notes["span"]["wall_s"] > 0


def test_losses_of_the_link_are_told_with_their_session(tmp_path: Path) -> None:
    path = tmp_path / "table.jsonl"
    fakes.profile(path, fakes.make_items(2))
    table = LatencyTable.load(path)
    [session] = conditions.qualities(table)
    assert not conditions.qualities(table)[session].notes
    notes = [note for note in table.notes if note.moment != "end"]
    notes.append(Note("another", "end", {"losses": 9, "lost_s": 9.0}))
    for end, said in (
        ({"losses": 3, "lost_s": 4.24}, ["the link was lost 3 times, for 4.2 s"]),
        ({"losses": 1, "lost_s": 0.06}, ["the link was lost once, for 0.1 s"]),
        ({"seconds": {}, "missing": 0}, []),  # of an earlier version
    ):
        table.notes = [*notes, Note(session, "end", end)]
        found = conditions.qualities(table)[session]
        assert list(found.notes) == said
        assert found.word == conditions.quality(table.rounds, ()).word, "it only costs time"
        for measured in table.measurements.values():
            assert list(conditions.notes(found, measured)) == said


def test_a_table_is_the_same_after_it_was_saved(tmp_path: Path) -> None:
    path, copy = tmp_path / "table.jsonl", tmp_path / "copy.jsonl"
    fakes.profile(path, fakes.make_items(2))
    table = LatencyTable.load(path)
    table.save(copy)
    again = LatencyTable.load(copy)
    assert (again.rounds, again.notes, again.environment) == (table.rounds, table.notes, table.environment)
    extra = Round("block9", "block", "s", 0, (1.0,))
    append(copy, extra, Note("s", "end", {}))
    assert LatencyTable.load(copy).rounds[-1] == extra
    assert json.loads(copy.read_text().splitlines()[-1])["note"] == "end"
