"""What tests do to a run and to a folder that ships."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from hwnas import blocks, data, files, spaces, train
from hwnas.runs import records
from hwnas.runs.folder import RunFolder
from hwnas.train.scoring import predictions


def leave_one(shipped: Path, name: str) -> None:
    """Leave one variant in the manifest of a shipping folder: measuring takes its time."""
    path = shipped / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["variants"] = [item for item in manifest["variants"] if item["name"] == name]
    path.write_text(json.dumps(manifest))


def with_few_images(run: Path, source: Path) -> Path:
    """A trained run as if it had learnt on other images, fewer of the same: what follows is trained on them.

    Args:
        run: Its files are changed.
        source: The images.
    """
    folder, record = RunFolder(run), records.trained(run)
    images = data.load(str(source), resolution=record.data["resolution"])
    network = blocks.network(spaces.architecture_from_json(records.arch(run)))
    about = train.load_weights(network, folder.weights)
    train.save_weights(network, folder.weights, about | {"data": images.fingerprint})
    test = predictions(network.eval(), images, "test")
    changed = replace(
        record,
        data=images.describe(),
        test_value=test.score.value,
        test=test.to_json(),
        weights_sha256=files.sha256(folder.weights),
    )
    files.write_json(folder.train, changed.to_json())
    search = files.read_json(folder.search, "search")
    files.write_json(folder.search, search | {"data": images.describe()})
    return run
