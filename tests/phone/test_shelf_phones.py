"""Several phones of one kind measure one table: those that are alike share the work."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections import Counter

import pytest
from testphone import PROPERTIES, THERMAL, describe_played
from typer.testing import CliRunner

from hwnas import device as devices
from hwnas import measure, shelf, spaces
from hwnas.cli import app
from hwnas.errors import DeviceError, TransportError
from hwnas.measure import ProfileOptions, spread
from hwnas.shelf import leasing, locks
from hwnas.tables.table import LatencyTable

pytestmark = pytest.mark.usefixtures("warm_processes")
OPTIONS = ProfileOptions(
    rounds=3, max_rounds=3, calibration_networks=1, heldout_networks=1, pool="processes:1", min_round_s=0
)


@pytest.fixture
def stand(new_phone, tcp, bundle, home, tmp_path, monkeypatch):
    """Makes so many phones, a descriptor of them, and a shelf; returns phones and shelf."""
    monkeypatch.setattr(spread, "_LOOK_S", 0.1)

    def make(*speeds, **options):
        phones = [new_phone(**options) for _ in speeds]
        for phone, speed in zip(phones, speeds, strict=True):
            (phone.root / "speed.json").write_text(json.dumps(speed))
        describe_played(home / "config" / "devices", patience_s=2)
        file = tmp_path / "shelf.toml"
        file.write_text(
            "".join(f'[[unit]]\ndevice = "played"\nserial = "{phone.serial}"\n' for phone in phones)
        )
        return phones, file

    return make


def profiled(file, out, options=OPTIONS):
    device = devices.load("played")
    target = device.target("litert", "int8")
    space = spaces.load("macro", resolution=8)
    paths = measure.profile(device, space, [target], out, options, shelf=shelf.read(file))
    return LatencyTable.load(paths[target])


def is_whole(table):
    """Every key has its rounds, each of them once."""
    counts = Counter(item.key for item in table.rounds)
    space = spaces.load("macro", resolution=8)
    assert {workload.key() for workload in space.workloads()} < set(counts)
    assert set(counts.values()) == {OPTIONS.rounds}
    assert not any(item.failed for item in table.rounds)
    return True


def units(table):
    """Rounds of each unit, by its number."""
    begun = {note.session: note.facts["unit"] for note in table.notes if note.moment == "begin"}
    return Counter(begun[item.session]["number"] for item in table.rounds)


def test_units_that_are_alike_share_the_rows_of_one_table(stand, tmp_path):
    phones, file = stand({}, {})
    table = profiled(file, tmp_path / "two")
    assert is_whole(table)
    assert set(units(table)) == {1, 2}
    proofs = [n.facts["unit"].get("anchors_over_first") for n in table.notes if n.moment == "begin"]
    assert proofs[0] is None
    for proof in proofs[1:]:
        assert set(proof) == {"anchor", "heavy"}
        assert all(0.97 < low <= ratio <= high < 1.03 for ratio, low, high in proof.values())
    ends = [note.facts for note in table.notes if note.moment == "end"]
    assert [end["missing"] for end in ends] == [0, 0]
    text = (tmp_path / "two" / "litert-int8.jsonl").read_text()
    assert not any(phone.serial in text for phone in phones), "no serial number is written down"
    alone = file.with_name("alone.toml")
    alone.write_text(f'[[unit]]\ndevice = "played"\nserial = "{phones[0].serial}"\n')
    one = profiled(alone, tmp_path / "one")
    assert set(units(one)) == {1}
    for key, measured in one.measurements.items():
        assert table.measurements[key].latency_ms == pytest.approx(measured.latency_ms, rel=0.01)
    before = text
    profiled(file, tmp_path / "two")
    assert (tmp_path / "two" / "litert-int8.jsonl").read_text() == before, "asked again, nothing is measured"


@pytest.mark.slow
def test_a_unit_that_is_slower_is_kept_apart(stand, tmp_path, caplog):
    _, file = stand({}, {"factor": 1.06})
    table = profiled(file, tmp_path / "out")
    assert is_whole(table)
    assert set(units(table)) == {1}
    assert "is kept apart: its anchors are not proven to take within 3 % of what they take on" in caplog.text


@pytest.mark.slow
def test_a_unit_that_scatters_too_much_to_tell_is_kept_apart(stand, tmp_path, caplog):
    _, file = stand({}, {"noise": 0.15})
    assert set(units(profiled(file, tmp_path / "out"))) == {1}
    assert "is kept apart: its anchors are not proven" in caplog.text


@pytest.mark.slow
def test_a_unit_with_another_build_is_kept_apart(stand, tmp_path, caplog):
    phones, file = stand({}, {})
    for number, phone in enumerate(phones):
        said = {**PROPERTIES, "ro.build.fingerprint": f"build/{number}"}
        phone.command("getprop", "".join(f"[ $1 != {k} ] || echo '{v}'\n" for k, v in said.items()))
    assert set(units(profiled(file, tmp_path / "out"))) == {1}
    assert "it runs the build build/1 instead of build/0" in caplog.text


@pytest.mark.slow
def test_a_unit_that_disappears_gives_its_rows_back(stand, tmp_path, caplog):
    phones, file = stand({"sleep_s": 0.01}, {"sleep_s": 0.01})
    seen = threading.Event()
    device = devices.load("played")
    target = device.target("litert", "int8")

    def watch(progress):
        if progress.stage == "measure" and progress.done > 8 and not seen.is_set():
            seen.set()
            phones[1].stop()

    space = spaces.load("macro", resolution=8)
    paths = measure.profile(device, space, [target], tmp_path, OPTIONS, watch, shelf=shelf.read(file))
    table = LatencyTable.load(paths[target])
    assert is_whole(table)
    assert set(units(table)) == {1, 2}
    assert "is left out from now on" in caplog.text
    ends = [note.facts for note in table.notes if note.moment == "end"]
    assert [end.get("gone") for end in ends] == [None, True]


@pytest.mark.slow
def test_where_the_last_unit_disappears_what_was_measured_is_kept(stand, tmp_path):
    phones, file = stand({"sleep_s": 0.01})
    device = devices.load("played")
    target = device.target("litert", "int8")

    def watch(progress):
        if progress.stage == "measure" and progress.done > 8:
            phones[0].stop()

    space = spaces.load("macro", resolution=8)
    with pytest.raises(DeviceError, match=r"the last one was lost: .* what was measured is kept"):
        measure.profile(device, space, [target], tmp_path, OPTIONS, watch, shelf=shelf.read(file))
    before = len(LatencyTable.load(tmp_path / "litert-int8.jsonl").rounds)
    assert before > 8
    phones[0].start()
    table = profiled(file, tmp_path)
    assert is_whole(table)
    assert len({item.session for item in table.rounds}) == 2


@pytest.mark.slow
def test_a_hot_unit_takes_nothing_until_it_has_cooled_down(stand, tmp_path, caplog):
    phones, file = stand({"sleep_s": 0.01}, {"sleep_s": 0.01})
    hot = THERMAL.replace("Thermal Status: 0", "Thermal Status: 3")
    device = devices.load("played")
    target = device.target("litert", "int8")
    cooled: list[int] = []

    def watch(progress):
        if progress.stage == "measure" and not cooled and progress.done > 8:
            cooled.append(progress.done)
            phones[1].says(thermalservice=THERMAL)

    alike = spread.proven_alike

    def then_hot(workers, anchor):
        found = alike(workers, anchor)
        phones[1].says(thermalservice=hot)
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spread, "proven_alike", then_hot)
        space = spaces.load("macro", resolution=8)
        measure.profile(device, space, [target], tmp_path, OPTIONS, watch, shelf=shelf.read(file))
    table = LatencyTable.load(tmp_path / "litert-int8.jsonl")
    assert is_whole(table)
    assert "waits: thermal status 3 > 0" in caplog.text
    second = next(n.session for n in table.notes if n.moment == "begin" and n.facts["unit"]["number"] == 2)
    order = [item.session == second for item in table.rounds]
    assert any(order), "it takes part once it has cooled down"
    assert not any(order[: cooled[0]]), "but not before"


@pytest.mark.slow
def test_a_lease_that_is_lost_ends_the_unit_and_no_row_of_it_is_taken(stand, tmp_path, caplog, monkeypatch):
    _, file = stand({"sleep_s": 0.01}, {"sleep_s": 0.01})
    lost = threading.Event()
    taken: list[locks.FileLease] = []
    take = locks.Locks.take

    def remembered(self, device):
        found = take(self, device)
        if found is not None:
            taken.append(found)
        return found

    monkeypatch.setattr(locks.Locks, "take", remembered)
    monkeypatch.setattr(
        locks.FileLease, "is_held", property(lambda self: not (lost.is_set() and self is taken[1]))
    )
    device = devices.load("played")
    target = device.target("litert", "int8")

    def watch(progress):
        if progress.stage == "measure" and progress.done > 8:
            lost.set()

    space = spaces.load("macro", resolution=8)
    measure.profile(device, space, [target], tmp_path, OPTIONS, watch, shelf=shelf.read(file))
    assert is_whole(LatencyTable.load(tmp_path / "litert-int8.jsonl"))
    assert "the lease of" in caplog.text


@pytest.mark.slow
def test_by_the_command_line(stand, tmp_path):
    phones, file = stand({}, {})
    runner = CliRunner()
    words = [
        "profile",
        "--device",
        "played",
        "--space",
        "macro-r8-c10",
        "--precision",
        "int8",
        "--rounds",
        "2",
    ]
    words += ["--max-rounds", "2", "--calibration-networks", "1", "--heldout-networks", "1"]
    done = runner.invoke(app, [*words, "--out", str(tmp_path / "out"), "--shelf", str(file)])
    assert done.exit_code == 0, done.output
    assert set(units(LatencyTable.load(tmp_path / "out" / "litert-int8.jsonl"))) == {1, 2}
    with shelf.leased(shelf.read(file), "played") as leases:
        assert len(leases) == 2
        listed = runner.invoke(app, ["devices", "shelf", str(file), "--json"])
        held = json.loads(listed.output)
        assert [item["serial"] for item in held] == [phone.serial for phone in phones]
        assert all(item["holder"] == leasing.own_name() for item in held)
        busy = runner.invoke(app, [*words, "--out", str(tmp_path / "more"), "--shelf", str(file)])
        assert busy.exit_code == 1
        assert "one played of the shelf must be free, but all are in use" in str(busy.exception)
        with pytest.raises(TransportError, match="all are in use"), shelf.leased(shelf.read(file), "played"):
            pass
    listed = runner.invoke(app, ["devices", "shelf", str(file)])
    assert leasing.own_name().split(",")[0] not in listed.output, listed.output
    other = r"must stand on the shelf .*, but it has .'played'. and no 'pixel'"
    with pytest.raises(DeviceError, match=other), shelf.leased(shelf.read(file), "pixel"):
        pass


@pytest.mark.slow
def test_any_command_has_a_unit_while_it_runs(stand, home, tmp_path):
    """The descriptor alone reaches none: hwnas finds the borrowed one in its environment."""
    phones, file = stand({}, {})
    program = "from hwnas import files; from pathlib import Path; import sys\n"
    program += f"files.user_config = lambda: Path({str(home / 'config')!r})\n"
    program += "from hwnas.cli import main; sys.argv[0] = 'hwnas'; main()"
    hwnas = [sys.executable, "-c", program]
    borrow = [*hwnas, "devices", "borrow", str(file), "--device", "played", "--"]

    def ran(*words):
        return subprocess.run([*borrow, *words], capture_output=True, text=True, timeout=60, check=False)

    locks_of = locks.Locks(shelf.read(file))
    first = locks_of.take("played")
    script = "import os, sys; print(os.environ['HWNAS_SERIALS'], os.environ['ANDROID_SERIAL']); sys.exit(7)"
    done = ran(sys.executable, "-c", script)
    assert (done.returncode, done.stdout) == (
        7,
        json.dumps({"played": phones[1].serial}) + f" {phones[1].serial}\n",
    )
    doctor = ran(*hwnas, "devices", "doctor", "played")
    assert "Test Phone" in doctor.stdout, doctor.stderr
    second = locks_of.take("played")
    busy = ran(sys.executable, "-c", "print('it ran')")
    assert (busy.returncode, busy.stdout) == (1, "")
    assert "all are in use" in busy.stderr
    for lease in (first, second):
        lease.give_back()
    nothing = ran("no-such-program")
    assert nothing.returncode == 1
    assert "a command must be a program, but no-such-program is none" in " ".join(nothing.stderr.split())
