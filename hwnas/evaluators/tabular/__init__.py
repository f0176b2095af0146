"""Published tables of trained networks, in place of training; one module a format.

Files are the user's own; none comes with hwnas. A table that has every network of a space, ``load`` makes a
``Benchmark`` of. What is more than that (other data, cells without a space, latencies by device) is read by
the modules: ``nasbench101``, ``nasbench1shot1``, ``nasbench201``, ``nats``, ``hwnasbench`` and ``help``.
"""

from __future__ import annotations

from hwnas.evaluators.tabular.benchmark import Benchmark, Tabular
from hwnas.evaluators.tabular.formats import load

__all__ = ["Benchmark", "Tabular", "load"]
