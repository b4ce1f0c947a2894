"""The lab beside other people's programs, in interleaved runs: `python -m benchmarks.peers [goal …]`."""

from __future__ import annotations

import sys

from benchmarks.balancer_cpu import balancer_cpu
from benchmarks.generators import generators
from benchmarks.goals import main

GOALS = {"generators": generators, "balancer_cpu": balancer_cpu}

if __name__ == "__main__":
    sys.exit(main("peers", GOALS))
