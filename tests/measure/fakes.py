"""A device, models and an agent that do as they are told; the processes and files are real."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from hwnas import device
from hwnas.device import Target
from hwnas.measure.models import Exporter, ModelFile
from hwnas.measure.options import OnProgress, ProfileOptions, silent
from hwnas.measure.plan import Item
from hwnas.measure.session import ProfilingSession
from hwnas.measure.store import TableStore
from hwnas.transport.local import LocalTransport

FAKE_AGENT = Path(__file__).with_name("fake_agent.py")
TARGET = Target("host", "litert", "fp32")
QUICK = ProfileOptions(rounds=6, max_rounds=6, samples=3, silence_s=10.0, min_round_s=0.0)


class FakeExporter(Exporter):
    """Writes what the agent should do as the model of each key."""

    def __init__(self, deeds: Mapping[str, str] | None = None) -> None:
        super().__init__(1)
        self.deeds = deeds or {}
        self.asked: list[str] = []

    def export(
        self, items: Sequence[Item], target: Target, folder: Path, done: Callable[[int], None]
    ) -> dict[str, ModelFile]:
        found = {}
        for number, item in enumerate(items, start=1):
            self.asked.append(item.key)
            text = self.deeds.get(item.key, f"{1 + number / 10} ok")
            if text == "refused":
                found[item.key] = ModelFile(folder / "none", failed="no lowering")
                continue
            path = folder / str(number)
            path.write_text(text)
            found[item.key] = ModelFile(path, hashlib.sha256(text.encode()).hexdigest())
            done(number)
        return found


def agents(folder: Path) -> Path:
    """A folder with the fake agent under the names of the real ones."""
    for name in ("litert", "onnxruntime"):
        (folder / name).mkdir(parents=True, exist_ok=True)
        shutil.copy(FAKE_AGENT, folder / name / "agent.py")
    return folder


def make_items(count: int) -> tuple[Item, ...]:
    return tuple(Item(f"block{i}", "block", (), (3, 8, 8)) for i in range(count))


def profile(
    path: Path,
    items: Sequence[Item],
    *,
    deeds: Mapping[str, str] | None = None,
    options: ProfileOptions = QUICK,
    progress: OnProgress = silent,
) -> FakeExporter:
    """One session into ``path``."""
    exporter = FakeExporter(deeds)
    with LocalTransport(agents(path.parent / "agents")) as transport, TableStore(path, TARGET) as store:
        ProfilingSession(transport, exporter, store, TARGET, options, progress).run(items)
    return exporter


__all__ = ["QUICK", "TARGET", "FakeExporter", "agents", "device", "make_items", "profile"]
