"""What files say of themselves, and what is said of those that cannot be measured."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import strangers
from ai_edge_litert import schema_py_generated as schema

from hwnas import device, runtimes
from hwnas.benchmark import Asked, files, shape_of
from hwnas.benchmark.files import read
from hwnas.errors import HwnasError
from hwnas.runtimes.base import Tensor, precision_of

HOST = device.load("host")


def said_of(*paths: Path, **given) -> list[str]:
    """Why files cannot be measured."""
    return [item.reason for item in read(Asked(paths, [HOST], **given))[1]]


def describe(path: Path):
    """By the runtime that reads such files."""
    runtime = next(item for item in runtimes.RUNTIMES.values() if item.format.suffix == path.suffix)
    return runtime.host.describe(path)


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_an_exported_network_is_described_alike_in_both_formats(networks, precision):
    lite, onnx = (describe(networks[f"net-{precision}.{suffix}"]) for suffix in ("tflite", "onnx"))
    assert lite.precision == onnx.precision == precision
    assert lite.inputs == (Tensor("x", (1, 96, 96, 3), "int8" if precision == "int8" else "float32"),)
    assert onnx.inputs == (Tensor("x", (1, 3, 96, 96), "float32"),)
    convolutions = lite.operators["CONV_2D"] + lite.operators["DEPTHWISE_CONV_2D"]
    assert convolutions == onnx.operators["Conv"] == 17
    assert lite.custom == onnx.custom == ()


def test_precision_is_what_the_operators_with_weights_compute_in(tmp_path, networks):
    half = strangers.convolution(tmp_path / "half.onnx", [1, 3, 8, 8], "float16")
    assert describe(half).precision == "fp16"
    assert describe(strangers.weights_alone(tmp_path / "alone.onnx")).precision == "mixed"
    assert describe(strangers.tokens(tmp_path / "tokens.onnx")).precision == "fp32"
    assert describe(strangers.relu(tmp_path / "relu.onnx")).precision == "fp32"
    odd = strangers.changed(networks["net-fp32.tflite"], tmp_path / "odd.tflite", strangers.half_weights)
    assert describe(odd).precision == "mixed"
    assert precision_of([{"float32"}, {"uint8"}]) == "mixed"
    assert precision_of([set()]) == "other"


def test_inputs_have_names_shapes_and_types(tmp_path, networks):
    found = describe(strangers.tokens(tmp_path / "tokens.onnx"))
    assert found.inputs == (Tensor("tokens", (1, None), "int64"), Tensor("factor", (1,), "float32"))
    assert [tensor.text for tensor in found.inputs] == ["1x?", "1"]
    anything = describe(strangers.convolution(tmp_path / "any.onnx", None))
    assert (anything.inputs[0].shape, anything.inputs[0].is_open) == (None, True)
    source = networks["net-fp32.tflite"]
    opened = describe(strangers.changed(source, tmp_path / "open.tflite", strangers.open_sides))
    assert opened.inputs[0].shape == (None, None, None, 3)
    custom = describe(strangers.changed(source, tmp_path / "flex.tflite", strangers.flex))
    assert custom.custom == ("FlexErf",)
    assert describe(strangers.stranger(tmp_path / "stranger.onnx")).custom == ("Mystery",)


def damaged(folder: Path, networks: dict[str, Path], kind: str) -> Path:
    """A file that is no model, by what is wrong with it."""
    lite, onnx = networks["net-fp32.tflite"].read_bytes(), networks["net-fp32.onnx"].read_bytes()
    contents = {
        "cut.tflite": lite[: len(lite) // 2],
        "head.tflite": lite[:16],
        "changed.tflite": lite[:8] + bytes(255 for _ in range(400)) + lite[408:],
        "cut.onnx": onnx[: len(onnx) // 2],
        "other.onnx": lite,
        "other.tflite": onnx,
        "text.onnx": b"no model at all" * 9,
        "empty.tflite": b"",
        "empty.onnx": b"",
        "weights.pt": b"x",
        "bare": b"x",
    }
    path = folder / kind
    if kind == "folder.onnx":
        path.mkdir()
    elif kind in contents:
        path.write_bytes(contents[kind])
    return path


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("cut.tflite", "must be whole"),
        ("head.tflite", "must be whole"),
        ("changed.tflite", "must be whole"),
        ("other.tflite", "damaged, or of another format"),
        ("cut.onnx", "damaged, or of another format"),
        ("other.onnx", "damaged, or of another format"),
        ("text.onnx", "damaged, or of another format"),
        ("empty.tflite", "must not be empty"),
        ("empty.onnx", "must not be empty"),
        ("weights.pt", "*.onnx or *.pte or *.tflite"),
        ("bare", "*.onnx or *.pte or *.tflite"),
        ("folder.onnx", "this is a folder"),
        ("missing.onnx", "a file that is there"),
    ],
)
def test_what_is_no_model_gets_a_sentence(tmp_path, networks, kind, words):
    path = damaged(tmp_path, networks, kind)
    [reason] = said_of(path)
    assert reason.startswith(str(path))
    assert words in reason
    assert "\n" not in reason


def test_an_address_is_to_be_fetched():
    [reason] = said_of(Path("https://example.org/model.tflite"))
    assert reason.endswith("this one is not: fetch it, and give the file")
    assert said_of(Path("no/model.tflite"))[0].endswith("this one is not")


def test_an_intact_file_is_not_called_damaged(tmp_path, networks):
    """It is newer than what reads it, or computes nothing."""

    def lite(name: str, change) -> Path:
        return strangers.changed(networks["net-fp32.tflite"], tmp_path / f"{name}.tflite", change)

    def onnx_file(name: str, change) -> Path:
        path = strangers.relu(tmp_path / f"{name}.onnx")
        model = onnx.load(path)
        change(model.graph)
        path.write_bytes(model.SerializeToString())
        return path

    def newer(graph) -> None:
        graph.input[0].type.tensor_type.elem_type = 99

    said = {
        lite("newer", strangers.newer): "this one has BuiltinOperator 900: the file is newer, or damaged",
        lite("bare", lambda model: setattr(model.subgraphs[0], "operators", [])): "this one has no operators",
        lite("mute", lambda model: setattr(model.subgraphs[0], "outputs", [])): "this one has no outputs",
        onnx_file("newer", newer): "this one has type 99: the file is newer, or damaged",
        onnx_file("bare", lambda graph: graph.ClearField("node")): "this one has no operators",
        onnx_file("mute", lambda graph: graph.ClearField("output")): "this one has no outputs",
    }
    for path, words in said.items():
        [reason] = said_of(path)
        assert words in reason
        assert "another format" not in reason
        assert "must be whole" not in reason


def test_graphs_that_can_be_run_from_outside_are_counted(tmp_path, networks):
    source = networks["net-fp32.tflite"]
    assert describe(source).graphs == 1
    assert describe(strangers.changed(source, tmp_path / "two.tflite", strangers.two_graphs)).graphs == 2

    def body(model) -> None:
        strangers.two_graphs(model)
        model.operatorCodes[0].builtinCode = model.operatorCodes[0].deprecatedBuiltinCode = (
            schema.BuiltinOperator.WHILE
        )

    called = describe(strangers.changed(source, tmp_path / "body.tflite", body))
    assert called.graphs == 1, "the second is the body of a loop"


def test_any_byte_may_be_damaged(tmp_path, networks):
    """Whatever stands in a file, reading it ends, with a description or with a sentence."""
    rng = np.random.default_rng(0)
    for name in ("net-int8.tflite", "net-int8.onnx"):
        content = networks[name].read_bytes()
        for number in range(30):
            wrong = bytearray(content)
            for place in rng.integers(8, len(wrong) if number % 2 else 2000, 40):
                wrong[place] = rng.integers(256)
            path = tmp_path / f"{number}-{name}"
            path.write_bytes(wrong)
            found, failures = read(Asked([path], [HOST]))
            assert len(found) + len(failures) == 1


def test_the_other_files_are_read_all_the_same(tmp_path, networks):
    good = networks["net-fp32.onnx"]
    for shapes in ({}, {"of the other": (1, 2)}):
        found, failures = read(Asked([tmp_path / "gone.onnx", good], [HOST], shapes=shapes))
        assert [item.name for item in found] == ["net-fp32.onnx"]
        assert [item.file for item in failures] == ["gone.onnx"]


def test_a_reader_that_is_not_installed_is_named(monkeypatch, networks):
    monkeypatch.setitem(sys.modules, "ai_edge_litert", None)
    found, failures = read(Asked([networks["net-fp32.tflite"], networks["net-fp32.onnx"]], [HOST]))
    assert [item.name for item in found] == ["net-fp32.onnx"]
    assert "the package ai_edge_litert must be installed" in failures[0].reason


def test_open_dimensions_are_named_with_what_to_type(tmp_path):
    path = strangers.convolution(tmp_path / "m.onnx", ["n", 3, "h", "w"])
    [reason] = said_of(path)
    assert "image (?x3x?x?)" in reason
    assert "--shape 'image=1x3x1x1'" in reason
    [found] = read(Asked([path], [HOST], shapes={"image": (2, 3, 16, 8)}))[0]
    assert found.given.shapes == {"image": (2, 3, 16, 8)}
    [reason] = said_of(path, shapes={"image": (2, 4, 16, 8)})
    assert "'image' must agree with ?x3x?x?, but is 2x4x16x8" in reason
    [reason] = said_of(path, shapes={"image": (3, 16, 8)})
    assert "must agree with" in reason
    fixed = strangers.relu(tmp_path / "relu.onnx")
    assert "must agree with 1x4" in said_of(fixed, shapes={"x": (2, 4)})[0]
    assert read(Asked([fixed], [HOST], shapes={"x": (1, 4)}))[0][0].given.shapes == {}
    with pytest.raises(HwnasError, match="--shape must name inputs of the files, but none is called z"):
        read(Asked([fixed], [HOST], shapes={"z": (1,)}))
    assert "of the type string" in said_of(strangers.text(tmp_path / "text.onnx"))[0]


def test_given_arrays_must_fit(tmp_path):
    path, file = strangers.tokens(tmp_path / "tokens.onnx"), tmp_path / "given.npz"
    good = {"tokens": np.zeros((1, 9), np.int64), "factor": np.ones(1, np.float32)}

    def reason(**arrays: np.ndarray) -> str:
        np.savez(file, **arrays)
        return said_of(path, inputs=file)[0]

    np.savez(file, **good)
    [found] = read(Asked([path], [HOST], inputs=file))[0]
    assert found.given.shapes == {"tokens": (1, 9)}
    assert found.given.inputs == str(file)
    assert "an array for 'factor', but hold tokens" in reason(tokens=good["tokens"])
    wrong = good["tokens"].astype(np.int32)
    assert "'tokens' must be of the type int64, but is int32" in reason(**good | {"tokens": wrong})
    assert "must agree with 1x?, but is 2x9" in reason(**good | {"tokens": np.zeros((2, 9), np.int64)})
    np.savez(file, **good)
    assert "of its --shape" in said_of(path, inputs=file, shapes={"tokens": (1, 8)})[0]
    np.savez(file, more=np.zeros(1), **good)
    with pytest.raises(HwnasError, match="none is called more"):
        read(Asked([path], [HOST], inputs=file))


def test_a_file_of_arrays_must_be_one(tmp_path):
    path, file = strangers.relu(tmp_path / "relu.onnx"), tmp_path / "given.npz"
    np.savez(file, x=np.array([object()]))
    for content in (file.read_bytes(), b"", b"no archive", b"PK\x03\x04 cut"):
        file.write_bytes(content)
        with pytest.raises(HwnasError, match=r"inputs must be an \.npz file"):
            read(Asked([path], [HOST], inputs=file))
    np.savez_compressed(file, x=np.zeros((1, 4), np.float32))
    whole = bytearray(file.read_bytes())
    whole[45:60] = bytes(15)
    file.write_bytes(whole)
    with pytest.raises(HwnasError, match=r"inputs must be an \.npz file"):
        read(Asked([path], [HOST], inputs=file))
    np.save(tmp_path / "one.npy", np.zeros(4))
    for other in (tmp_path / "one.npy", tmp_path, tmp_path / "gone.npz"):
        with pytest.raises(HwnasError, match=r"inputs must be an \.npz file"):
            read(Asked([path], [HOST], inputs=other))


def test_an_archive_is_not_unpacked_without_an_end(tmp_path, monkeypatch):
    path, file = strangers.relu(tmp_path / "relu.onnx"), tmp_path / "given.npz"
    np.savez_compressed(file, x=np.zeros((1, 4), np.float32), y=np.zeros(1 << 16))
    monkeypatch.setattr(files, "_MOST_BYTES", 1 << 16)
    with pytest.raises(HwnasError, match=r"it unpacks to .* GiB, more than"):
        read(Asked([path], [HOST], inputs=file))


def test_weights_beside_a_file_are_a_part_of_it(tmp_path):
    path = strangers.weights_beside(tmp_path / "conv.onnx")
    weights = tmp_path / "weights.bin"
    assert describe(path).beside == ("weights.bin",)
    (found,), _ = read(Asked([path], [HOST]))
    assert weights.stat().st_size == 8 * 3 * 3 * 3 * 4
    assert found.bytes == path.stat().st_size + weights.stat().st_size
    weights.unlink()
    (said,) = said_of(path)
    assert "must have the files with its weights beside it, but this one lacks weights.bin: put" in said


def test_weights_in_the_branch_of_a_graph_are_found(tmp_path):
    """And in a constant of it."""
    path = strangers.weights_beside(tmp_path / "conv.onnx")
    model = onnx.load(str(path), load_external_data=False)
    branch, condition = onnx.GraphProto(), onnx.helper.make_tensor_value_info("c", onnx.TensorProto.BOOL, [])
    branch.CopyFrom(model.graph)
    del branch.input[:]
    value = onnx.TensorProto()
    value.CopyFrom(branch.initializer[0])
    value.external_data[0].value = "constant.bin"
    branch.node.append(onnx.helper.make_node("Constant", [], ["k"], value=value))
    del model.graph.node[:], model.graph.initializer[:]
    model.graph.node.append(onnx.helper.make_node("If", ["c"], ["y"], then_branch=branch, else_branch=branch))
    model.graph.input.append(condition)
    path.write_bytes(model.SerializeToString())
    (tmp_path / "constant.bin").write_bytes(b"")
    assert describe(path).beside == ("constant.bin", "weights.bin")


def test_files_of_one_name_are_told_apart_by_their_folders():
    asked = Asked([Path(p) for p in ("a/x/m.onnx", "b/x/m.onnx", "c/m.onnx", "c/other.onnx")], [HOST])
    assert asked.names == ("a/x/m.onnx", "b/x/m.onnx", "c/m.onnx", "other.onnx")
    nested = Asked([Path("/m.onnx"), Path("/c/m.onnx"), Path("/c/c/m.onnx")], [HOST])
    assert len(set(nested.names)) == 3


def test_shapes_are_typed():
    assert shape_of("image=1x3x224x224") == ("image", (1, 3, 224, 224))
    assert shape_of("a:0=b=7") == ("a:0=b", (7,))
    for text in ("image", "image=", "=3", "image=1x", "image=1x-1", "image=axb"):
        with pytest.raises(HwnasError, match="NAME=1x3x224x224"):
            shape_of(text)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"files": [Path("a/m.onnx"), Path("b/../a/m.onnx")]}, "a/m.onnx is there twice"),
        ({"files": []}, "must have files"),
        ({"runtimes": ["litert", "litert"]}, "litert is there twice"),
        ({"runtimes": ["nope"]}, "must be one of"),
        ({"runtimes": ["litert", "onnxruntime_cuda"]}, "onnxruntime_cuda is not: host has litert"),
        ({"threads": [0]}, "at least 1"),
        ({"shapes": {"x": [0, 3]}}, "at least 1"),
        ({"budget_ms": float("nan")}, "finite"),
        ({"budget_ms": -1.0}, "over 0 ms"),
        ({"compare": "yes"}, "compare must be True or False"),
    ],
)
def test_what_makes_no_sense_is_refused(given, words):
    with pytest.raises(HwnasError, match=words):
        Asked(**{"files": [Path("m.onnx")], "devices": [HOST]} | given)
