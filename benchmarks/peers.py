"""Compare the lab with its peers, in interleaved runs: `python -m benchmarks.peers [goal …]`."""

from __future__ import annotations

import sys

from benchmarks.balancer_attacks import balancer_attacks
from benchmarks.balancer_cpu import balancer_cpu
from benchmarks.balancer_kill import balancer_kill
from benchmarks.balancer_malformed import balancer_malformed
from benchmarks.balancer_overload import balancer_overload
from benchmarks.balancer_random import balancer_random
from benchmarks.balancer_shortage import balancer_memory, balancer_shortage
from benchmarks.balancer_soak import balancer_soak
from benchmarks.balancer_stale import balancer_stale
from benchmarks.balancer_trouble import (
    balancer_abort,
    balancer_all_dead,
    balancer_frozen,
    balancer_rolling_restart,
)
from benchmarks.generators import generators
from benchmarks.goals import main
from benchmarks.policy_choice import policy_choice

GOALS = {
    "generators": generators,
    "balancer_cpu": balancer_cpu,
    "choosing": policy_choice,
    "balancer_kill": balancer_kill,
    "balancer_abort": balancer_abort,
    "balancer_frozen": balancer_frozen,
    "balancer_all_dead": balancer_all_dead,
    "balancer_rolling_restart": balancer_rolling_restart,
    "balancer_overload": balancer_overload,
    "balancer_random": balancer_random,
    "balancer_malformed": balancer_malformed,
    "balancer_shortage": balancer_shortage,
    "balancer_memory": balancer_memory,
    "balancer_attacks": balancer_attacks,
    "balancer_stale": balancer_stale,
    "balancer_soak": balancer_soak,
}

if __name__ == "__main__":
    sys.exit(main("peers", GOALS))
