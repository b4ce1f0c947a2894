"""Keep a topology up: in this process until it is told to end, or in a process of its own."""

from __future__ import annotations

import subprocess
import time
from contextlib import closing, suppress

from rich.console import Console
from rich.table import Table

from lab.children import child_command
from lab.cli.control import Control
from lab.cli.state import Upkeep, claimed, everything_up, require_free
from lab.cli.topology_options import TopologyOptions
from lab.errors import StartFailed
from lab.placement import BalancerName, start
from lab.placement.logs import LogFile

__all__ = ["keep", "keep_in_background"]

READY_S = 30.0
POLL_S = 0.02


def keep(options: TopologyOptions) -> None:
    """Start the topology, print what is up, and keep it up until Ctrl-C, SIGTERM or `lab down`.

    Raises PlacementError where something is up at that offset already, or the topology does not start.
    """
    require_free(options.offset)
    with claimed(options.offset):
        upkeep = Upkeep.of_this_process(options)
        try:
            _serve(upkeep)
        finally:
            upkeep.remove()


def _serve(upkeep: Upkeep) -> None:
    options = upkeep.options
    with (
        start(options.build(), placement=options.placement, balancer=options.balancer) as running,
        Control(running, upkeep.control).open() as control,
        suppress(KeyboardInterrupt),
    ):
        upkeep.write()
        _print_banner(options, f"Ctrl-C ends it, or `lab down` from another shell (pid {upkeep.pid}).")
        control.serve()


def keep_in_background(options: TopologyOptions) -> None:
    """Start a process that keeps the topology up, return when it is ready, and leave it running.

    Raises StartFailed with the last line of that process where it does not get there.
    """
    require_free(options.offset)
    log = LogFile()
    with closing(log):
        keeper = subprocess.Popen(
            child_command("lab.cli", "up", *options.arguments()),
            stdin=subprocess.DEVNULL,
            stdout=log.fileno(),
            stderr=log.fileno(),
            start_new_session=True,
        )
        try:
            _wait_until_ready(keeper, log, _patience_s(options))
        except BaseException:
            keeper.kill()
            keeper.wait()
            raise
    keeper.returncode = 0  # it outlives this process on purpose: its destructor need not warn
    _print_banner(options, f"It runs in the background (pid {keeper.pid}) until `lab down`.")


def _patience_s(options: TopologyOptions) -> float:
    """Return how long the topology may take to come up: programs of one's own say that themselves."""
    programs = [service.program for service in options.build().services if service.program]
    return READY_S + sum(program.ready_within_s for program in programs)


def _wait_until_ready(keeper: subprocess.Popen[bytes], log: LogFile, patience_s: float) -> None:
    end = time.monotonic() + patience_s
    while not any(upkeep.pid == keeper.pid for upkeep in everything_up()):
        ended = keeper.poll() is not None
        words, _ = log.since()
        if ended:
            raise StartFailed(words[-1].removeprefix("lab: ") if words else "it ended without a message")
        if time.monotonic() > end:
            raise StartFailed(
                f"it was not ready after {patience_s:g} s" + (f": {words[-1]}" if words else "")
            )
        time.sleep(POLL_S)


def _print_banner(options: TopologyOptions, ending: str) -> None:
    topology = options.build()
    count = sum(len(service.instances) for service in topology.services)
    balancers = sum(service.balancer is not None for service in topology.services)
    kind = "" if options.balancer is BalancerName.BUILTIN else f"{options.balancer} "
    console = Console(highlight=False)
    behind = f" behind {balancers} {kind}balancers" if balancers else ", no balancers"
    console.print(f"[bold]{topology.name}[/bold] is up ({options.placement}): {count} instances{behind}")
    table = Table(box=None, pad_edge=False)
    for heading in ("service", "route", "balancer", "instances"):
        table.add_column(heading)
    for service in topology.services:
        letters = ((i.name.removeprefix(service.name), i.port) for i in service.instances)
        ports = "  ".join(f"{letter} {port}".strip() for letter, port in letters)
        balancer = str(service.balancer.port) if service.balancer else "–"
        table.add_row(service.name, service.path, balancer, ports)
    console.print(table)
    if options.tuning:
        console.print(f"balancers tuned: {options.tuning}", soft_wrap=True)
    console.print(f"post to {topology.entry_url}", soft_wrap=True)
    console.print(ending, soft_wrap=True)
