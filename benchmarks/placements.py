"""Measure topologies in processes and behind external balancers: `python -m benchmarks.placements`."""

from __future__ import annotations

import sys

from benchmarks.balancer_rows import balancer_rows
from benchmarks.clients import clients
from benchmarks.cycles import cycles
from benchmarks.goals import main
from benchmarks.scaling import scaling

GOALS = {"scaling": scaling, "clients": clients, "balancer_rows": balancer_rows, "cycles": cycles}

if __name__ == "__main__":
    sys.exit(main("placements", GOALS))
