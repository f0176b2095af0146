"""A pool that is a Ray cluster (https://ray.io): Ray sends the tasks, and begins those of lost workers again.

A function, with the data that it holds, goes into the object store once, and to each machine once. What Ray
sends it pickles itself: let a cluster be reached by those only who may run programs on it.
"""

from __future__ import annotations

import logging
import os
import re
import secrets
import socket
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import hwnas
from hwnas import plugins
from hwnas.errors import HwnasError
from hwnas.pools.base import ATTEMPTS, Submitted, answered, lost, replied
from hwnas.pools.spec import PoolSpec

_HELLO_S = 120.0  # until a first worker has imported hwnas
_LISTENER_S = 10.0
_TOKEN = Path("~/.ray/auth_token")  # where Ray keeps it
_ENDED_S = 10.0  # until what was killed is no more
_LATE = "timed out during startup"  # what Ray says where a machine was too busy
_COUNTED_S = 2.0  # so long a count of the cluster's machines holds


class RayCluster:
    """The workers of a cluster that this process has joined: ``base.WorkerPool``.

    Args:
        ray: The module.
        spec: What each task needs.
    """

    is_elsewhere = True
    has_files = False  # other machines have other files

    def __init__(self, ray: Any, spec: PoolSpec) -> None:
        self._ray, self._spec = ray, spec
        self._run = _remote(ray, spec, replied)
        self._functions: dict[int, tuple[Callable[[Any], Any], Any]] = {}
        self._waiting: deque[Submitted] = deque()
        self._busy: dict[Any, Submitted] = {}
        self._counted, self._fits = -_COUNTED_S, 1

    @property
    def size(self) -> int:
        """As many tasks as the cluster has CPUs and GPUs for, with the machines that it has now."""
        if (now := time.monotonic()) - self._counted >= _COUNTED_S:
            self._counted, there = now, self._ray.cluster_resources()
            wanted = _wanted(self._spec).items()
            fits = [int(there.get(name, 0.0) / amount + 1e-9) for name, amount in wanted if amount]
            self._fits = max(1, min(fits))
        return self._fits

    def submit(self, number: int, function: Callable[[Any], Any], item: Any) -> None:
        """As of ``WorkerPool``."""
        self._waiting.append(Submitted(number, function, item))
        self._begin()

    def next(self) -> tuple[int, Any]:
        """As of ``WorkerPool``."""
        self._begin()
        done, _ = self._ray.wait(list(self._busy), num_returns=1)
        task = self._busy.pop(done[0])
        self._begin()
        return task.number, answered(self._reply(done[0], task))

    def abandon(self) -> None:
        """Cancel what is at work, by force: a training does not look whether it is wanted any more."""
        self._waiting.clear()
        while self._busy:
            self._ray.cancel(self._busy.popitem()[0], force=True)

    def _begin(self) -> None:
        room = self.size - len(self._busy) if self._waiting else 0
        for _ in range(min(room, len(self._waiting))):
            task = self._waiting.popleft()
            self._busy[self._run.remote(self._placed(task.function), task.item)] = task

    def _placed(self, function: Callable[[Any], Any]) -> Any:
        """Where the object store has a function; it is put there once."""
        if id(function) not in self._functions:
            self._functions[id(function)] = function, self._ray.put(function)
        return self._functions[id(function)][1]

    def _reply(self, found: Any, task: Submitted) -> tuple[bool, Any]:
        errors = self._ray.exceptions
        try:
            reply: tuple[bool, Any] = self._ray.get(found)
        except errors.OutOfMemoryError as error:
            raise lost(
                task.number, task.item, "was ended for want of memory", _more_memory(self._spec)
            ) from error
        except (errors.WorkerCrashedError, errors.NodeDiedError, errors.ObjectLostError) as error:
            raise lost(task.number, task.item, "was lost", "see Ray's own logs for what ended it") from error
        except errors.RayError as error:
            raise HwnasError(
                f"Ray must run a task to its end, but did not: {_line(error)}: see Ray's own logs"
            ) from error
        return reply


@contextmanager
def joined(spec: PoolSpec) -> Iterator[RayCluster]:
    """Be a driver of the cluster, or of one that is started here and ends with the context.

    Raises:
        HwnasError: Ray is not installed, the cluster cannot be reached, has no such resources, or its
            machines have another version of hwnas.
    """
    address = spec.address or os.environ.get("RAY_ADDRESS")
    ray = _module(is_new=not address)
    if ray.is_initialized():
        raise HwnasError(
            "a process must be in one Ray cluster at a time, but this one is in one already: leave it by "
            "ray.shutdown() first"
        )
    _join(ray, spec, address)
    try:
        _require_resources(ray, spec)
        pool = RayCluster(ray, spec)
        _require_same_version(ray, spec)
        try:
            yield pool
        finally:
            pool.abandon()
    finally:
        ray.shutdown()


def _module(*, is_new: bool) -> Any:
    """Ray, which reads how it is to be when it is imported.

    A cluster that is started here answers those only who know its token: Ray listens on every network. Where
    this machine has the token of another one, it is shown there.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is reported to anybody unless asked for
    os.environ.setdefault(
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0"
    )  # who asks for no GPU sees them as before
    os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", ".*")  # standard output is ours: it may be JSON
    if "ray" not in sys.modules and "RAY_AUTH_MODE" not in os.environ:
        if is_new:
            os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
            os.environ.setdefault("RAY_worker_niceness", "0")  # as processes of a pool are
        elif {"RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"} & set(os.environ) or _TOKEN.expanduser().exists():
            os.environ["RAY_AUTH_MODE"] = "token"
    try:
        import ray
        import ray.exceptions
    except ImportError as error:
        raise HwnasError(
            "a pool of Ray must have Ray, but it is not installed: run `pip install 'hwnas[ray]'`, or give "
            "--pool processes:N"
        ) from error
    return ray


def _join(ray: Any, spec: PoolSpec, address: str | None) -> None:
    environment: dict[str, Any] = {"worker_process_setup_hook": "hwnas.plugins.ready"}
    if inherited := os.environ.get(plugins.ENVIRONMENT):
        environment["env_vars"] = {plugins.ENVIRONMENT: inherited}
    try:
        _require_listener(address)
        init = partial(
            ray.init,
            address=f"ray://{spec.address}" if spec.address else None,
            runtime_env=environment,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
        if address:
            init()
        else:
            _start(partial(init, include_dashboard=False))
    except Exception as error:  # Ray raises bare ones as well, where a machine is too busy to start it
        raise HwnasError(
            f"a Ray cluster must be reachable, but {address or 'a new one of this machine'} is not: "
            f"{_line(error)}: see whether `ray start --head` runs there, with the same Ray and Python, "
            "and whether this machine has its token, in RAY_AUTH_TOKEN"
        ) from error


def _start(init: Callable[[], object]) -> None:
    """Start a cluster of this machine, a second time where it was too busy for the half minute Ray gives it.

    What a start that failed leaves running would stay until this process ends.
    """
    import psutil  # of the extra, as Ray is

    for is_last in (False, True):
        before = set(_programs_of_ray())
        try:
            init()
            return
        except Exception as error:
            left = set(_programs_of_ray()) - before
            for program in left:
                with suppress(psutil.NoSuchProcess):
                    program.kill()
            psutil.wait_procs(left, _ENDED_S)
            if is_last or _LATE not in str(error):
                raise


def _programs_of_ray() -> Iterator[Any]:
    """Those that this process has begun, and theirs."""
    import psutil

    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            if any("/ray/" in word for word in child.cmdline()):
                yield child


def _require_listener(address: str | None) -> None:
    """Raise OSError at once where nobody listens: Ray itself tries again for minutes."""
    found = re.search(r"([^/@]+):(\d+)$", address or "")
    if found:
        socket.create_connection((found[1].strip("[]"), int(found[2])), _LISTENER_S).close()


def _require_resources(ray: Any, spec: PoolSpec) -> None:
    """Refuse what the cluster has not: Ray would wait for it for ever."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    wanted = _wanted(spec)
    if not any(all(node.get(name, 0.0) >= amount for name, amount in wanted.items()) for node in nodes):
        most = {name: max((node.get(name, 0.0) for node in nodes), default=0.0) for name in wanted}
        raise HwnasError(
            f"a machine of the Ray cluster must have {spec.num_cpus:g} CPUs and {spec.num_gpus:g} GPUs for a "
            f"task, but the largest has {most['CPU']:g} and {most['GPU']:g}: ask for less, as --pool "
            f"'{PoolSpec('ray', address=spec.address)}?num_cpus=1'"
        )


def _require_same_version(ray: Any, spec: PoolSpec) -> None:
    try:
        theirs = ray.get(_remote(ray, spec, _version).remote(), timeout=_HELLO_S)
    except ray.exceptions.RayError as error:
        raise HwnasError(
            "the machines of a Ray cluster must have hwnas, and the plug-ins under the same paths, but a "
            f"first task did not run: {_line(error)}: install the same version on each"
        ) from error
    if theirs != hwnas.__version__:
        raise HwnasError(
            f"the machines of a Ray cluster must have the same version of hwnas, but one has {theirs} and "
            f"this one {hwnas.__version__}: install the same on each"
        )


def _remote(ray: Any, spec: PoolSpec, function: Callable[..., Any]) -> Any:
    """A function as Ray runs it: with what a task asks for, and again where its worker is lost."""
    resources = {"num_cpus": spec.num_cpus, "num_gpus": spec.num_gpus}
    return ray.remote(max_retries=ATTEMPTS - 1, **resources)(function)


def _wanted(spec: PoolSpec) -> dict[str, float]:
    """What a task asks for, as Ray counts what there is."""
    return {"CPU": spec.num_cpus, "GPU": spec.num_gpus}


def _version() -> str:
    return hwnas.__version__


def _more_memory(spec: PoolSpec) -> str:
    return f"ask for more CPUs a task, as num_cpus={2 * max(1.0, spec.num_cpus):g}, so that fewer run at once"


def _line(error: BaseException) -> str:
    """What an error says, in one line; of long ones, the last."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1][:300] if lines else type(error).__name__
