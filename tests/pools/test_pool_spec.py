"""How a pool is asked for."""

from __future__ import annotations

import pytest

from hwnas.errors import SpaceError
from hwnas.pools import HERE, PoolSpec


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("processes", HERE),
        ("processes:1", HERE),
        ("processes:12", PoolSpec(count=12)),
        ("ray", PoolSpec("ray")),
        ("ray://head:10001", PoolSpec("ray", address="head:10001")),
        ("ray?num_gpus=0.5", PoolSpec("ray", num_gpus=0.5)),
        ("ray://[::1]:10001?num_cpus=4&num_gpus=1", PoolSpec("ray", 1, "[::1]:10001", 4, 1)),
    ],
)
def test_what_is_typed_is_read_and_written_again(text, spec):
    assert PoolSpec.read(text) == spec
    assert PoolSpec.read(str(spec)) == spec


@pytest.mark.parametrize(
    "text",
    [
        "", "4", "threads:2", "processes:", "processes:0", "processes:-1", "processes:1.5", "processes:99999",
        "ray:", "ray://", "ray:10001", "ray://user:secret@head:1", "ray?", "ray?gpus=1", "ray?num_cpus=",
        "ray?num_cpus=-1", "ray?num_cpus=nan", "ray?num_cpus=inf", "ray?num_cpus=0", "ray://head:1?num_cpus",
        "ray://head", "ray://head:abc", "ray://head:0", "ray://head:65536", "ray://[::1]",
        "Ray", " ray", "ray\n",
    ],
)  # fmt: skip
def test_anything_else_is_refused_with_what_there_is(text):
    with pytest.raises(SpaceError, match=r"processes:1|processes:2|ask for some CPU or GPU"):
        PoolSpec.read(text)


def test_threads_of_a_task_are_what_ray_keeps_for_it():
    assert PoolSpec.read("ray?num_cpus=4").threads == 4
    assert PoolSpec.read("ray?num_cpus=0.5").threads == 1
    assert PoolSpec.read("processes:4").threads is None
