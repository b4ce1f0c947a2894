"""The placement `processes`: every server of a topology in an operating-system process of its own.

The lab's own servers are forked by one fork server; programs of one's own run under watchdogs.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable
from contextlib import ExitStack, suppress
from signal import SIGCONT, SIGKILL, SIGSTOP, SIGTERM, Signals

import psutil

from lab.errors import NotRunning, NotSupported, StartFailed
from lab.placement.fork_server import ForkServerClient, clean_environ
from lab.placement.logs import LogFile
from lab.placement.own_programs import OwnPrograms
from lab.placement.ports import is_held, listen, listen_all
from lab.placement.running import Running, Usage
from lab.placement.server_settings import balancer_settings, service_settings
from lab.topology import PIPELINE, Balancer, Instance, Service, Topology
from services.command import SHARES_PORT

__all__ = ["Processes"]

START_S = 30.0
"""How long all servers together may take to answer."""
DRAIN_S = 1.0
"""How long requests in flight may take to leave the pipeline on leaving the block."""
STOP_S = 1.0
"""How long servers may then take to end before they are killed."""
RESTART_GRACE_S = 10.0
"""How long a server may take to end when it alone is stopped in good order."""
KILL_S = 5.0
"""How long the system may take to end a killed process."""
POLL_S = 0.01
OWN_POLL_S = 0.05
"""For a program of one's own, whose processes must be looked through."""


class Processes(Running):
    """A topology whose servers are processes, forked by one fork server."""

    def __init__(self, topology: Topology, *, balancers: bool = True, cores: Collection[int] = ()) -> None:
        super().__init__(topology, balancers=balancers, cores=cores)
        self._resources = ExitStack()
        self._fork_server = ForkServerClient()
        self._own = OwnPrograms()
        self._logs: dict[str, LogFile] = {}
        self._pids: dict[str, int] = {}
        self._cpu_s: dict[tuple[str, int], float] = {}
        """CPU seconds by name and pid, as last seen; a process that has ended keeps its entry."""

    def alive(self, name: str) -> bool:
        return name in self._running()

    def incarnations(self) -> dict[str, int]:
        return self._running()

    def kill(self, name: str) -> None:
        with self._changing:
            self._require_alive(name)
            self._note_cpu()
            self._signal(name, SIGKILL)
            self._wait_for_end([name], KILL_S)

    def freeze(self, name: str) -> None:
        with self._changing:
            self._require_alive(name)
            self._signal(name, SIGSTOP)

    def thaw(self, name: str) -> None:
        with self._changing:
            self._require_alive(name)
            self._signal(name, SIGCONT)

    def logs_since(self, name: str, position: int = 0) -> tuple[list[str], int]:
        self._require_known(name)
        return self._logs[name].since(position) if name in self._logs else ([], 0)

    def cpu_seconds(self) -> Usage:
        self._require_up()
        self._note_cpu()
        balancers = self._balancer_names()
        spent = [(name in balancers, seconds) for (name, _), seconds in self._cpu_s.items()]
        return Usage(
            servers_s=sum(seconds for balances, seconds in spent if not balances),
            balancers_s=sum(seconds for balances, seconds in spent if balances),
        )

    def rss_mb(self) -> float:
        self._require_up()
        below = [child.pid for name in self._own.running() for child in self._own.processes(name)[1:]]
        return sum(map(_memory_mb, [*self._running().values(), *below, self._fork_server.pid]))

    def balancers_rss_mb(self) -> float:
        self._require_up()
        return sum(_memory_mb(pid) for name, pid in self._running().items() if name in self._balancer_names())

    def _balancer_names(self) -> set[str]:
        return {service.balancer.name for service in self._topology.services if service.balancer}

    def _start_one(self, name: str) -> None:
        _, server = self._topology.server(name)
        listen(name, server.host, server.port).close()
        self._launch(name)
        self._wait_until_ready([name])

    def _stop_one(self, name: str) -> None:
        self._note_cpu()
        self._signal(name, SIGTERM)
        self._wait_for_end([name], RESTART_GRACE_S)

    def _open(self) -> None:
        foreign = [s.name for s in self._topology.services if s.program is None and s.app != PIPELINE]
        if foreign:
            raise NotSupported(
                f"{', '.join(foreign)} runs an application of its own, and a process runs the pipeline's: "
                "take the placement in-process, or describe it in a pipeline file"
            )
        for sock in listen_all(self._addresses()).values():
            sock.close()  # each server binds its own; this only shows that the port is free
        self._logs, self._cpu_s = {}, {}
        with ExitStack() as stack:
            stack.callback(self._close_logs)
            self._fork_server = ForkServerClient()
            stack.callback(self._fork_server.close)
            self._own = OwnPrograms()
            stack.callback(self._own.close)
            self._fork_server.start((self._adapter.service_module, self._adapter.balancer_module))
            stack.callback(self._end)
            for names in self._start_order():
                for name in names:
                    self._launch(name)
                self._wait_until_ready(names)
            self._resources = stack.pop_all()

    def _start_order(self) -> list[list[str]]:
        """Return names of servers that start together.

        All do, where they are the lab's. A program of one's own starts after those that it calls, and a
        balancer after its instances.
        """
        ours = [name for name, _, _ in self._addresses()]
        if not any(service.program for service in self._topology.services):
            return [ours]
        steps: dict[tuple[int, bool], list[str]] = {}
        for name in ours:
            service, server = self._topology.server(name)
            step = (len(self._topology.beyond(service)), isinstance(server, Balancer))
            steps.setdefault(step, []).append(name)
        return [steps[step] for step in sorted(steps)]

    def _close(self) -> None:
        self._resources.close()

    def _close_logs(self) -> None:
        for log in self._logs.values():
            log.close()

    def _end(self) -> None:
        """Stop the entry first: once it has ended, no request is in flight, and the others end together."""
        running = set(self._running())
        first = self._topology.services[0]
        entry = [first.balancer.name] if first.balancer else [i.name for i in first.instances]
        for names, patience_s in ((running & set(entry), DRAIN_S), (running, STOP_S)):
            for name in names:
                self._signal(name, SIGTERM)
            self._wait_for_end(names, patience_s)

    def _signal(self, name: str, number: Signals) -> None:
        if not self._own.signal(name, number):
            self._fork_server.signal(name, number)

    def _launch(self, name: str) -> None:
        service, server = self._topology.server(name)
        log = self._logs.get(name) or self._new_log(name)
        if isinstance(server, Instance) and service.program is not None:
            self._pids[name] = self._own.launch(self._topology, service, server, log)
            return
        if isinstance(server, Balancer):
            module, arguments = self._adapter.balancer_module, [service.name, "--events"]
            environ = balancer_settings(self._topology, service).to_environ()
        else:
            module, arguments = self._adapter.service_module, [service.name]
            environ = service_settings(self._topology, service, server).to_environ()
        shares = {SHARES_PORT: "1"} if is_held(server.host, server.port) else {}
        self._pids[name] = self._fork_server.launch(
            name, module, arguments, clean_environ({**environ, **shares}), log.fileno()
        )

    def _new_log(self, name: str) -> LogFile:
        log = self._logs[name] = LogFile()
        return log

    def _wait_until_ready(self, names: Iterable[str]) -> None:
        begun = time.monotonic()
        end = begun + START_S
        for name in names:
            service, server = self._topology.server(name)
            if isinstance(server, Instance) and service.program is not None:
                self._wait_for_program(service, server, begun + service.program.ready_within_s)
                continue
            while not (
                _listens(self._pids[name], server.port) and self._adapter.is_healthy(server.host, server.port)
            ):
                if not self.alive(name):
                    raise StartFailed(f"{name} ended instead of starting{self._last_words(name)}")
                if time.monotonic() > end:
                    raise StartFailed(f"{name} did not answer within {START_S:g} s{self._last_words(name)}")
                time.sleep(POLL_S)

    def _wait_for_program(self, service: Service, instance: Instance, end: float) -> None:
        """Wait until a program of one's own is ready, and note the address that it really listens on."""
        log = self._logs[instance.name]
        while (host := self._own.ready_at(service, instance)) is None:
            if not self.alive(instance.name):
                raise StartFailed(self._own.ended(service, instance, log))
            if time.monotonic() > end:
                raise StartFailed(self._own.late(service, instance, log))
            time.sleep(OWN_POLL_S)
        if host != instance.host:
            self._topology = self._topology.moved(instance.name, host)

    def _wait_for_end(self, names: Iterable[str], patience_s: float) -> None:
        """Wait until these servers have ended; kill those still running after `patience_s` seconds."""
        left, end = set(names), time.monotonic() + patience_s
        while left := left & set(self._running()):
            if time.monotonic() > end:
                for name in left:
                    self._signal(name, SIGKILL)
                end += KILL_S
            time.sleep(POLL_S)

    def _last_words(self, name: str) -> str:
        lines, _ = self.logs_since(name)
        return f": its log ends with {lines[-1]!r}" if lines else ", and its log is empty"

    def _note_cpu(self) -> None:
        for name, pid in self._running().items():
            with suppress(psutil.Error):
                tree = self._own.processes(name) or [psutil.Process(pid)]
                self._cpu_s[name, pid] = sum(map(_cpu_s, tree))

    def _running(self) -> dict[str, int]:
        """Return the pid of every server that is up; none once the fork server has ended."""
        try:
            statuses = self._fork_server.statuses()
        except NotRunning:
            statuses = {}
        ours = {name: pid for name, pid in self._pids.items() if statuses.get(name, 0) is None}
        return {**ours, **self._own.running()}


def _listens(pid: int, port: int) -> bool:
    """Return whether this process listens on the port, and not another that bound it first."""
    try:
        connections = psutil.Process(pid).net_connections(kind="tcp")
    except psutil.Error:
        return False
    return any(c.status == psutil.CONN_LISTEN and c.laddr and c.laddr.port == port for c in connections)


def _cpu_s(process: psutil.Process) -> float:
    """Return the CPU seconds of a process and of those of its children that have ended; 0 once it has."""
    with suppress(psutil.Error):
        times = process.cpu_times()
        return float(times.user + times.system + times.children_user + times.children_system)
    return 0.0


def _memory_mb(pid: int | None) -> float:
    """Return resident memory in 10⁶ bytes; of shared pages only a part, where the system tells (Linux)."""
    try:
        memory = psutil.Process(pid).memory_full_info()
    except psutil.Error:
        return 0.0
    return float(getattr(memory, "pss", memory.rss)) / 1e6
