"""The last rung: a search in all that is cheaper than the network, block by block, as ``search --from``."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwnas import blocks, files, finalists, spaces, tasks
from hwnas.adapt.latencies import Latency
from hwnas.budget import Budget
from hwnas.device import Device, Target
from hwnas.measure import ProfileOptions, Progress, profile
from hwnas.runs import records
from hwnas.runs.folder import ChainFolder, RunFolder
from hwnas.runs.found import SearchRecord
from hwnas.search.oneshot.inherit import inherited
from hwnas.search.request import SearchRequest
from hwnas.search.settings import DISTILLATION_STEPS, STRATEGY
from hwnas.settings import requests, usual
from hwnas.space import SearchSpace
from hwnas.train.adapting import space_of

if TYPE_CHECKING:
    from torch import nn

    from hwnas.data import Dataset

Seen = tuple[float, tuple[float, float] | None]
"""The task's metric on validation images, and its 95 % interval."""


def searched(
    teacher: Path,
    folder: Path,
    device: Device,
    target: Target,
    budget_ms: float,
    *,
    seed: int,
    measuring: ProfileOptions,
    tell: Callable[[str], None],
) -> SearchRecord:
    """The best network of cheaper blocks that keeps a budget, found, measured and tuned.

    Args:
        teacher: Run folder of the whole network.
        folder: The search's own.
        device: Where to measure.
        target: What the budget is on.
        budget_ms: The budget.
        seed: Of all randomness.
        measuring: How well to measure.
        tell: Told what is being done.

    Raises:
        SpaceError: None of its blocks has a cheaper candidate.
        InfeasibleBudget: None keeps the budget.
    """
    space, tables = spaces.load(space_of(teacher)), ChainFolder(folder).tables
    data = records.trained(teacher).data

    def said(progress: Progress) -> None:
        tell(f"measuring cheaper blocks: {progress.stage} {progress.done}/{progress.total}")

    asked = {
        "space": space.fingerprint,
        "target": target.to_json(),
        "budget_ms": budget_ms,
        "seed": seed,
        "teacher": files.sha256(RunFolder(teacher).weights),
    }
    _make_way(folder, asked)
    measuring = _for_space(measuring, space)
    profile(device, space, [target], tables / device.name, measuring, said)
    request = SearchRequest(
        space=space.name,
        latencies=(),
        budgets=(),
        data=str(data["source"]),
        task=str(data.get("task", tasks.DEFAULT)),
        strategy=STRATEGY,
        seed=seed,
        oneshot=requests.blockwise(usual("search.supernet"), space.name, seed, is_taught=True),
        settings=requests.taught(STRATEGY, {}),
        training_steps=DISTILLATION_STEPS,
        teacher=teacher,
    )
    options = finalists.SearchOptions(tables=tables, gallery_points=0, measuring=measuring)
    found = finalists.search_for(
        (Budget(target, budget_ms),),
        request,
        folder / "search",
        options,
        devices={device.name: device},
        is_new=False,
        live=lambda step: tell(f"searching cheaper blocks: {step.get('phase', 'scoring')}"),
        tell=tell,
    )
    return found or records.search(folder / "search")


def _make_way(folder: Path, asked: Mapping[str, Any]) -> None:
    """Take a search away that an earlier climb left and that asked for something else; its tables stay."""
    path, text = ChainFolder(folder).asked, files.json_text(asked)
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return
    path.unlink(missing_ok=True)  # first: what is half gone is not to be gone on with
    if (folder / "search").exists():
        shutil.rmtree(folder / "search")
    files.write_atomic(path, text)


def _for_space(measuring: ProfileOptions, space: SearchSpace) -> ProfileOptions:
    """With no more whole networks than a small space surely has, drawn at random and all different."""
    few = space.num_architectures // 4
    return replace(
        measuring,
        calibration_networks=min(measuring.calibration_networks, few),
        heldout_networks=min(measuring.heldout_networks, few // 2),
    )


def latency_of(record: SearchRecord) -> Latency | None:
    """What the found network was measured to take; None where it was not."""
    budget = record.budgets[0]
    if budget.measured_ms is None:
        return None
    return Latency(budget.measured_ms, budget.interval_ms, str((budget.quality or {}).get("word", "stable")))


def tuned(record: SearchRecord) -> Seen | None:
    """What the network that was taken came to when it was tuned beside others; None where it was alone."""
    for each in record.extra.get("tuned", ()):
        if each["taken"]:
            low, high = each["interval"]
            return float(each["value"]), (float(low), float(high))
    return None


def learnt(search: Path, data: Dataset) -> nn.Module:
    """The network that a search found, untuned, with what its candidates learnt from the whole network.

    Args:
        search: Folder of the search.
        data: The images.
    """
    arch = spaces.architecture_from_json(records.arch(search))
    network = blocks.network(arch)
    network.load_state_dict({**network.state_dict(), **inherited(search, arch, data).tensors})
    return network
