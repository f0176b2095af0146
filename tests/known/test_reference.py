"""Ours compute what timm's and torchvision's own networks compute; made in an environment of their own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from reference import images_of
from state_dicts import LAYOUTS, NETWORKS

from hwnas import blocks
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
    module = blocks.build(weights.architecture.blocks).eval()
    pretrained.into(module, weights.architecture, weights)
    answers = json.loads((references / f"{name}.json").read_text())
    assert len(answers) == 2, "an even and an odd size"
    for sides, logits in answers.items():
        wanted = torch.tensor(logits)
        with torch.no_grad():
            found = module(images_of(*map(int, sides.split("x"))))
        assert float(wanted.std()) > 0.05, "or there is nothing to compare"
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-4 * float(wanted.abs().max()))
