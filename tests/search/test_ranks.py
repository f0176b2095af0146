"""Two real processes under torchrun train one supernet."""

import os
import subprocess
import sys

import pytest
import torch
from oneshot_helpers import digits, latency_file
from ports import free_port

from hwnas import files
from hwnas.data.batches import Batches
from hwnas.train import ranks

SCRIPT = """
import os
import sys
from pathlib import Path
from hwnas import files
from hwnas.budget import Budget
from hwnas.evaluators.supernet.config import OneShotConfig
from hwnas.search.request import SearchRequest
from hwnas.search.searching import search_run

folder, strategy = Path(sys.argv[1]), sys.argv[2]
taught = {"training": "blockwise", "teacher_share": 0.5} if strategy == "exact" else {}
settings = {"queries": 4, "random": 1} if taught else {"warmup_steps": 2, "steps": 2, "finalists": 2}
request = SearchRequest(
    space="macro-r8-c10", latencies=(folder / "latency.json",), strategy=strategy,
    budgets=(Budget.read("50%"),),
    oneshot=OneShotConfig(width=0.25, batch_size=32, recalibration_images=64, **taught),
    settings=settings, training_steps=4, confidence=0.5,
)
result = search_run(request, folder / "run")
found = [result.best.indices, result.quality, result.extra["best_of" if taught else "logits"]]
files.write_json(folder / f"rank{os.environ['RANK']}.json", found)
"""


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["fbnet", "proxylessnas", "exact"])
def test_processes_stay_together_and_one_writes(tmp_path, strategy):
    latency_file(tmp_path / "latency.json")
    script = tmp_path / "search.py"
    script.write_text(SCRIPT)
    port = str(free_port())
    where = ["--master-addr", "127.0.0.1", "--master-port", port]  # --standalone asks for this host's name
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", *where]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*command, str(script), str(tmp_path), strategy],
        capture_output=True, text=True, timeout=300, env=environment, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    one, two = (files.read_json(tmp_path / f"rank{n}.json", "what was found") for n in (0, 1))
    assert one == two
    assert (tmp_path / "run" / "search.json").exists()
    assert (tmp_path / "run" / "supernet.safetensors").exists()


def test_parts_share_a_batch_without_overlap():
    batches = Batches(digits())
    whole = batches.step("train", 32, 0, 5)[1]
    parts = [batches.step("train", 32, 0, 5, (n, 2))[1] for n in (0, 1)]
    assert torch.equal(whole[0::2], parts[0])
    assert torch.equal(whole[1::2], parts[1])


def test_a_single_process_is_left_alone():
    values = [torch.tensor([1.0, 2.0]), None]
    ranks.average(values)
    assert values[0].tolist() == [1.0, 2.0]
    assert (ranks.rank(), ranks.ranks()) == (0, 1)
    with ranks.joined(torch.device("cpu")):
        assert not torch.distributed.is_initialized()
