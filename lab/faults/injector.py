"""Begin and end every fault of a timeline when it is due, while the load runs."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import Any

from lab.errors import BadParameter, PlacementError
from lab.faults.fault import Fault, FaultKind
from lab.load.result import Progress
from lab.placement.running import Running
from lab.topology import Balancer, Topology
from services.fault_injection import FAULTS_PATH

__all__ = ["FaultInjector", "FaultRecord", "begin", "end", "require_targets"]

PATIENCE_S = 15.0
"""Seconds that faults may take to end once the load is over."""


@dataclass(frozen=True, slots=True)
class FaultRecord:
    """A fault as it was, in seconds on the monotonic clock."""

    fault: Fault
    began_s: float
    """Before anything was done."""
    relieved_s: float
    """Before the fault was undone, and a killed server started."""
    ended_s: float
    """After the fault was undone."""


class FaultInjector:
    """Plays faults on a running topology, each in a thread, so that a slow one delays no other.

    Made before the load; `close` it after the load.
    """

    def __init__(self, running: Running, faults: tuple[Fault, ...]) -> None:
        self._running = running
        self._faults = faults
        self._over = threading.Event()
        self._threads: list[threading.Thread] = []
        self._records: dict[Fault, FaultRecord] = {}
        self._errors: list[BaseException] = []

    def on_progress(self, progress: Progress) -> None:
        """Start the timeline at the first progress, as of when the load began. Later calls do nothing."""
        if self._threads:
            return
        origin = time.monotonic() - progress.elapsed_s
        for fault in self._faults:
            thread = threading.Thread(target=self._play, args=(fault, origin), name=str(fault), daemon=True)
            self._threads.append(thread)
            thread.start()

    def close(self) -> tuple[FaultRecord, ...]:
        """Undo at once what still goes on, and return what happened.

        Raises what went wrong with a fault, PlacementError for faults that neither happen nor fail.
        """
        self._over.set()
        until = time.monotonic() + PATIENCE_S
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))
        for error in self._errors:
            raise error
        hung = [thread.name for thread in self._threads if thread.is_alive()]
        if hung:
            raise PlacementError(f"{'; '.join(hung)}: not over after {PATIENCE_S:g} s: see in the logs why")
        return tuple(self._records[fault] for fault in self._faults if fault in self._records)

    def _play(self, fault: Fault, origin: float) -> None:
        try:
            if self._over.wait(origin + fault.at_s - time.monotonic()):
                return
            began = time.monotonic()
            begin(self._running, fault)
            self._over.wait(began + fault.lasts_s - time.monotonic())
            relieved = time.monotonic()
            end(self._running, fault)
            self._records[fault] = FaultRecord(fault, began, relieved, time.monotonic())
        except Exception as error:  # `close` raises it
            self._errors.append(error)


_FIELDS = {FaultKind.SLOW: "slowdown", FaultKind.ERRORS: "errors", FaultKind.DROP: "drops"}


def require_targets(topology: Topology, faults: tuple[Fault, ...]) -> None:
    """Check that every fault's server exists and can have that fault. Raises BadParameter."""
    for fault in faults:
        try:
            _, server = topology.server(fault.target)
        except KeyError as error:
            raise BadParameter(str(error.args[0])) from None
        if fault.kind in _FIELDS and isinstance(server, Balancer):
            raise BadParameter(f"{fault.target} is a balancer and cannot be told to {fault.kind}: kill it")


def begin(running: Running, fault: Fault) -> None:
    """Have the fault begin. Raises PlacementError where it cannot."""
    match fault.kind:
        case FaultKind.KILL:
            running.kill(fault.target)
        case FaultKind.FREEZE:
            running.freeze(fault.target)
        case FaultKind.RESTART:
            running.restart(fault.target)
        case _:
            _tell(running, fault.target, {_FIELDS[fault.kind]: fault.strength})


def end(running: Running, fault: Fault) -> None:
    """Undo the fault. Raises PlacementError where that cannot be."""
    match fault.kind:
        case FaultKind.KILL:
            running.restart(fault.target)
        case FaultKind.FREEZE:
            running.thaw(fault.target)
        case FaultKind.RESTART:
            pass
        case _:
            _tell(running, fault.target, {})


def _tell(running: Running, name: str, faults: dict[str, Any]) -> None:
    _, server = running.topology.server(name)
    status, said = running.ask(server, "POST", FAULTS_PATH, faults)
    if status != 200:
        raise PlacementError(
            f"{name} would not fail as told ({status} {said}): start it from a topology with_faults"
        )
