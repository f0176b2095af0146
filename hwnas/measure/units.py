"""Units of a shelf: which can be measured on, and which of them are alike."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from hwnas.device import Device, Target
from hwnas.errors import AgentError, DeviceError, TransportError
from hwnas.measure import adaptive, alike
from hwnas.measure.engine import Engine, Job, JobResult, greet
from hwnas.measure.options import ProfileOptions
from hwnas.measure.session import environment
from hwnas.shelf import Lease, Shelf, Unit, leased
from hwnas.transport import Transport, connect

_log = logging.getLogger(__name__)

Made = TypeVar("Made")


@dataclass(frozen=True)
class ReadyUnit:
    """A unit that is leased and connected."""

    lease: Lease
    transport: Transport

    @property
    def unit(self) -> Unit:
        """Which."""
        return self.lease.unit


@dataclass
class UnitAtWork:
    """A unit that measures.

    Attributes:
        ready: The unit.
        session: Its own session in the table.
        engine: Measures on it.
        paths: Where each model is on it, by digest.
        proof: Both anchors over those of the first unit; nothing of the first itself.
        gone: Why it does not measure any more.
        claimed: What it is to measure, and nobody else.
    """

    ready: ReadyUnit
    session: str
    engine: Engine
    paths: dict[str, str]
    proof: tuple[alike.AnchorRatio, ...] = ()
    gone: str = ""
    claimed: set[adaptive.Pair] = field(default_factory=set)

    @property
    def unit(self) -> Unit:
        """Which."""
        return self.ready.unit


@contextmanager
def connected(device: Device, shelf: Shelf) -> Iterator[list[ReadyUnit]]:
    """All units of a device that are free on a shelf, leased and connected; what does not answer is left out.

    Raises:
        DeviceError: There is none on the shelf.
        TransportError: Others have all of them, or none answers.
    """
    with leased(shelf, device.name) as leases, ExitStack() as stack:
        found: list[ReadyUnit] = []
        for lease in leases:
            try:
                found.append(ReadyUnit(lease, stack.enter_context(connect(device, lease.unit.serial))))
            except TransportError as error:
                _leave_out(lease.unit, error)
        if not found:
            raise TransportError(f"a unit of {device.name} must answer, but none does: see above")
        yield found


def of_one_kind(
    units: Sequence[ReadyUnit], target: Target, options: ProfileOptions
) -> tuple[list[ReadyUnit], dict[str, Any]]:
    """The units that say of themselves what the first one says, and that.

    Raises:
        DeviceError: None can measure.
    """

    def facts(unit: ReadyUnit) -> tuple[ReadyUnit, dict[str, Any]]:
        return unit, environment(greet(unit.transport, target, options), unit.transport.describe())

    found: list[ReadyUnit] = []
    own: dict[str, Any] = {}
    for unit, said in each(units, facts):
        why = alike.why_other(target, own or said, said)
        if why:
            _log.warning("%s is kept apart: %s; give it a descriptor of its own", unit.unit, why)
            continue
        own = own or said
        found.append(unit)
    if not found:
        raise DeviceError(f"a unit of {target.device} must be able to measure, but none is: see above")
    return found, own


def proven_alike(workers: Sequence[UnitAtWork], anchor: str) -> list[UnitAtWork]:
    """The first one, and those whose anchors are proven to take what they take on it.

    Args:
        workers: Units that are ready.
        anchor: Digest of the light anchor, which is a job like any other here.
    """
    first, others = workers[0], list(workers[1:])
    seen: dict[str, list[JobResult]] = {worker.session: [] for worker in workers}
    undecided = others
    for look in alike.LOOKS:
        if not undecided:
            break
        for number in range(len(seen[first.session]), look):

            def one(worker: UnitAtWork, number: int = number) -> None:
                job = Job(anchor, worker.paths[anchor], number)
                seen[worker.session] += [found for found in worker.engine.run([job]) if not found.failed]

            list(each([first, *undecided], one))  # in step, so that all see the same hour
        for worker in undecided:
            worker.proof = alike.ratios(seen[first.session], seen[worker.session])
        undecided = [worker for worker in undecided if not alike.is_decided(worker.proof)]
    for worker in workers:
        worker.engine.take_spans()  # of no row
    kept = [worker for worker in others if worker.proof and all(ratio.is_same for ratio in worker.proof)]
    for worker in others:
        if worker not in kept:
            _log.warning(
                "%s is kept apart: its anchors are not proven to take within %g %% of what they take on "
                "%s: %s; give it a descriptor of its own",
                worker.unit,
                100 * alike.MARGIN,
                first.unit.serial,
                ", ".join(map(str, worker.proof)) or "they could not be measured",
            )
    return [first, *kept]


def each(units: Sequence[ReadyUnit] | Sequence[UnitAtWork], work: Callable[[Any], Made]) -> Iterator[Made]:
    """What comes of each unit, all at once; those that are lost are left out."""
    with ThreadPoolExecutor(max(1, len(units))) as pool:
        for unit, future in [(unit, pool.submit(work, unit)) for unit in units]:
            try:
                yield future.result()
            except (TransportError, AgentError) as error:
                _leave_out(unit.unit, error)


def _leave_out(unit: Unit, error: Exception) -> None:
    _log.warning("%s is left out: %s", unit, error)
