"""Spaces, architectures and their invariants, without torch."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from hwnas import spaces
from hwnas.blocks import Conv, Head, MBConv, Skip
from hwnas.errors import SpaceError
from hwnas.space import Architecture, Choice, SearchSpace


def tiny(name: str = "macro", width: int = 8) -> SearchSpace:
    candidates = (Skip(8, width, 1), MBConv(8, width, expansion_ratio=2))
    return SearchSpace(name, (3, 8, 8), (Conv(3, 8),), (Choice("a", candidates),), (Head(width, 16, 4),))


def test_a_space_knows_its_shapes_and_costs():
    space = tiny()
    assert [w.in_shape for w in space.choice_workloads[0]] == [(8, 8, 8)] * len(space.choices[0].candidates)
    assert space.output_shape == (4, 1, 1)
    assert space.num_classes == 4
    assert space.num_architectures == 2
    low, high = space.macs_range()
    assert low == sum(w.macs for w in space.fixed)  # the identity costs nothing
    assert high - low == MBConv(8, 8, expansion_ratio=2).macs((8, 8, 8))


def test_workloads_are_distinct_and_leave_out_the_identity():
    space = spaces.load("macro")
    workloads = space.workloads()
    assert len(workloads) == len(set(workloads)) == 17
    assert not any(w.block.is_identity for w in workloads)


def test_candidates_must_agree_on_the_output_shape():
    choice = Choice("a", (Skip(8, 8, 1), Skip(8, 16, 1)))
    with pytest.raises(SpaceError, match="must agree on their output shape"):
        SearchSpace("x", (3, 8, 8), (Conv(3, 8),), (choice,), ())


def test_what_all_others_are_versions_of_is_named_or_the_largest():
    wide, narrow = MBConv(8, 8, expansion_ratio=3), MBConv(8, 8, expansion_ratio=2)
    space = SearchSpace("x", (3, 8, 8), (Conv(3, 8),), (Choice("a", (narrow, wide)),), (Head(8, 8, 2),))
    assert space.reference == (1,)
    named = replace(space, origin=(0,))
    assert named.reference == (0,)
    assert named.fingerprint == space.fingerprint
    with pytest.raises(SpaceError, match=r"the index of a must be in 0\.\.1"):
        replace(space, origin=(2,))


@pytest.mark.parametrize(
    ("candidates", "message"),
    [((), "at least one candidate"), ((Skip(8, 8), Skip(8, 8)), "must differ")],
)
def test_a_choice_refuses_bad_candidates(candidates, message):
    with pytest.raises(SpaceError, match=message):
        Choice("a", candidates)


def test_parts_must_fit_together():
    with pytest.raises(SpaceError, match="in_channels"):
        SearchSpace("x", (1, 8, 8), (Conv(3, 8),), (Choice("a", (Skip(8, 8),)),), ())


@pytest.mark.parametrize(
    ("indices", "message"), [((0, 0), "must have 1 indices"), ((2,), r"0\.\.1"), ((-1,), r"0\.\.1")]
)
def test_an_architecture_refuses_bad_indices(indices, message):
    with pytest.raises(SpaceError, match=message):
        tiny().architecture(indices)


def test_an_architecture_survives_json():
    space = spaces.load("fbnet", resolution=64, num_classes=7, strides="cifar")
    arch = space.sample(np.random.default_rng(0))
    again = spaces.architecture_from_json(json.loads(json.dumps(arch.to_json())))
    assert again == arch
    assert again.id == arch.id
    assert again.macs == arch.macs


def test_an_architecture_of_another_space_is_refused():
    arch = spaces.load("macro").architecture([0] * 8)
    with pytest.raises(SpaceError, match="must belong to the space"):
        Architecture.from_json(spaces.load("macro", num_classes=3), arch.to_json())


def test_hostile_json_is_refused():
    data = spaces.load("macro").architecture([0] * 8).to_json()
    for change in ({"indices": "00000000"}, {"indices": [True] * 8}, {"space": "../x"}, {"schema": "?"}):
        with pytest.raises(SpaceError):
            spaces.architecture_from_json(data | change)


def test_the_id_is_the_same_on_any_machine():
    arch = spaces.load("macro").architecture([0, 1, 2, 0, 1, 2, 0, 1])
    code = "from hwnas import spaces; print(spaces.load('macro').architecture([0,1,2,0,1,2,0,1]).id)"
    other = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": "7"}
    )
    assert other.stdout.strip() == arch.id
    assert arch.id != spaces.load("macro").architecture([1] * 8).id


def test_macs_table_adds_up_to_the_architecture():
    space = spaces.load("fbnet", resolution=32, num_classes=100, strides="cifar")
    fixed, tables = space.macs_table()
    for seed in range(20):
        arch = space.sample(np.random.default_rng(seed))
        total = fixed + sum(int(t[i]) for t, i in zip(tables, arch.indices, strict=True))
        assert total == arch.macs


def test_the_specifications_need_no_torch():
    code = (
        "import sys; from hwnas import spaces, device, latency; from hwnas.tables import table; "
        "spaces.load('fbnet').workloads();"
        "print(sorted(m for m in ('torch', 'onnx', 'sklearn', 'ai_edge_litert') if m in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
