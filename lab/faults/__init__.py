"""Break servers on a timeline while a topology is under load, and tell what became of the requests.

`plan_faults` (plan.py) makes a FaultPlan of what a person sets, and `play` runs it once behind each balancer
with `run_faults` (experiment.py). One such run:

1. `timeline` (fault.py) reads the faults and orders them; injector.py refuses targets that cannot fail.
2. The topology comes up with instances that can be told to fail and that keep ledgers.
3. A FaultInjector (injector.py) has a thread for each fault; a Watch (watch.py) has one that asks the
   balancers for their events. Time runs from the generator's first word of progress.
4. lab.load.run loads the entry at a constant rate, beyond the end of the last fault.
5. report.py puts the requests, the events and the ledgers together into a FaultRun, with an Incident for each
   fault. Its row is valid although servers changed (EXEMPT).

A fault waits, then goes on, then is over; when the load ends first, it is undone at once. A fault that can
neither begin nor end is an error, which is raised once the load is over.
"""

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
