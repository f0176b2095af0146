"""Which runtime a search is for, where it may choose: real agents, and decisions on given numbers."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from types import SimpleNamespace

import pytest
from quick_measuring import form

from hwnas import budget, device, measure, spaces
from hwnas.device import AutoTarget, Target
from hwnas.errors import DeviceError, HwnasError, SchemaMismatch, TableError
from hwnas.finalists import models, runtimes
from hwnas.pipeline import sizes
from hwnas.report import _runtimes
from hwnas.runs import runtimes as records
from hwnas.runs.runtimes import RuntimeReading

SPACE = spaces.load("macro-r8-c10")


def reading(runtime: str, *ms: float, has_table: bool = True, half: float = 0.05) -> RuntimeReading:
    intervals = tuple((value - half, value + half) for value in ms)
    return RuntimeReading(Target("host", runtime, "int8"), ms, intervals, has_table)


@pytest.mark.parametrize(
    ("texts", "asked", "limit"),
    [
        (["host/auto-int8=60%"], {}, "60%"),
        (["host=auto:60%"], {}, "60%"),
        (["host=auto : 8.5"], {}, "8.5"),
        (["host=auto"], {}, "100%"),
        (["host=60%"], {"runtimes": ["auto"]}, "60%"),
    ],
)
def test_every_spelling_leaves_the_runtime_open(texts, asked, limit):
    (found,) = budget.parse(texts, **asked)
    assert isinstance(found.target, AutoTarget)
    assert (found.name, found.text) == ("host/auto-int8", limit)
    assert [target.runtime for target in found.target.candidates][:2] == ["litert", "onnxruntime"]
    assert "torch_cuda" not in [target.runtime for target in found.target.candidates], "it has no int8"
    assert budget.parse([str(found)]) == (found,)


def test_threads_precision_and_what_there_is_to_choose_from_can_be_said():
    (found,) = budget.parse(["host/auto-fp32-t2=8"])
    assert str(found) == "host/auto-fp32-t2=8"
    assert "torch_cuda" in [target.runtime for target in found.target.candidates]
    assert {target.threads for target in found.target.candidates} == {2}
    (found,) = budget.parse(["host=auto:8"], ["openvino", "litert"], ["fp32"])
    assert [str(target) for target in found.target.candidates] == ["host/openvino-fp32", "host/litert-fp32"]
    with pytest.raises(DeviceError, match="must compute in bf16 on the cpu of pixel to be chosen, but none"):
        budget.parse(["pixel/auto-bf16=8"])
    with pytest.raises(HwnasError, match="must be milliseconds or a share"):
        budget.parse(["host/litert-int8=auto"])


def test_the_fastest_is_taken_where_both_sessions_show_it():
    choice = records.choose("n", [reading("litert", 2.0, 2.1), reading("openvino", 1.0, 1.1)], {"x": "gone"})
    assert choice.chosen.runtime == "openvino"
    assert choice.said == (
        "openvino is searched on: 1.05 ms (0.95 to 1.15); litert 2.05 ms (1.95 to 2.15); not usable: x"
    )


@pytest.mark.parametrize(
    "other",
    [reading("openvino", 1.99, 1.98), reading("openvino", 1.0, 2.1), reading("openvino", 1.0, 1.0, half=9)],
)
def test_where_two_cannot_be_told_apart_the_preferred_one_is_taken_and_it_is_said(other):
    """Also where one session alone shows it: the clock may have changed between."""
    choice = records.choose("n", [reading("litert", 2.0, 2.1), other], {})
    assert choice.chosen.runtime == "litert"
    assert re.search(r"; openvino [0-9.]+ ms .*, not told apart$", choice.said)


def test_of_those_that_cannot_be_told_apart_one_with_a_table_is_taken():
    alike = [reading("litert", 2.0, 2.0, has_table=False), reading("openvino", 2.0, 2.0)]
    assert records.choose("n", alike, {}).chosen.runtime == "openvino"
    without = replace(reading("litert", 2.0), intervals_ms=(None,))
    assert without.range_ms is None
    assert not without.is_slower(reading("openvino", 1.0))


def test_a_choice_is_kept_as_it_was(tmp_path):
    (tmp_path / "run").mkdir()
    slow = RuntimeReading(Target("host", "litert", "int8"), (2.0, 2.1), ((1.9, 2.1), None), False)
    choice = records.choose("net", [slow, reading("openvino", 1.0, 1.0)], {"onnxruntime": "gone"})
    records.write(tmp_path / "run", {"host/auto-int8": choice})
    assert records.read(tmp_path / "run") == {"host/auto-int8": choice}
    page = _runtimes.runtimes(SimpleNamespace(runtimes={"host/auto-int8": choice}))
    assert "searched on" in page
    assert "Not usable: onnxruntime." in page
    assert "gone" not in page, "reasons are of this machine, and the report ships"
    assert _runtimes.runtimes(SimpleNamespace(runtimes={})) == ""
    path = tmp_path / "run" / "runtimes.json"
    data = json.loads(path.read_text())
    data["choices"]["host/auto-int8"]["chosen"]["runtime"] = "onnxruntime"
    path.write_text(json.dumps(data))
    with pytest.raises(SchemaMismatch, match="must have been measured to be chosen"):
        records.read(tmp_path / "run")


def test_nothing_is_chosen_where_nothing_may_be_measured(tmp_path):
    asked = budget.parse(["host/auto-int8=60%"])
    with pytest.raises(DeviceError, match=r"must be measured to be chosen.*as host/litert-int8"):
        runtimes.resolve(asked, SPACE, tmp_path, tmp_path, None)
    with pytest.raises(DeviceError, match="a budget must be on a target"):
        models.sources(asked, SPACE, tmp_path)
    with pytest.raises(HwnasError, match=r"must be on one runtime, but got host/auto-int8=60%"):
        sizes.best_of([], asked, tmp_path / "new", None, None)


@pytest.fixture(scope="module")
def tables(tmp_path_factory, warm_processes):
    """A table of one runtime: few blocks, which is enough to be believed."""
    folder = tmp_path_factory.mktemp("tables")
    here = device.load("host")
    networks = [SPACE.architecture([n] * 8) for n in (0, 1, 2)]
    measure.profile(
        here, SPACE, [here.target("onnxruntime", "int8")], folder / "host", form(1), only=networks
    )
    return folder


@pytest.mark.usefixtures("warm_processes")
@pytest.mark.slow
def test_runtimes_are_measured_and_the_fastest_without_a_table_says_what_to_type(
    tmp_path, tables, monkeypatch
):
    """Which one is the fastest is the machine's to say: that is decided here, after real measuring."""
    run, said = tmp_path / "run", []
    run.mkdir()
    asked = budget.parse(["host=auto:60%"], ["onnxruntime", "litert"])

    def slowest(network, readings, left_out):
        assert [item.target.runtime for item in readings] == ["onnxruntime", "litert"]
        assert [item.has_table for item in readings] == [True, False]
        assert all(len(item.ms) == 2 and min(item.ms) > 0 for item in readings)
        return records.RuntimeChoice(network, tuple(readings), left_out, readings[-1].target)

    monkeypatch.setattr(records, "choose", slowest)
    with pytest.raises(TableError) as refused:
        runtimes.resolve(asked, SPACE, run, tables, form(2), warn=said.append)
    assert re.search(
        r"litert is the fastest for host/auto-int8, but .*hwnas profile --device host .*--runtime litert "
        r".*or name one that takes [0-9.]+ times as long: host/onnxruntime-int8=60%",
        str(refused.value),
    )
    assert said[0].startswith("host/auto-int8: litert is searched on: ")
    (run / "runtimes.json").unlink()
    monkeypatch.undo()
    monkeypatch.setattr(records, "choose", lambda *given: replace(slowest(*given), chosen=given[1][0].target))
    (found,) = runtimes.resolve(asked, SPACE, run, tables, form(2), warn=said.append)
    assert str(found) == "host/onnxruntime-int8=60%"
    again = runtimes.resolve(asked, SPACE, run, tables, None)
    assert again == (found,), "it was measured, and is not again"
    both = (*asked, *budget.parse(["host/onnxruntime-int8=8"]))
    with pytest.raises(
        DeviceError, match="must have one budget, but they are of host/onnxruntime-int8, host"
    ):
        runtimes.resolve(both, SPACE, run, tables, None)


@pytest.mark.usefixtures("warm_processes")
def test_a_descriptor_that_is_given_is_measured_with(tmp_path):
    """Not the one of that name that is installed: its agents may be elsewhere."""
    here, (asked,) = device.load("host"), budget.parse(["host=auto:60%"], ["litert"])
    elsewhere = {"host": replace(here, transport="ssh", options={"serial": "nobody@host.invalid"})}
    with pytest.raises(DeviceError, match=r"host\.invalid"):
        runtimes.choices([asked.target], SPACE, tmp_path, lambda _: True, form(1), devices=elsewhere)


@pytest.mark.usefixtures("warm_processes")
def test_a_runtime_that_is_not_there_is_left_out_and_where_all_are_it_is_said(tmp_path, tables):
    asked = budget.parse(["host=auto:60%"], ["onnxruntime_openvino", "onnxruntime"])
    gone = Target("host", "tflite_runtime", "int8")
    asked = [replace(asked[0], target=AutoTarget((gone, asked[0].target.candidates[-1])))]
    (tmp_path / "run").mkdir()
    (found,) = runtimes.resolve(asked, SPACE, tmp_path / "run", tables, form(1))
    assert found.target.runtime == "onnxruntime"
    (choice,) = records.read(tmp_path / "run").values()
    assert "must run tflite_runtime" in choice.left_out["tflite_runtime"]
    with pytest.raises(
        DeviceError, match="must be there for host/auto-int8, but none can be used: tflite_runtime:"
    ):
        runtimes.resolve([replace(asked[0], target=AutoTarget((gone,)))], SPACE, tmp_path, tables, form(1))


def test_before_a_network_is_adapted_one_runtime_must_have_a_table(tmp_path, tables):
    asked = budget.parse(["host=auto:60%"], ["litert", "onnxruntime"])
    models.require_tables(asked, SPACE, tables)
    with pytest.raises(TableError, match="must have a latency table of host/litert-int8"):
        models.require_tables(budget.parse(["host=auto:60%"], ["litert"]), SPACE, tmp_path)
