"""One table from several units of a device: what is due is split among those that are proven alike.

Each unit works in a thread of its own and takes the next share of a round whenever it is free. One that
disappears, or whose lease is lost, gives back what it had; one that is hot or empty takes nothing meanwhile.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from hwnas.errors import DeviceError, TransportError
from hwnas.measure import adaptive
from hwnas.measure.engine import Engine, JobResult
from hwnas.measure.models import ModelFile
from hwnas.measure.options import Progress
from hwnas.measure.plan import ANCHORS, Item, shuffled
from hwnas.measure.session import ProfilingSession, new_id
from hwnas.measure.units import ReadyUnit, UnitAtWork, each, of_one_kind, proven_alike
from hwnas.shelf.leasing import require_held
from hwnas.tables import conditions, scales
from hwnas.tables.table import Note

_log = logging.getLogger(__name__)

_LOOK_S = 5.0  # between two looks at a unit that is hot or empty
_HOLDS_S = 1.0  # so long a list of what is due is used: to make one, all rows are looked at
_END_S = 60.0  # for units to come to an end once they are asked to


class SpreadSession(ProfilingSession):
    """Profiles one target on several units into one table.

    Arguments are those of ``ProfilingSession``, with units in the place of the transport.
    """

    def __init__(self, units: Sequence[ReadyUnit], *rest: Any) -> None:
        super().__init__(units[0].transport, *rest)
        self._units = list(units)
        self._workers: list[UnitAtWork] = []
        self._models: dict[str, str] = {}  # digests by key
        self._change = threading.Condition()  # also guards the table, and what is claimed
        self._plan: dict[
            adaptive.Pair, None
        ] = {}  # what was due when that was last looked at, less what came
        self._planned = -math.inf
        self._is_over = False
        self._done = self._total = 0

    def run(self, items: Sequence[Item]) -> None:
        """Measure what the table lacks of these items; nothing where it lacks nothing.

        Raises:
            DeviceError: No unit can be measured on any more; what was measured is kept.
        """
        self._items = {item.key: item for item in items}
        self._settled = set() if self._options.retry_failed else self._store.failed()
        wanted = [self._items[key] for key in dict.fromkeys(key for key, _ in self._todo())]
        if not wanted:
            return
        units, said = of_one_kind(self._units, self._target, self._options)
        self._store.begin(said)
        with self._folder() as folder:
            exported = self._export(wanted, folder)
            anchors = {anchor.key: exported.pop(anchor.key) for anchor in ANCHORS}
            with self._clock("push"):
                ready = self._ready(units, exported, anchors)
            with self._clock("compare"):
                self._workers = proven_alike(ready, anchors[ANCHORS[0].key].sha256)
            self._begin({key: file.sha256 for key, file in anchors.items()})
            self._store.add(*self._refused(exported))
            self._models = {key: file.sha256 for key, file in exported.items() if not file.failed}
            try:
                with self._clock("measure"):
                    self._spread()
            finally:
                self._end()
        self._require_any()

    def _ready(
        self, units: Sequence[ReadyUnit], exported: Mapping[str, ModelFile], anchors: Mapping[str, ModelFile]
    ) -> list[UnitAtWork]:
        """Units with all models on them; raises DeviceError where there is none."""
        models = {e.sha256: e.path for e in (*exported.values(), *anchors.values()) if not e.failed}

        def placed(unit: ReadyUnit) -> UnitAtWork:
            paths = {digest: unit.transport.push(path) for digest, path in models.items()}
            beside = [paths[anchor.sha256] for anchor in anchors.values()]
            return UnitAtWork(
                unit, new_id(), Engine(unit.transport, self._target, beside, self._options), paths
            )

        found = list(each(units, placed))
        if not found:
            raise DeviceError(f"a unit of {self._target.device} must take models, but none does: see above")
        return found

    def _begin(self, anchors: Mapping[str, str]) -> None:
        self._id = self._workers[0].session  # of what cannot be lowered, whoever would have measured it
        for number, worker in enumerate(self._workers, start=1):
            proof = {r.anchor: [round(v, 5) for v in (r.ratio, r.low, r.high)] for r in worker.proof}
            unit: dict[str, Any] = {"number": number, "of": len(self._workers)}
            unit |= {"anchors_over_first": proof} if proof else {}
            self._store.note(Note(worker.session, "begin", {**self._asked(anchors), "unit": unit}))

    def _spread(self) -> None:
        """Let all units measure until nothing is due, or the time is up, or none is left."""
        threads = [threading.Thread(target=self._work, args=(each,), daemon=True) for each in self._workers]
        for thread in threads:
            thread.start()
        try:
            for thread in threads:
                while thread.is_alive():  # in pieces: Ctrl-C is seen between them
                    thread.join(0.2)
        finally:
            with self._change:
                self._is_over = True
                self._change.notify_all()
            deadline = time.monotonic() + _END_S
            for thread in threads:
                thread.join(max(0.0, deadline - time.monotonic()))

    def _work(self, worker: UnitAtWork) -> None:
        try:
            while pairs := self._claim(worker):
                jobs = adaptive.batch(pairs, self._models, worker.paths, self._options.seed)
                for outcome in worker.engine.run(jobs):
                    require_held(worker.ready.lease)
                    self._take(worker, outcome, pairs)
                    if self._is_over:
                        return
                self._finish(worker)
        except Exception as error:  # noqa: BLE001  (said at the end; the others go on)
            worker.gone = str(error) or type(error).__name__
            _log.warning("%s is left out from now on: %s", worker.unit, worker.gone)
        finally:
            with self._change:
                worker.claimed = set()
                self._change.notify_all()

    def _claim(self, worker: UnitAtWork) -> list[adaptive.Pair]:
        """The next share of a round for a unit; waits where others have all that is due; none at the end."""
        if not self._becomes_fit(worker):
            return []
        with self._change:
            while not self._is_up() and (todo := self._due()):
                taken = set[adaptive.Pair]().union(*(other.claimed for other in self._workers))
                if free := [pair for pair in todo if pair not in taken]:
                    found = self._share(free, len({self._models[key] for key, _ in todo}))
                    worker.claimed = set(found)
                    return found
                self._change.wait(1.0)
        return []

    def _share(self, free: Sequence[adaptive.Pair], models: int) -> list[adaptive.Pair]:
        """A part of the first round that is due, drawn anew each time: no unit has always the same models."""
        number = min(n for _, n in free)
        digests = list(dict.fromkeys(self._models[key] for key, n in free if n == number))
        alive = sum(not other.gone for other in self._workers)
        count = max(1, math.ceil(models / max(1, alive)))
        chosen = set(shuffled(digests, self._options.seed, number)[:count])
        return [(key, n) for key, n in free if n == number and self._models[key] in chosen]

    def _becomes_fit(self, worker: UnitAtWork) -> bool:
        """Wait until a unit is neither hot nor empty, as long as others work; False at the end."""
        waits_for = getattr(worker.ready.transport, "waits_for", list[str])
        is_said = False
        while reasons := waits_for():
            if not is_said:
                _log.warning("%s waits: %s", worker.unit, "; ".join(reasons))
                is_said = True
            with self._change:
                self._change.wait(_LOOK_S)
                if self._is_up() or not self._due():
                    return False
                if not any(other.claimed for other in self._workers):
                    return True  # nobody else works: the gate before each run has the last word
            require_held(worker.ready.lease)
        return True

    def _take(self, worker: UnitAtWork, outcome: JobResult, pairs: Sequence[adaptive.Pair]) -> None:
        number, digest = outcome.job.number, outcome.job.model
        keys = sorted(key for key, n in pairs if n == number and self._models[key] == digest)
        with self._change:
            self._store.add(*(outcome.round(key, self._items[key].kind, worker.session) for key in keys))
            worker.claimed -= {(key, number) for key in keys}
            for key in keys:
                self._plan.pop((key, number), None)
            if outcome.failed:
                self._plan.clear()  # nothing more of it is due
            self._done += len(keys)
            self._progress(Progress(self._target, "measure", self._done, max(self._done, self._total)))
            self._change.notify_all()

    def _finish(self, worker: UnitAtWork) -> None:
        """A share of a round is measured: note what the unit was like meanwhile."""
        with self._change:
            spans = [conditions.span(*ends) for ends in worker.engine.take_spans()]
            self._store.note(*(Note(worker.session, "span", facts) for facts in spans))
            worker.claimed = set()
            self._change.notify_all()

    def _due(self) -> list[adaptive.Pair]:
        """What is not measured yet, also what units are at."""
        if not self._plan or time.monotonic() - self._planned > _HOLDS_S:
            self._plan = dict.fromkeys(pair for pair in self._todo() if pair[0] in self._models)
            self._planned = time.monotonic()
        self._total = self._done + len(self._plan)
        return list(self._plan)

    def _todo(self) -> list[adaptive.Pair]:
        """As of ``ProfilingSession``; what has failed on a unit is settled for all."""
        settled = self._settled | self._store.failed({worker.session for worker in self._workers})
        keys = [key for key in self._items if key not in settled]
        return adaptive.due(self._store.table, keys, self._options)

    def _is_up(self) -> bool:
        limit = self._options.max_minutes
        return self._is_over or (limit is not None and time.monotonic() - self._began > limit * 60)

    def _end(self) -> None:
        with self._change:
            missing = len(self._todo())
            for worker in self._workers:
                lost: Mapping[str, Any] = {}
                with suppress(TransportError):
                    lost = worker.ready.transport.take_losses().facts()
                gone = {"gone": True} if worker.gone else {}
                facts = {"seconds": self._seconds, "missing": missing, **lost, **gone}
                self._store.note(Note(worker.session, "end", facts))
            if self._store.table is not None:
                scales.remember(self._store.table)

    def _require_any(self) -> None:
        """Raise the last unit's reason where none is left and something is still due."""
        if all(worker.gone for worker in self._workers) and self._due():
            raise DeviceError(
                f"a unit of {self._target.device} must stay until all is measured, but the last one was "
                f"lost: {self._workers[-1].gone}; what was measured is kept, and the same command goes on "
                "from there"
            )
