"""The arm64 bundle under qemu-user, on a synthetic phone. What it computes counts, never how long.

SME is off: under qemu 7.2 with SME, LiteRT 2.3's int8 kernels give wrong outputs (up to 255 steps),
and without it exactly those of x86 on every core that qemu knows. Whether that is qemu or the
kernels cannot be told here; phones with SME (2025 and later) must be checked.
"""

from __future__ import annotations

import json
import shutil
import subprocess

import fakephone
import numpy as np
import programs
import pytest
import tinymodels
from block_examples import EXAMPLES
from testphone import job, run_agent

from hwnas import blocks, export, files
from hwnas.transport import _bundle, connect

pytestmark = pytest.mark.slow

CORES = ("cortex-a53", "cortex-a76", "max,sme=off")  # plain, with dot products, with all but SME


@pytest.fixture(scope="session")
def qemu():
    return programs.need("qemu-aarch64-static", "qemu-aarch64")


@pytest.fixture
def arm64(qemu, cross_archive, bundle):
    """The arm64 bundle, found where users have it, beside the one for this machine."""
    target = _bundle.archives("litert", "arm64")[1]
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.exists():
        shutil.copyfile(cross_archive("arm64"), target)
    return _bundle.find("litert", "arm64")


@pytest.fixture
def tree(tmp_path):
    return fakephone.write(tmp_path / "tree")


def run_arm64(arm64, qemu, tree, jobs, core=CORES[1]):
    words = [word.replace(_bundle.HERE, str(arm64.folder)) for word in arm64.command]
    plan = "".join(json.dumps(line) + "\n" for line in jobs)
    done = subprocess.run(
        [qemu, "-cpu", core, "-L", str(tree), *words, "--plan", "-"],
        input=plan.encode(),
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_the_phone_is_read_from_its_own_tree(arm64, qemu, tree):
    hello, bye = run_arm64(arm64, qemu, tree, [])
    hello = hello["hello"]
    assert hello["machine"] == "aarch64"
    assert hello["cpu_model"] == "Phone That Is None"
    assert hello["cpus_online"] == list(range(8))
    assert [cpu["capacity"] for cpu in hello["cpus"]] == [240] * 4 + [760] * 3 + [1024]
    assert hello["cpus"][7]["hw_max_khz"] == 2802000
    assert int(hello["cpus"][4]["midr"], 16) >> 4 & 0xFFF == 0xD41
    conditions = bye["bye"]["conditions"]
    assert conditions["thermal_mc"] == {
        f"{n}:{name}": value for n, (name, value) in enumerate(fakephone.ZONES)
    }
    assert conditions["governor"] == ["sched_pixel"] * 8
    assert conditions["freq_khz"] == [400000] * 4 + [600000] * 4
    assert conditions["load_1min"] == 0.5


def test_every_kind_has_an_example():
    assert {type(block) for block, _ in EXAMPLES} == set(blocks.KINDS.values())


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_outputs_are_those_of_this_machine(arm64, bundle, qemu, tree, tmp_path, precision, core):
    """Every block kind, the same input on both: fp32 within rounding, int8 within one step."""
    jobs: dict[str, list] = {"here": [], "there": []}
    for number, (block, shape) in enumerate(EXAMPLES):
        module = export.random_module([block], 0)
        images = export.random_calibration(shape, 4, 0)
        lowered = export.lower(module, shape, "litert", precision, calibration=images, check=False)
        model = tmp_path / f"{number}.tflite"
        files.write_atomic(model, lowered.model)
        rng, size = np.random.default_rng(number), int(np.prod(shape))
        given = (
            rng.random(size, np.float32) if precision == "fp32" else rng.integers(-128, 128, size, np.int8)
        )
        (tmp_path / f"{number}.in").write_bytes(given.tobytes())
        for place, lines in jobs.items():
            output = str(tmp_path / f"{number}.{place}")
            lines.append(
                job(block.key(), str(model), samples=1, input=str(tmp_path / f"{number}.in"), output=output)
            )
    here = run_agent(bundle, jobs["here"])[1:-1]
    there = run_arm64(arm64, qemu, tree, jobs["there"], core)[1:-1]
    kind = np.float32 if precision == "fp32" else np.int8
    for number, (ours, theirs) in enumerate(zip(here, there, strict=True)):
        assert "error" not in ours, ours
        assert "error" not in theirs, theirs
        assert {k: ours[k] for k in ("nodes", "delegated_nodes")} == {
            k: theirs[k] for k in ("nodes", "delegated_nodes")
        }
        a, b = (np.frombuffer((tmp_path / f"{number}.{p}").read_bytes(), kind) for p in ("here", "there"))
        assert a.size
        assert a.std() > 0, "the test must compare something"
        if precision == "fp32":
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5 * float(np.abs(a).max()))
        else:
            assert np.abs(a.astype(int) - b.astype(int)).max() <= 1


def test_damaged_models_cost_one_answer_on_arm64_too(arm64, qemu, tree, tmp_path):
    model = tinymodels.write(tmp_path / "m.tflite")
    (tmp_path / "cut").write_bytes(model.read_bytes()[:500])
    answers = run_arm64(
        arm64, qemu, tree, [job("cut", str(tmp_path / "cut")), job("good", str(model), samples=1)]
    )
    assert answers[1]["stage"] == "load"
    assert answers[2]["samples_ns"]


def test_the_whole_chain(arm64, qemu, tree, new_phone, back_end, tmp_path):
    """Host, ADB, the loader of the bundle, the agent, LiteRT's arm64 kernels, and back."""
    phone = new_phone()
    phone.command(
        "getprop", "case $1 in *abilist) echo arm64-v8a;; *model) echo Test Arm;; *sdk) echo 34;; esac"
    )
    model = tinymodels.write(tmp_path / "m.tflite", odd=True)
    with connect(phone.device(back_end, launcher=[qemu, "-cpu", CORES[1], "-L", str(tree)])) as transport:
        assert transport.arch() == "arm64"
        remote = transport.push(model)
        hello, first, second, bye = transport.run(
            "litert", [job("a", remote, samples=2, cpus=[0]), job("b", "/none")], silence_s=120
        )
        assert hello["hello"]["machine"] == "aarch64"
        assert hello["hello"]["bundle_sha256"] == arm64.digest
        assert (first["nodes"], first["delegated_nodes"], first["delegate_partitions"]) == (4, 3, 2)
        assert second["stage"] == "load"
        assert bye["bye"]["jobs"] == 2
    assert phone.gone()
