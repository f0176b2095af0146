"""Ours compute what timm's and torchvision's own networks compute; made in an environment of their own."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from reference import images_of
from state_dicts import LAYOUTS, NETWORKS

import hwnas
from hwnas import blocks, files
from hwnas.known import pretrained

REFERENCE = Path(__file__).parent / "reference.py"
PACKAGES = [f"{package}=={LAYOUTS[package]}" for package in ("timm", "torchvision")]


@pytest.fixture(scope="module")
def references(tmp_path_factory):
    """Random networks of both packages, which are installed beside this PyTorch, not into it (42 MB)."""
    packages, folder = tmp_path_factory.mktemp("packages"), tmp_path_factory.mktemp("references")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(packages)]
    installed = subprocess.run([*pip, *PACKAGES], capture_output=True, text=True, check=False)
    if installed.returncode:
        pytest.skip(f"{' and '.join(PACKAGES)} cannot be installed: {installed.stderr.strip()[-300:]}")
    run = [sys.executable, str(REFERENCE), str(folder), *NETWORKS]
    subprocess.run(run, check=True, env={"PYTHONPATH": str(packages), "OMP_NUM_THREADS": "1"})
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("where", NETWORKS)
def test_ours_compute_the_same(where, references):
    publisher, _, name = where.partition(":")
    file = references / f"{name}.{'safetensors' if publisher == 'timm' else 'pth'}"
    weights = pretrained.weights_of(where, file)
    module = blocks.network(weights.architecture).eval()
    pretrained.into(module, weights.architecture, weights)
    answers = json.loads((references / f"{name}.json").read_text())
    assert len(answers) == 2, "an even and an odd size"
    for sides, logits in answers.items():
        wanted = torch.tensor(logits)
        with torch.no_grad():
            found = module(images_of(*map(int, sides.split("x"))))
        assert float(wanted.std()) > 0.05, "or there is nothing to compare"
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-4 * float(wanted.abs().max()))


@pytest.mark.slow
def test_the_cache_of_the_hub_is_read(references, tmp_path):
    """With its real client and no network, in a process that has it."""
    name = "mobilenetv4_conv_small_050.e3000_r224_in1k"
    cache = tmp_path / "home" / "hub" / f"models--timm--{name}"
    (cache / "refs").mkdir(parents=True)
    (cache / "refs" / "main").write_text("a" * 40)
    (cache / "snapshots" / ("a" * 40)).mkdir(parents=True)
    shutil.copy(references / f"{name}.safetensors", cache / "snapshots" / ("a" * 40) / "model.safetensors")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(tmp_path / "hub")]
    installed = subprocess.run([*pip, "huggingface_hub"], capture_output=True, text=True, check=False)
    if installed.returncode:
        pytest.skip(f"huggingface_hub cannot be installed: {installed.stderr.strip()[-300:]}")
    program = f"from hwnas.known.pretrained import weights_of; print(weights_of('timm:{name}').sha256)"
    places = [Path(hwnas.__file__).parents[1], tmp_path / "hub"]
    env = {"PYTHONPATH": ":".join(map(str, places)), "HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", program], env=env, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [files.sha256(references / f"{name}.safetensors")]
