"""Measure how far the lab's numbers can be trusted: `python -m benchmarks.accuracy [goal …]`."""

from __future__ import annotations

import sys

from benchmarks.answers import answers
from benchmarks.capacity import capacity
from benchmarks.comparing import comparing, sittings
from benchmarks.cpu_starved import cpu_starved
from benchmarks.delay import delay
from benchmarks.goals import main
from benchmarks.histograms import histograms, intervals
from benchmarks.live_panel import live_panel, what_if_moves
from benchmarks.neighbours import neighbours, quiet, swamped
from benchmarks.pacing import pacing
from benchmarks.peaks import peaks
from benchmarks.queue import queue
from benchmarks.refusals import refusals
from benchmarks.schedules import schedules
from benchmarks.server_stall import server_stall
from benchmarks.simulator import simulator

GOALS = {
    "pacing": pacing,
    "stall": server_stall,
    "delay": delay,
    "queue": queue,
    "histograms": histograms,
    "intervals": intervals,
    "starved": cpu_starved,
    "neighbours": neighbours,
    "quiet": quiet,
    "swamped": swamped,
    "capacity": capacity,
    "peaks": peaks,
    "schedules": schedules,
    "comparing": comparing,
    "sittings": sittings,
    "answers": answers,
    "refusals": refusals,
    "simulator": simulator,
    "live": live_panel,
    "what_if": what_if_moves,
}

if __name__ == "__main__":
    sys.exit(main("accuracy", GOALS))
