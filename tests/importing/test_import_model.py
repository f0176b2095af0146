"""Networks of others come in: their blocks, their weights, their answers."""

from __future__ import annotations

import json
import re
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import Result
from networks_of_others import networks, settled, tiny
from safetensors.torch import save_file
from torch import nn
from typer.testing import CliRunner

from hwnas import blocks, known, spaces
from hwnas.benchmark import Asked, is_name
from hwnas.benchmark.networks import made
from hwnas.cli import app
from hwnas.device import load as device
from hwnas.errors import DataError, ExportError, HwnasError, ParityError, SpaceError
from hwnas.export import lower, random_calibration, random_module
from hwnas.importing import import_model
from hwnas.importing._layout import Recorder
from hwnas.importing.proof import prove
from hwnas.importing.scaling import InputScale
from hwnas.importing.sources import opened
from hwnas.runs import records
from hwnas.runs.folder import RunFolder
from hwnas.spaces import own
from hwnas.train import load_weights
from hwnas.train.qat import Rounded

SHAPE = (3, 32, 32)
AS_IS = InputScale((0.0,) * 3, (1.0,) * 3, "nobody")
KINDS = {
    "mobilenet": {"conv": 1, "mbconv": 3, "head": 1},
    "hard swish and squeeze": {"conv": 1, "mbconv": 3, "head": 1},
    "written out": {"conv": 1, "mbconv": 3, "head": 1},
    "resnet": {"convpool": 1, "residual": 4, "pooledhead": 1},
    "shuffled": {"conv": 1, "shuffleunit": 1, "pooledhead": 1},
    "segmenter": {
        **{"conv": 2, "globalpool": 1, "plainconv": 2},
        **{"product": 1, "finer": 1, "sum": 1},
    },
}
NETWORKS = {name: settled(module) for name, module in networks().items()}


def network_of(run: Path) -> nn.Module:
    """The network of a run folder, from its files alone."""
    network = blocks.network(spaces.architecture_from_json(records.arch(run)))
    load_weights(network, RunFolder(run).weights)
    return network


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_a_module_answers_the_same_when_it_is_made_of_blocks(name: str, tmp_path: Path, monkeypatch) -> None:
    module, images = NETWORKS[name], torch.randn(4, *SHAPE, generator=torch.Generator().manual_seed(1))
    found = import_model(module, tmp_path / "run", input_shape=SHAPE)
    assert found.proof.max_error < 1e-6
    assert Counter(b.kind for b in found.architecture.blocks) == KINDS.get(
        name, Counter(b.kind for b in found.architecture.blocks)
    )
    monkeypatch.setattr(own, "_KNOWN", {})  # as in another process
    network = network_of(tmp_path / "run").eval()
    with torch.no_grad():
        torch.testing.assert_close(network(images), module(images), rtol=1e-4, atol=1e-5)
    assert spaces.load(found.architecture.space.name).fingerprint == found.architecture.space.fingerprint


@pytest.mark.slow
def test_batch_norms_stay_what_they_were_so_that_training_goes_on(tmp_path: Path) -> None:
    module = settled(networks()["hard swish and squeeze"])
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.eps = 1e-5  # as ours: another one goes into the variance
    import_model(module, tmp_path / "run", input_shape=SHAPE)
    network, images = network_of(tmp_path / "run").train(), torch.randn(8, *SHAPE)
    module.train()
    next(each for each in module.modules() if isinstance(each, nn.Dropout)).eval()
    with torch.no_grad():
        torch.testing.assert_close(network(images), module(images), rtol=1e-3, atol=1e-4)


def test_a_network_without_batch_norms_gets_none() -> None:
    from hwnas.importing import from_torch
    from hwnas.importing.canonical import canonical
    from hwnas.importing.cutting import cut

    found = cut(canonical(from_torch.read(NETWORKS["squeezenet"], SHAPE)))
    network = blocks.network(found.architecture)
    assert not any(isinstance(each, nn.BatchNorm2d) for each in network.modules())
    assert found.architecture.params == sum(p.numel() for p in NETWORKS["squeezenet"].parameters())


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[tuple[str, ...], Path]]:
    """Known networks as files of all kinds, with the keys of their blocks."""
    folder, found = tmp_path_factory.mktemp("files"), {}
    for name in ("mobilenetv3-small", "shufflenetv2-0.5", "efficientnet-lite0"):
        arch = known.load(name, resolution=32, num_classes=5, strides="imagenet")
        module, shape = random_module(arch.blocks, 0), arch.space.input_shape
        images = random_calibration(shape, 8, 1)
        for runtime, precision, hswish in (
            ("litert", "fp32", "native"),
            ("litert", "int8", "decomposed"),
            ("onnxruntime", "fp32", "decomposed"),
            ("onnxruntime", "int8", "decomposed"),
        ):
            lowered = lower(module, shape, runtime, precision, calibration=images, hswish=hswish, check=False)
            path = folder / f"{name}.{precision}{lowered.suffix}"
            path.write_bytes(lowered.model)
            found[path.name] = tuple(block.key() for block in arch.blocks), path
    return found


def test_files_are_cut_into_the_blocks_that_they_were_made_of(files, tmp_path: Path) -> None:
    for name, (keys, path) in files.items():
        found = import_model(path, tmp_path / name)
        assert tuple(block.key() for block in found.architecture.blocks) == keys, name
        is_whole = ".int8." in name
        assert found.proof.is_whole == is_whole
        assert found.proof.max_error < (0.3 if is_whole else 1e-5), name
        assert any("whole numbers" in note for note in found.notes) == is_whole


@pytest.mark.slow
@pytest.mark.parametrize("runtime", ["litert", "onnxruntime"])
def test_whole_numbers_for_pixels_are_compared_on_pixels(runtime: str, tmp_path: Path) -> None:
    """What such a file was not made for, it cuts off: its answers to that say nothing of how it was read."""
    arch = known.load("mobilenetv2-0.1", resolution=32, num_classes=5)
    module, pixels = random_module(arch.blocks, 0), np.random.default_rng(1).random((8, *SHAPE), np.float32)
    lowered = lower(module, SHAPE, runtime, "int8", calibration=pixels, check=False)
    path = tmp_path / f"model{lowered.suffix}"
    path.write_bytes(lowered.model)
    found = import_model(path, tmp_path / "run")
    assert found.scale.said_by == "nobody"
    assert found.proof.is_whole
    scaled = lower(module, SHAPE, runtime, "int8", calibration=4 * pixels - 2, check=False)
    path.write_bytes(scaled.model)
    import_model(path, tmp_path / "scaled", mean=[0.5], std=[0.25])


@pytest.mark.parametrize(
    "name", ["written out", "swish", "resnet", "preactivated", "segmenter", "odd kernels"]
)
def test_what_torch_writes_as_onnx_is_the_same_network(name: str, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            NETWORKS[name],
            (torch.zeros(1, *SHAPE),),
            str(path),
            dynamo=False,
            opset_version=17,
            dynamic_axes={"x": {0: "n"}},
            input_names=["x"],
        )
    found = import_model(path, tmp_path / "run")
    assert found.proof.max_error < 1e-5
    assert found.digests.keys() == {"model.onnx"}


class Odd(nn.Module):
    """A network with one operator that is not read."""

    def __init__(self, odd: nn.Module) -> None:
        super().__init__()
        self.stem, self.odd, self.end = nn.Conv2d(3, 8, 3), odd, nn.Conv2d(8, 2, 1)

    def forward(self, x):
        return self.end(self.odd(self.stem(x)))


@pytest.mark.parametrize(
    ("odd", "said"),
    [
        (nn.GELU(), r"operator gelu \('odd/gelu'\)"),
        (
            nn.AvgPool2d(3, 2, 1, count_include_pad=False),
            r"avg_pool2d \('odd/avg_pool2d'\).*does not divide by",
        ),
        (nn.AvgPool2d(3, 2, ceil_mode=True), r"avg_pool2d \('odd/avg_pool2d'\).*look over the edge"),
        (nn.Softmax(1), r"operator softmax \('odd/softmax'\).*not at the end"),
        (nn.Hardtanh(-1, 1), r"'odd/hardtanh'.*clips to -1"),
        (nn.Flatten(), "Flatten|convolution|conv2d"),
        (nn.MaxPool2d(3, 2, 1), "MaxPool"),
    ],
)
def test_what_is_not_understood_is_refused_by_its_name_and_its_place(odd, said: str, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=said):
        import_model(settled(Odd(odd)), tmp_path / "run", input_shape=SHAPE)
    assert not (tmp_path / "run").exists()


def test_a_network_may_be_a_single_block_but_not_none(tmp_path: Path) -> None:
    module = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 10))
    found = import_model(settled(module), tmp_path / "one", input_shape=SHAPE)
    assert [block.kind for block in found.architecture.blocks] == ["pooledhead"]
    with pytest.raises(ExportError, match="must compute something to be imported"):
        import_model(nn.Identity(), tmp_path / "none", input_shape=SHAPE)
    assert not (tmp_path / "none").exists()


class Branching(nn.Module):
    """Computes one of two things, as its image says."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean((2, 3)) if x.sum() > 0 else x.amax((2, 3))


def test_a_module_that_torch_refuses_is_refused_in_a_sentence_alone(tmp_path: Path, capfd) -> None:
    with pytest.raises(ExportError, match=r"Branching is not: .*: mend that"):
        import_model(Branching(), tmp_path / "run", input_shape=SHAPE)
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
def test_a_softmax_at_the_end_is_left_out_and_said(tmp_path: Path) -> None:
    module = nn.Sequential(NETWORKS["mobilenet"], nn.Softmax(1)).eval()
    found = import_model(module, tmp_path / "run", input_shape=SHAPE)
    assert found.notes == ("the softmax at the end was left out: answers are logits",)
    assert (
        found.architecture
        == import_model(NETWORKS["mobilenet"], tmp_path / "logits", input_shape=SHAPE).architecture
    )


def test_other_answers_are_refused() -> None:
    module = NETWORKS["mobilenet"]
    source = opened(module, None, SHAPE)
    other = settled(networks()["mobilenet"], seed=1)
    with pytest.raises(ParityError, match="differs from Mobile by"):
        prove(other, source, SHAPE, AS_IS, None, 10)
    assert prove(module, source, SHAPE, AS_IS, None, 10).max_error == 0
    with pytest.raises(DataError, match=r"must be finite numbers of shape \(n, 3, 32, 32\)"):
        prove(module, source, SHAPE, AS_IS, np.zeros((1, 3, 8, 8)), 10)


@pytest.mark.parametrize("suffix", [".onnx", ".tflite"])
def test_the_first_block_that_differs_is_named(suffix: str, tmp_path: Path, monkeypatch) -> None:
    """As if one operator were misread: the second of two clips."""
    import_model(NETWORKS["mobilenet"], tmp_path / "run", input_shape=SHAPE)
    runtime = {".onnx": "onnxruntime", ".tflite": "litert"}[suffix]
    path = tmp_path / f"model{suffix}"
    path.write_bytes(lower(network_of(tmp_path / "run"), SHAPE, runtime, "fp32", check=False).model)
    real, calls = Recorder.convolve, []

    def misread(out, name, x, weight, *rest):
        calls.append(name)
        return real(out, name, x, weight * (1.5 if len(calls) == 4 else 1), *rest)

    monkeypatch.setattr(Recorder, "convolve", misread)
    with pytest.raises(
        ParityError, match=r"first block that differs is mbconv_i8_o12_k3_s2\S*, in the place of"
    ):
        import_model(path, tmp_path / "again")
    assert not (tmp_path / "again").exists()


def run(*words: object) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["import-model", *map(str, words)])
    return done.exit_code, str(done.exception) if isinstance(done.exception, HwnasError) else done.output


@pytest.fixture
def own_code(tmp_path: Path, monkeypatch) -> Path:
    """A working folder with a module of the user's and its weights."""
    here = tmp_path / "work"
    here.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    (here / "users_code.py").write_text(
        "from networks_of_others import tiny as net\n\n\ndef broken():\n    raise KeyError('no')\n"
        "\n\ndef number():\n    return 3\n"
        "\n\ndef leaves():\n    raise SystemExit(3)\n"
    )
    torch.save({"epoch": 3, "state_dict": settled(tiny()).state_dict()}, here / "weights.pt")
    return here


def test_the_command_writes_a_folder_that_the_others_take(own_code: Path) -> None:
    np.save("images.npy", np.zeros((2, *SHAPE)))
    code, text = run(
        *("users_code:net", "--weights", "weights.pt", "--input", "1x3x32x32"),
        *("--inputs", "images.npy", "--out", "mine", "--json"),
    )
    assert code == 0, text
    told = json.loads(text.splitlines()[-1])  # behind what it told of its steps
    assert told == {**json.loads(Path("mine/import.json").read_text()), "out": "mine"}
    assert told["parity"]["images"] == 6
    assert told["parity"]["max_error"] < 1e-6
    assert told["source"]["sha256"].keys() == {"weights.pt"}
    assert sorted(path.name for path in Path("mine").iterdir()) == [
        "arch.json", "import.json", "weights.safetensors",
    ]  # fmt: skip
    with torch.no_grad():
        images = torch.randn(2, *SHAPE)
        torch.testing.assert_close(network_of(Path("mine")).eval()(images), settled(tiny())(images))

    assert is_name("mine")
    written = made(
        Asked([], [device("host")], networks=["mine"], precisions=["int8"]), own_code / "made", lambda _: None
    )
    assert {path.name for path in written} >= {"mine.int8.tflite", "mine.int8.onnx"}
    assert spaces.load("mine").name == json.loads(Path("mine/arch.json").read_text())["space"]
    code, text = run("users_code:net", "--input", "3x32x32", "--out", "mine")
    assert code == 1
    assert "must have a folder of its own" in text


def test_an_imported_network_is_exported_in_every_format_and_comes_back(tmp_path: Path) -> None:
    first = import_model(NETWORKS["segmenter"], tmp_path / "mine", input_shape=SHAPE)

    def export(*words: object) -> Result:
        return CliRunner().invoke(app, ["export", str(tmp_path / "mine"), *map(str, words)])

    assert export().exit_code == 0
    folder = tmp_path / "mine" / "export"
    assert {path.name for path in folder.iterdir()} == {"model.tflite", "model.onnx"}
    np.save(tmp_path / "images.npy", random_calibration(SHAPE, 8, 1))
    done = export("--data", tmp_path / "images.npy", "--json")
    assert json.loads(done.stdout)["files"].keys() == {
        *("model.tflite", "model.onnx"),
        *("model.int8.tflite", "model.int8.onnx"),
    }
    for name in ("model.tflite", "model.onnx", "model.int8.tflite", "model.int8.onnx"):
        again = import_model(folder / name, tmp_path / name)
        assert again.architecture.macs == first.architecture.macs
        assert again.proof.is_whole == (".int8." in name)
    assert export("--qat-epochs", 2).exit_code == 2
    assert isinstance(export("--also", "16x8").exception, DataError)
    assert isinstance(export("--data", tmp_path / "mine" / "arch.json").exception, DataError)


def test_training_for_int8_knows_all_layers_of_imported_networks(tmp_path: Path) -> None:
    import_model(NETWORKS["swish"], tmp_path / "run", input_shape=SHAPE)
    network, images = network_of(tmp_path / "run").eval(), torch.randn(8, *SHAPE)
    rounded = Rounded(network)
    rounded.calibrate(images)
    with torch.no_grad():
        expected, found = network(images), rounded(images)
    assert 0 < (found - expected).abs().max() < 0.1 * expected.abs().max()


class Two(nn.Module):
    """Takes or gives two tensors."""

    def __init__(self, takes: int) -> None:
        super().__init__()
        self.conv, self.takes = nn.Conv2d(3, 4, 3), takes

    def forward(self, *images):
        made = self.conv(sum(images))
        return made if self.takes == 2 else (made, made + 1)


@pytest.mark.parametrize("takes", [1, 2])
def test_several_inputs_or_outputs_are_refused_in_a_sentence(takes: int, tmp_path: Path) -> None:
    module, images = Two(takes).eval(), (torch.zeros(1, *SHAPE),) * takes
    path = tmp_path / "model.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(module, images, str(path), dynamo=False, opset_version=17)
    said = f"image and give one tensor to be imported, but .* takes {takes} and gives {3 - takes}.*: cut it"
    with pytest.raises(ExportError, match=said):
        import_model(path, tmp_path / "run")
    if takes == 1:
        with pytest.raises(ExportError, match="must give one tensor"):
            import_model(module, tmp_path / "run", input_shape=SHAPE)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (lambda state: {"model": 0, "state_dict": state}, ()),
        (
            lambda state: {"epoch": 3, "state_dict": state},
            ("of what w.pt holds, .* under 'state_dict' were",),
        ),
        (
            lambda state: {"state_dict": {n: t * 0 for n, t in state.items()}, "state_dict_ema": state},
            ("under 'state_dict_ema' were taken",),
        ),
        (lambda state: {f"module.{name}": tensor for name, tensor in state.items()}, ()),
    ],
)
def test_averaged_weights_are_taken_and_said(content, said, own_code: Path) -> None:
    state = settled(tiny()).state_dict()
    torch.save(content(state), own_code / "w.pt")
    found = import_model("users_code:net", Path("mine"), weights=Path("w.pt"), input_shape=SHAPE)
    assert len(found.notes) == len(said) or "model" in content(state)
    for note, text in zip(found.notes, said, strict=False):
        assert re.search(text, note)
    with torch.no_grad():
        images = torch.randn(2, *SHAPE)
        torch.testing.assert_close(network_of(Path("mine")).eval()(images), settled(tiny())(images))


def test_weights_may_be_safetensors(own_code: Path) -> None:
    save_file(settled(tiny()).state_dict(), own_code / "weights.safetensors")
    code, text = run(
        "users_code:net", "--weights", "weights.safetensors", "--input", "3x32x32", "--out", "mine"
    )
    assert code == 0, text


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("users_code:net",), 1, "the shape of one image must be given"),
        (("users_code:net", "--input", "3x32"), 2, "must be channels, height and width"),
        (("users_code:gone", "--input", "3x32x32"), 1, "users_code:gone does not: AttributeError"),
        (("users_code:broken", "--input", "3x32x32"), 1, "users_code:broken does not: KeyError"),
        (("users_code:leaves", "--input", "3x32x32"), 1, "users_code:leaves does not: SystemExit: 3"),
        (("users_code:number", "--input", "3x32x32"), 1, "makes a int"),
        (("users_code.net", "--input", "3x32x32"), 1, "must be a file .onnx or .tflite, or a function"),
        (("users_code:net", "--input", "5x32x32"), 1, "must be one that torch.export takes"),
        (("users_code:net", "--weights", "users_code.py", "--input", "3x32x32"), 1, "users_code.py is not"),
        (
            ("users_code:net", "--weights", "other.pt", "--input", "3x32x32"),
            1,
            "those of the module, but other.pt",
        ),
        (("gone.onnx",), 1, "gone.onnx is not a file"),
        (("bad.onnx",), 1, "an .onnx file must be one of ONNX"),
        (("bad.tflite",), 1, "a .tflite file must be whole"),
        (("bad.tflite", "--weights", "weights.pt"), 1, "weights must only be given with a PyTorch module"),
        (("users_code:net", "--input", "3x32x32", "--inputs", "weights.pt"), 1, "weights.pt"),
    ],
)
def test_what_cannot_be_used_is_one_sentence_and_writes_nothing(
    own_code: Path, words, code: int, said: str
) -> None:
    torch.save(nn.Linear(2, 2).state_dict(), own_code / "other.pt")
    for name in ("bad.onnx", "bad.tflite"):
        (own_code / name).write_bytes(b"\0\0\0\0TFL3 and no more than this")
    found, text = run(*words, "--out", "mine")
    assert said in text
    assert found == code
    assert not Path("mine").exists()


def test_a_space_of_ones_own_is_known_where_its_file_was_read(tmp_path: Path, monkeypatch) -> None:
    found = import_model(NETWORKS["mobilenet"], tmp_path / "run", input_shape=SHAPE).architecture
    assert found.space.name == f"own-{found.space.fingerprint}"
    data = found.to_json()
    monkeypatch.setattr(own, "_KNOWN", {})
    with pytest.raises(SpaceError, match=r"must have been read from its arch\.json"):
        spaces.load(found.space.name)
    assert spaces.architecture_from_json(data) == found
    assert spaces.load(found.space.name) == found.space
    finer = spaces.load(found.space.name, resolution=64, num_classes=7)
    assert (finer.input_shape, finer.num_classes) == ((3, 64, 64), 7)
    assert finer.name != found.space.name
    for wrong in ({"whole_space": {}}, {"whole_space": {**data["whole_space"], "input_shape": [3, 32]}}):
        with pytest.raises(SpaceError, match="import"):
            spaces.architecture_from_json({**data, **wrong})
    tampered = {**data["whole_space"], "input_shape": [3, 64, 64]}
    with pytest.raises(SpaceError, match="must belong to the space"):
        spaces.architecture_from_json({**data, "whole_space": tampered})
