"""The command line, `lab`: what can be asked of the laboratory without writing Python.

`main` imports `app`, which hands every command to Typer and turns a LabError into one line and an exit code:
1 for what failed, 2 for what was misused, 130 for Ctrl-C. A command's module holds its options and imports
what it needs only when it runs, so that `lab --help` stays quick. What several commands share of options is
in `options`.

**A URL of anybody's.** `url` holds `load` and `saturate`, and reads what was typed into a LoadSpec.
`load_run` runs one load and appends its row to a CSV, `load_report` says what came of it; `saturation_run`
runs a search, probe by probe.

**A topology that stays up.** `up` turns its options into TopologyOptions (`topology_options`), and `keeper`
starts what they build. The keeper is the process of `lab up` itself or, with --detach, a child that runs the
same command again. It holds a lock on its offset of the ports, starts the topology, listens on a Unix socket
(`control`), writes an Upkeep beside it (`state`), and serves until `down`, Ctrl-C or SIGTERM; then it
removes both. So an offset goes from free to claimed (the lock), to up (the file), and back; the file of a
keeper that was killed is removed by the next command that reads it. The commands in `running` (`down`,
`kill`, `logs`, `restart`, `stats`, `test`) and `benchmark` run in other shells: `state` finds the Upkeep
meant, and they `ask` its socket. `test` sends requests itself and checks the answers (`acceptance`,
`acceptance_grpc`); `benchmark` drives it with closed loops (`benchmark_run`) and prints a table (`summary`).

**Files and the machine.** `results` reads CSVs (`compare`, `chart`, `check`; `comparison_table` prints), and
`doctor` tells what of this machine colours the numbers.
"""

from __future__ import annotations

import sys

from lab.plain_text import write_plainly

__all__ = ["main"]

INTERRUPTED = 130
"""The exit code of shells for a program that Ctrl-C ended: 128 and the number of SIGINT."""


def main() -> None:
    """Run the command line of this process and end it; print nothing for a Ctrl-C, even while importing."""
    write_plainly()
    try:
        from lab.cli.app import run

        run()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
