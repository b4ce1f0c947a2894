"""What breaks while a topology is under load, and what becomes of the requests."""

from __future__ import annotations

from lab.faults.experiment import EXEMPT, run_faults
from lab.faults.fault import Fault, FaultKind, timeline
from lab.faults.plan import FaultPlan, plan_faults, play
from lab.faults.report import FaultRun, Incident

__all__ = [
    "EXEMPT",
    "Fault",
    "FaultKind",
    "FaultPlan",
    "FaultRun",
    "Incident",
    "plan_faults",
    "play",
    "run_faults",
    "timeline",
]
