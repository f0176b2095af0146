"""Workers that tasks are given to: this process, others of this machine, or those of a Ray cluster."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from hwnas.pools.base import WorkerPool, ordered, unordered
from hwnas.pools.spec import HERE, PoolSpec


@contextmanager
def opened(spec: PoolSpec) -> Iterator[WorkerPool]:
    """Workers as asked for; they end with the context, and what they have in hand is given up.

    Raises:
        HwnasError: Ray is not installed, or its cluster cannot be used.
    """
    if spec.is_here:
        from hwnas.pools.here import ThisProcess

        yield ThisProcess()
    elif spec.kind == "ray":
        from hwnas.pools.ray import joined

        with joined(spec) as cluster:
            yield cluster
    else:
        from hwnas.pools.processes import Processes

        processes = Processes(spec.count)
        try:
            yield processes
        finally:
            processes.close()


__all__ = ["HERE", "PoolSpec", "WorkerPool", "opened", "ordered", "unordered"]
