"""Contract tests for what plug-ins bring: blocks, spaces, tasks, runtimes, strategies, trackers.

Ours pass them too. Each function raises an AssertionError that says what must hold and what was found, and
returns nothing::

    import hwnas
    from hwnas import testing

    def test_my_block():
        hwnas.load_plugins("mine.py")
        testing.check_block(hwnas.blocks.parse("mine_i8_o8"), (8, 16, 16))
"""

from __future__ import annotations

from hwnas.testing.blocks import check_block
from hwnas.testing.runtimes import check_runtime
from hwnas.testing.spaces import check_space
from hwnas.testing.strategies import check_strategy
from hwnas.testing.tasks import check_task
from hwnas.testing.trackers import check_tracker

__all__ = ["check_block", "check_runtime", "check_space", "check_strategy", "check_task", "check_tracker"]
