"""The images of a run, read once by all stages, and the space that they make of the one that is named."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from hwnas import data as images
from hwnas import release, spaces, tasks
from hwnas.pipeline.state import RunState, digest_of_data
from hwnas.runs import records
from hwnas.runs.folder import RunFolder
from hwnas.settings.config import Config


class RunImages:
    """What the stages of a run know of its images.

    Args:
        config: What is wanted.
        state: For what need not be found out twice.
    """

    def __init__(self, config: Config, state: RunState) -> None:
        self._config, self._state = config, state
        self._read: images.Dataset | None = None

    @cached_property
    def settings(self) -> dict[str, str]:
        """What the images are, as settings of a stage."""
        source, task = self._config.data, self._config.basics.task
        named = {} if task == tasks.DEFAULT else {"task": task}
        return {"source": source, "digest": digest_of_data(source), **named}

    @cached_property
    def space(self) -> str:
        """Full name of the space, with as many outputs as the task wants for the images."""
        name = self._config.basics.space
        if spaces.says_classes(name):
            return spaces.load(name).name
        known = self.settings
        digest = " ".join([known["digest"], *([known["task"]] if "task" in known else [])])
        outputs = self._state.classes(digest, lambda: self._task.outputs(self.searched))
        return spaces.load(name, num_classes=outputs).name

    @cached_property
    def _task(self) -> tasks.Task:
        """What networks are to do."""
        return tasks.get(self._config.basics.task)

    @cached_property
    def searched(self) -> images.Dataset:
        """Those of a search of this config; read when a stage first needs them."""
        basics, teacher = self._config.basics, self._config.search_teacher
        if teacher is not None:
            return release.load_data(records.trained(teacher).data)
        resolution = spaces.load(basics.space).input_shape[1]
        return self._task.load(self._config.data, resolution=resolution, seed=basics.seed)

    def of(self, described: Mapping[str, Any]) -> images.Dataset:
        """Those that a record describes."""
        known = vars(self).get("searched")  # a stage may have been skipped that would have read them
        for found in (known, self._read):
            if found is not None and found.describe() == described:
                return found
        self._read = release.load_data(described)
        return self._read

    def of_training(self, run: RunFolder) -> images.Dataset:
        """Those that the network of a run was trained on."""
        return self.of(records.trained(run.path).data)
