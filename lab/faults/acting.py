"""Doing to a running topology what a fault says, and undoing it."""

from __future__ import annotations

from typing import Any

from lab.errors import BadParameter, PlacementError
from lab.faults.fault import Fault, FaultKind
from lab.placement.running import Running
from lab.topology import Balancer, Topology
from services.fault_injection import FAULTS_PATH

__all__ = ["begin", "end", "require_targets"]

_FIELDS = {FaultKind.SLOW: "slowdown", FaultKind.ERRORS: "errors", FaultKind.DROP: "drops"}


def require_targets(topology: Topology, faults: tuple[Fault, ...]) -> None:
    """Raises BadParameter for a fault of a server that is not there, or that cannot have it."""
    for fault in faults:
        try:
            _, server = topology.server(fault.target)
        except KeyError as error:
            raise BadParameter(str(error.args[0])) from None
        if fault.kind in _FIELDS and isinstance(server, Balancer):
            raise BadParameter(f"{fault.target} is a balancer and cannot be told to {fault.kind}: kill it")


def begin(running: Running, fault: Fault) -> None:
    """Have it happen. Raises PlacementError where it cannot."""
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
    """Undo it. Raises PlacementError where that cannot be."""
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
