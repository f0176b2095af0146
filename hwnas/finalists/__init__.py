"""Budgets are proven: finalists of a search are measured, repaired or refused.

``select_finalist`` works on the folder of a finished search. It writes

* ``finalists/*.jsonl``: what was measured, raw, one latency table a target;
* ``arch.json``: the architecture that was kept;
* ``search.json``: the same with its figures, and under ``promise`` (``hwnas-promise/1``):

  - ``kept``: whether the budgets are kept; ``refusal`` says why not;
  - ``targets``: for each budget ``name``, ``asked_ms``; ``predicted_ms`` and
    ``predicted_std_ms``, what was believed when the kept architecture was chosen to be measured;
    ``measured_ms``, ``measured_half_ms`` (the longer arm of the 95 % interval over all its
    sessions), ``interval_ms``, ``sessions``, ``slack``; null where it was not measured; ``note``;
    ``sentence``, the same for people, with half the 95 % interval after each ±, or its longer arm;
  - ``steps``: every round with its ``purpose``, ``seconds`` and ``entries`` (see ``loop.Step``);
  - ``repairs``, ``networks_measured``, ``rank`` ("fp32" or "int8"), ``options``, ``seconds``.
"""

from hwnas.finalists.candidates import FinalistsOptions
from hwnas.finalists.select import select_finalist
from hwnas.finalists.stage import SearchOptions, search_for, write_gallery

__all__ = [
    "FinalistsOptions",
    "SearchOptions",
    "search_for",
    "select_finalist",
    "write_gallery",
]
