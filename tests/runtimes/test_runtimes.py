"""The table of runtimes: each is whole, and nobody else knows one from another."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from installed import each_runtime
from lint import questions
from quick_measuring import form

import hwnas
from hwnas import device, export, measure, release, runtimes, spaces, testing
from hwnas.blocks import Conv
from hwnas.device import Device, Target
from hwnas.errors import AgentError, DeviceError, ExportError
from hwnas.export import metadata, random_calibration, random_module
from hwnas.measure import ProfileOptions
from hwnas.measure.engine import greet
from hwnas.runtimes import RUNTIMES, litert
from hwnas.tables.table import LatencyTable
from hwnas.transport import doctor
from hwnas.transport.local import LocalTransport

ROOT = Path(hwnas.__file__).parent
PLUGIN = Path(__file__).parent / "byte_counter" / "agent.py"
NAMES = {*RUNTIMES, *runtimes.IMPORTED}
FORMATS = {word for r in RUNTIMES.values() for word in (r.format.name, r.format.suffix, r.format.layout)}


@pytest.fixture
def byte_counter(monkeypatch: pytest.MonkeyPatch) -> runtimes.Runtime:
    """The plug-in, in the table for as long as the test lasts."""
    spec = importlib.util.spec_from_file_location("byte_counter", PLUGIN)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setitem(RUNTIMES, "byte_counter", module.runtime())
    return RUNTIMES["byte_counter"]


@pytest.mark.parametrize("name", each_runtime())
def test_contract(name):
    testing.check_runtime(name)


@pytest.mark.parametrize("name", each_runtime())
def test_every_runtime_is_labelled_and_proven_by_itself(name):
    runtime, shape = runtimes.get(name), (3, 8, 6)
    module, images = random_module([Conv(3, 4)], 0), random_calibration(shape, 4, 1)
    for precision in runtime.files:
        lowered = export.lower(module, shape, name, precision, calibration=images)
        assert lowered.suffix == runtime.format.suffix
        assert lowered.parity.runtime == name
        assert metadata.embedded(metadata.embed(lowered.model, name, "é"), name) == "é"


def test_what_ships_is_named_as_it_always_was():
    assert release.VARIANTS == {
        ("litert", "fp32"): "model.tflite",
        ("litert", "int8"): "model.int8.tflite",
        ("onnxruntime", "fp32"): "model.onnx",
        ("onnxruntime", "int8"): "model.int8.onnx",
    }
    assert release.EXAMPLES == ("example_litert.py", "example_onnxruntime.py")


def test_nothing_heavy_is_imported_with_the_table():
    heavy = "{'numpy', 'torch', 'onnx', 'onnxruntime', 'ai_edge_litert', 'flatbuffers'}"
    code = f"import sys, hwnas.runtimes; sys.exit(str({heavy} & set(sys.modules) or ''))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stderr == "\n"


@pytest.mark.parametrize(("call", "greets"), [("_interpreter", True), ("interpreter", False)])
def test_the_greeting_of_litert_is_not_seen(call, greets):
    """The tiny model makes LiteRT greet, or nothing would be kept quiet by opening it first."""
    code = f"from hwnas.runtimes import litert; litert.{call}(litert._tiny(), **{{'threads': 1}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ("XNNPACK" in done.stderr) == greets, done.stderr
    assert (done.stderr == "") != greets


def test_the_tiny_model_computes():
    runner = litert.interpreter(litert._tiny())
    runner.set_tensor(0, np.full(1, 1.5, np.float32))
    runner.invoke()
    assert runner.get_tensor(1).tolist() == [3.0]


def test_models_in_folders_whose_names_are_no_text_can_be_loaded(tmp_path):
    import onnx

    from hwnas.runtimes import onnxruntime

    folder = tmp_path / os.fsdecode(b"caf\xe9")
    folder.mkdir()
    (folder / "model.tflite").write_bytes(litert._tiny())
    runner = litert.interpreter(folder / "model.tflite")
    runner.set_tensor(0, np.full(1, 1.5, np.float32))
    runner.invoke()
    assert runner.get_tensor(1).tolist() == [3.0]
    ends = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1]) for name in "xy"]
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Add", ["x", "x"], ["y"])], "twice", ends[:1], ends[1:]
    )
    versions = [onnx.helper.make_opsetid("", 17)]
    model = onnx.helper.make_model(graph, opset_imports=versions, ir_version=8)
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    found = onnxruntime.session(folder / "model.onnx").run(None, {"x": np.full(1, 1.5, np.float32)})
    assert found[0].tolist() == [3.0]


@pytest.mark.usefixtures("warm_processes")
class TestOfOnesOwn:
    """A runtime that is one file: measured through the real exporter, engine and transport."""

    QUICK = form(2, calibration_networks=1, heldout_networks=1)

    def test_contract(self, byte_counter):
        here = Device("mine", "This machine", "local", "npu", ("byte_counter",))
        testing.check_runtime("byte_counter", here)

    @pytest.mark.parametrize("processor", ["cpu", "npu"])
    def test_it_is_profiled(self, byte_counter, tmp_path, processor):
        space = spaces.load("macro", resolution=8)
        here = Device("mine", "This machine", "local", processor, ("byte_counter",))
        target = here.target("byte_counter", "int8")
        networks = [space.architecture([n] * 8) for n in (0, 2)]
        path = measure.profile(here, space, [target], tmp_path, self.QUICK, only=networks)[target]
        assert path.name == f"byte_counter-int8{'' if processor == 'cpu' else '-npu'}.jsonl"
        table = LatencyTable.load(path)
        assert table.target == target
        assert table.environment["agent"] == "byte_counter"
        assert "processors" not in table.environment
        assert {a.key() for a in networks} == set(table.measurements)
        small, large = (round_of(table, a.key()).samples_ms for a in networks)
        assert len(small) == 2
        assert small[0] < large[0], "larger files take longer"

    def test_another_processor_is_not_believed_without_proof(self, byte_counter, tmp_path, monkeypatch):
        monkeypatch.setenv("BYTE_COUNTER", "unproven")
        here = Device("mine", "This machine", "local", "npu", ("byte_counter",))
        target = here.target("byte_counter", "int8")
        space = spaces.load("macro", resolution=8)
        networks = [space.architecture([0] * 8)]
        with pytest.raises(AgentError, match="must prove that the npu took the model, but says None"):
            measure.profile(here, space, [target], tmp_path, self.QUICK, only=networks)

    @pytest.mark.parametrize(
        ("processor", "precision", "said", "message"),
        [
            ("npu", "int8", "silent", "must run on the npu of mine, but it runs on cpu only"),
            ("cpu", "fp32", "", "precision must be one of .'int8',. with byte_counter, but got 'fp32'"),
            ("gpu", "int8", "", "processor must be one of .'cpu', 'npu'. with byte_counter, but got 'gpu'"),
        ],
    )
    def test_what_it_cannot_do_is_refused(
        self, byte_counter, monkeypatch, processor, precision, said, message
    ):
        monkeypatch.setenv("BYTE_COUNTER", said)
        target = Target("mine", "byte_counter", precision, processor)
        with LocalTransport() as transport, pytest.raises(DeviceError, match=message):
            greet(transport, target, self.QUICK)

    def test_it_must_prove_delegation_to_have_another_processor(self, byte_counter):
        with pytest.raises(DeviceError, match="must prove delegation"):
            replace(byte_counter, proves_delegation=False)

    def test_a_format_without_a_writer_is_a_sentence(self, byte_counter, monkeypatch):
        odd = replace(byte_counter, format=replace(byte_counter.format, name="odd"))
        monkeypatch.setitem(RUNTIMES, "byte_counter", odd)
        with pytest.raises(
            ExportError, match=r"a format must be one of .'tflite', 'onnx', 'pte'., but got 'odd'"
        ):
            export.lower(
                random_module([Conv(3, 4)], 0),
                (3, 8, 8),
                "byte_counter",
                "int8",
                calibration=random_calibration((3, 8, 8), 1, 0),
            )


def round_of(table: LatencyTable, key: str):
    return next(item for item in table.rounds if item.key == key)


@pytest.mark.parametrize("runtime", ["litert", "onnxruntime"])
def test_this_machines_gpu_is_never_measured_by_the_agent_of_the_cpu(runtime):
    with LocalTransport() as transport, pytest.raises(DeviceError, match="gpu"):
        greet(transport, Target("host", runtime, "fp32", "gpu"), ProfileOptions())


class TestImported:
    """A name that other people's latencies are of: read, and not offered."""

    @pytest.mark.parametrize("name", [*runtimes.IMPORTED, "torch_cuda"])
    def test_it_is_read(self, tmp_path, name):
        assert Target("lab", name, "fp32", "gpu").slug == f"{name}-fp32-gpu"
        (tmp_path / "lab.toml").write_text(
            f'name = "lab"\ntitle = "x"\ntransport = "local"\nprocessor = "gpu"\nruntimes = ["{name}"]\n'
        )
        assert device.read(tmp_path / "lab.toml").target(name, "fp32").processor == "gpu"

    def test_measuring_and_exporting_say_so_in_one_sentence(self):
        sentence = "hwnas has neither for tensorrt: its latencies can be imported, and nothing more"
        lab = Device("lab", "x", "local", "gpu", ("tensorrt",))
        target = lab.target("tensorrt", "fp32")
        with LocalTransport() as transport, pytest.raises(DeviceError, match=sentence):
            greet(transport, target, ProfileOptions())
        with pytest.raises(ExportError, match=sentence):
            export.lower(random_module([Conv(3, 4)], 0), (3, 8, 8), "tensorrt", "fp32")
        [check] = doctor.examine(lab)
        assert check.state == doctor.FAILED
        assert "hwnas has neither for tensorrt" in check.found + check.remedy
        assert "install" not in check.remedy


@pytest.mark.slow
def test_nobody_asks_which_runtime_it_is():
    """What writes and reads files may ask for a format, but not for whom it is."""
    found, looked_at = [], 0
    for path in sorted(ROOT.rglob("*.py")):
        inside = path.relative_to(ROOT)
        if inside.parts[0] in ("runtimes", "_shipped") or "examples" in inside.parts:
            continue
        looked_at += 1
        words = NAMES if inside.parts[0] in ("export", "importing") else NAMES | FORMATS
        found += [f"{inside}:{line}" for line in questions(path.read_text("utf-8"), words)]
    assert looked_at > 200
    assert not found, f"what differs between runtimes is a field of hwnas.runtimes.Runtime: {found}"


@pytest.mark.parametrize(
    "source",
    [
        'runtime == "litert"',
        '"litert" != runtime',
        'runtime in ("fp32", "litert")',
        'names[:1] == ["litert"]',
        '{"litert": "NHWC"}[runtime]',
        '{("litert", "fp32"): 1}',
        'table["litert"]',
        'table["litert", "fp32"]',
        'table.get("litert")',
        'name.startswith("litert")',
        'match name:\n    case "litert":\n        pass',
        'match name:\n    case "x" | "litert":\n        pass',
        'x = 1 if runtime is not "litert" else 2',
    ],
)
def test_the_lint_finds_every_way_to_ask(source):
    assert questions(source, {"litert"})


@pytest.mark.parametrize(
    "source", ['x = "litert"', 'run("litert")', '{"runtime": "litert"}', 'a == "litert2"']
)
def test_the_lint_leaves_data_alone(source):
    assert not questions(source, {"litert"})
