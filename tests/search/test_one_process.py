"""Two things in one process do not influence each other: by random numbers, by what is hushed or held."""

from __future__ import annotations

import io
import logging
import os
import stat
import sys
import threading
import warnings
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
import torch
from oneshot_helpers import SPACE, latency_file, space
from torch import nn

import hwnas
from hwnas import files
from hwnas.errors import HwnasError
from hwnas.evaluators.supernet.network import Supernet
from hwnas.quiet import quiet
from hwnas.runs import outputs
from hwnas.seeding import Seeded
from hwnas.train.fitting import new_network

TIMES = {"seconds", "eta_s", "created"}


def at_once(*tasks: Callable[[], object]) -> list[object]:
    """What tasks give that begin in threads at the same moment."""
    begin = threading.Barrier(len(tasks))

    def run(task: Callable[[], object]) -> object:
        begin.wait()
        return task()

    with ThreadPoolExecutor(len(tasks)) as pool:
        return list(pool.map(run, tasks))


def layers() -> nn.Module:
    """Layers that each draw in another way."""
    lstm, norm = nn.LSTM(3, 4), nn.BatchNorm2d(3)
    made = nn.ModuleList([nn.Conv2d(3, 8, 3), nn.Linear(4, 5), nn.Embedding(7, 3), lstm, norm])
    nn.init.orthogonal_(made[1].weight)
    nn.init.trunc_normal_(made[0].weight)
    with torch.no_grad():
        norm.weight.uniform_(0.5, 1.5)
        norm.bias.copy_(torch.rand(3) + torch.randn(3))
    return made


def without_times(found: Any) -> Any:
    """A record without what a clock says."""
    if isinstance(found, Mapping):
        return {name: without_times(value) for name, value in found.items() if name not in TIMES}
    return [*map(without_times, found)] if isinstance(found, list | tuple) else found


def tensors(network: nn.Module) -> list[torch.Tensor]:
    return [tensor.clone() for tensor in network.state_dict().values()]


def equal(one: Sequence[torch.Tensor], other: Sequence[torch.Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_seeded_weights_are_those_of_the_process_s_generator_which_is_left_alone():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        known = tensors(layers())
    before = torch.get_rng_state()
    with Seeded(5):
        seeded = tensors(layers())
    assert equal(seeded, known)
    assert torch.equal(torch.get_rng_state(), before)


def test_first_weights_do_not_depend_on_other_threads():
    searched = space()
    arch = searched.architecture([0] * len(searched.sizes))

    def weights(seed: int) -> list[list[torch.Tensor]]:
        return [[*tensors(new_network(arch, seed)), *tensors(Supernet(searched, seed))] for _ in range(4)]

    def disturb() -> None:
        for _ in range(300):
            torch.manual_seed(1)
            torch.rand(100)

    alone = weights(3)[0], weights(4)[0]
    three, four, *_ = at_once(lambda: weights(3), lambda: weights(4), disturb)
    assert all(equal(found, alone[0]) for found in three)
    assert all(equal(found, alone[1]) for found in four)


@pytest.mark.parametrize("strategy", [pytest.param("fbnet", marks=pytest.mark.slow), "evolution"])
def test_searches_at_once_find_what_each_finds_alone(tmp_path, few_digits, strategy):
    path = tmp_path / "latency.json"
    latency_file(path)
    steps = {"warmup_steps": 3, "steps": 4, "finalists": 3} if strategy == "fbnet" else {"queries": 2}
    told: dict[str, list[str]] = {}

    def found(name: str, seed: int) -> object:
        lines = told.setdefault(name, [])
        result = hwnas.search(
            SPACE,
            {"host/litert-int8": "60%"},
            tmp_path / name,
            models=[path],
            data=few_digits,
            strategy=strategy,
            settings=steps,
            oneshot=hwnas.OneShotConfig(width=0.25, batch_size=32, recalibration_images=64, seed=seed),
            training_steps=5,
            seed=seed,
            confidence=0.5,
            options=hwnas.SearchOptions(measure=False, gallery_points=2),
            progress=lambda step: lines.append(str(step).partition("  ")[0]),
        )
        supernet = files.sha256(tmp_path / name / "supernet.safetensors")
        return without_times(result.record), result.flat(), supernet

    alone = found("a", 0), found("b", 1)
    assert at_once(lambda: found("c", 0), lambda: found("d", 1)) == list(alone)
    assert alone[0] != alone[1]
    assert told["a"] == told["c"]
    assert told["a"]


def test_what_is_hushed_in_two_threads_is_heard_again():
    handlers, level = list(logging.getLogger().handlers), logging.getLogger().level
    filters, stderr = list(warnings.filters), sys.stderr

    def hush() -> None:
        for _ in range(200):
            with quiet(), quiet(logging.ERROR):
                warnings.warn("nobody hears this", stacklevel=1)
                logging.getLogger("other").warning("nor this")

    at_once(hush, hush, hush)
    assert logging.root.manager.disable == logging.NOTSET
    assert (logging.getLogger().handlers, logging.getLogger().level) == (handlers, level)
    assert (list(warnings.filters), sys.stderr) == (filters, stderr)
    heard = io.StringIO()
    handler = logging.StreamHandler(heard)
    logging.getLogger("other").addHandler(handler)
    logging.getLogger("other").warning("but this")
    logging.getLogger("other").removeHandler(handler)
    assert heard.getvalue() == "but this\n"


def test_files_written_at_once_are_as_the_user_wants_them(tmp_path):
    def write(thread: int) -> None:
        for number in range(50):
            files.write_atomic(tmp_path / f"{thread}-{number}", "x")

    before = os.umask(0o027)
    try:
        at_once(*(partial(write, number) for number in range(4)))
        files.write_private(tmp_path / "key", "x")
        assert os.umask(0o027) == 0o027
    finally:
        os.umask(before)
    modes = {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir() if path.name != "key"}
    assert modes == {0o640}
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600


def test_a_folder_is_of_one_thread_at_a_time(tmp_path):
    entered, leave = threading.Event(), threading.Event()

    def work() -> None:
        with outputs.claimed(tmp_path / "run"), outputs.claimed(tmp_path / "run"):
            entered.set()
            leave.wait(10)

    thread = threading.Thread(target=work)
    thread.start()
    assert entered.wait(10)
    with pytest.raises(HwnasError, match="must have its folder to itself"), outputs.claimed(tmp_path / "run"):
        pass
    leave.set()
    thread.join()
    with outputs.claimed(tmp_path / "run"):
        assert (tmp_path / "run").is_dir()
