"""A stand-in for the package wandb: takes what its version 0.31 takes (names of arguments, as of
``inspect.signature`` of the real ones), notes it, and refuses all else."""

from __future__ import annotations

import os
import types
from pathlib import Path

_INIT = {
    *("entity", "project", "dir", "id", "name", "notes", "tags", "config", "config_exclude_keys"),
    *("config_include_keys", "allow_val_change", "group", "job_type", "mode", "force", "reinit", "resume"),
    *("resume_from", "fork_from", "save_code", "tensorboard", "sync_tensorboard", "monitor_gym", "settings"),
}
_SETTINGS = {
    "silent",
    "console",
    "disable_git",
    "disable_code",
    "symlink",
    "mode",
    "base_url",
    "init_timeout",
}


class Table:
    def __init__(self, columns=None, data=None):
        assert all(len(row) == len(columns) for row in data)
        self.columns, self.data = columns, data


class Config(dict):
    def update(self, d, allow_val_change=None):
        assert allow_val_change
        super().update(d)


class Run:
    def __init__(self, asked):
        self.asked, self.id = asked, asked["id"]
        self.config, self.summary = Config(), {}
        self.logged, self.metrics, self.saved = [], [], []
        self.exit_code = None

    def log(self, data, step=None, commit=None):
        self.logged.append(data)

    def define_metric(
        self, name, step_metric=None, step_sync=None, hidden=None, summary=None, overwrite=None
    ):
        assert "*" not in name[:-1]
        self.metrics.append((name, step_metric))

    def save(self, glob_str, base_path=None, policy="live", glob=True):
        assert policy in ("live", "now", "end")
        assert Path(glob_str).is_relative_to(base_path)
        self.saved.append(glob_str)

    def finish(self, exit_code=None):
        self.exit_code = exit_code


class StandIn(types.ModuleType):
    """The module: what it was asked for is in ``runs`` and ``logins``."""

    Table = Table

    def __init__(self, name):
        super().__init__(name)
        self.runs, self.logins, self.knows_user = [], [], True

    def Settings(self, **given):
        assert given.keys() <= _SETTINGS
        return given

    def init(self, **asked):
        assert asked.keys() <= _INIT
        assert asked["resume"] in ("allow", "never", "must", "auto")
        assert asked["reinit"] in ("default", "return_previous", "finish_previous", "create_new")
        assert os.environ["WANDB_SILENT"] == "true"
        self.runs.append(Run(asked))
        return self.runs[-1]

    def login(self, key=None, relogin=None, host=None, force=None, timeout=None, verify=False):
        if not self.knows_user:
            raise RuntimeError("No API key configured")
        self.logins.append(host)
        return True
