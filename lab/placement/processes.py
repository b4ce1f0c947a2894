"""The placement `processes`: every server of a topology in an operating-system process of its own."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable
from contextlib import ExitStack, suppress
from signal import SIGCONT, SIGKILL, SIGSTOP, SIGTERM

import psutil

from lab.errors import NotRunning, NotSupported, StartFailed
from lab.placement.fork_server import ForkServerClient, clean_environ
from lab.placement.logs import LogFile
from lab.placement.ports import listen, listen_all
from lab.placement.running import Running, Usage
from lab.placement.server_settings import balancer_settings, service_settings
from lab.topology import PIPELINE, Balancer, Topology

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


class Processes(Running):
    """A topology whose servers are processes, forked by one fork server."""

    def __init__(self, topology: Topology, *, balancers: bool = True, cores: Collection[int] = ()) -> None:
        super().__init__(topology, balancers=balancers, cores=cores)
        self._resources = ExitStack()
        self._fork_server = ForkServerClient()
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
            self._fork_server.signal(name, SIGKILL)
            self._wait_for_end([name], KILL_S)

    def freeze(self, name: str) -> None:
        with self._changing:
            self._require_alive(name)
            self._fork_server.signal(name, SIGSTOP)

    def thaw(self, name: str) -> None:
        with self._changing:
            self._require_alive(name)
            self._fork_server.signal(name, SIGCONT)

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
        return sum(map(_memory_mb, [*self._running().values(), self._fork_server.pid]))

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
        self._fork_server.signal(name, SIGTERM)
        self._wait_for_end([name], RESTART_GRACE_S)

    def _open(self) -> None:
        own = [service.name for service in self._topology.services if service.app != PIPELINE]
        if own:
            raise NotSupported(
                f"{', '.join(own)} runs an application of its own, and a process runs the pipeline's: "
                "take the placement in-process"
            )
        for sock in listen_all(self._addresses()).values():
            sock.close()  # each server binds its own; this only shows that the port is free
        self._logs, self._cpu_s = {}, {}
        with ExitStack() as stack:
            stack.callback(self._close_logs)
            self._fork_server = ForkServerClient()
            stack.callback(self._fork_server.close)
            self._fork_server.start((self._adapter.service_module, self._adapter.balancer_module))
            names = [name for name, _, _ in self._addresses()]
            for name in names:
                self._launch(name)
            stack.callback(self._end)
            self._wait_until_ready(names)
            self._resources = stack.pop_all()

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
                self._fork_server.signal(name, SIGTERM)
            self._wait_for_end(names, patience_s)

    def _launch(self, name: str) -> None:
        service, server = self._topology.server(name)
        if isinstance(server, Balancer):
            module, arguments = self._adapter.balancer_module, [service.name, "--events"]
            environ = balancer_settings(self._topology, service).to_environ()
        else:
            module, arguments = self._adapter.service_module, [service.name]
            environ = service_settings(self._topology, service, server).to_environ()
        log = self._logs.get(name) or self._new_log(name)
        self._pids[name] = self._fork_server.launch(
            name, module, arguments, clean_environ(environ), log.fileno()
        )

    def _new_log(self, name: str) -> LogFile:
        log = self._logs[name] = LogFile()
        return log

    def _wait_until_ready(self, names: Iterable[str]) -> None:
        end = time.monotonic() + START_S
        for name in names:
            _, server = self._topology.server(name)
            while not (
                _listens(self._pids[name], server.port) and self._adapter.is_healthy(server.host, server.port)
            ):
                if not self.alive(name):
                    raise StartFailed(f"{name} ended instead of starting{self._last_words(name)}")
                if time.monotonic() > end:
                    raise StartFailed(f"{name} did not answer within {START_S:g} s{self._last_words(name)}")
                time.sleep(POLL_S)

    def _wait_for_end(self, names: Iterable[str], patience_s: float) -> None:
        """Wait until these servers have ended; kill those still running after `patience_s` seconds."""
        left, end = set(names), time.monotonic() + patience_s
        while left := left & set(self._running()):
            if time.monotonic() > end:
                for name in left:
                    self._fork_server.signal(name, SIGKILL)
                end += KILL_S
            time.sleep(POLL_S)

    def _last_words(self, name: str) -> str:
        lines, _ = self.logs_since(name)
        return f": its log ends with {lines[-1]!r}" if lines else ", and its log is empty"

    def _note_cpu(self) -> None:
        for name, pid in self._running().items():
            with suppress(psutil.Error):
                times = psutil.Process(pid).cpu_times()
                self._cpu_s[name, pid] = times.user + times.system

    def _running(self) -> dict[str, int]:
        """Return the pid of every server that is up; none once the fork server has ended."""
        try:
            statuses = self._fork_server.statuses()
        except NotRunning:
            return {}
        return {name: pid for name, pid in self._pids.items() if statuses.get(name, 0) is None}


def _listens(pid: int, port: int) -> bool:
    """Return whether this process listens on the port, and not another that bound it first."""
    try:
        connections = psutil.Process(pid).net_connections(kind="tcp")
    except psutil.Error:
        return False
    return any(c.status == psutil.CONN_LISTEN and c.laddr and c.laddr.port == port for c in connections)


def _memory_mb(pid: int | None) -> float:
    """Return resident memory in 10⁶ bytes; of shared pages only a part, where the system tells (Linux)."""
    try:
        memory = psutil.Process(pid).memory_full_info()
    except psutil.Error:
        return 0.0
    return float(getattr(memory, "pss", memory.rss)) / 1e6
