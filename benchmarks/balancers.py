"""Run balancers as processes of their own, one worker or thread each: the built-in one and external ones."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from lab.names import BalancerName
from lab.placement.proxies import PROXIES, Place, Proxy, ProxyProcess
from lab.placement.proxies.nginx import ATTEMPTS, CONFIG, Nginx
from lab.placement.proxies.proxy import Program
from services.balancer.settings import BalancerSettings

__all__ = ["RunningBalancer", "builtin", "external", "system_nginx"]


@dataclass(frozen=True, slots=True)
class RunningBalancer:
    """A running balancer, by its port and its process."""

    port: int
    pid: int

    @property
    def cpu_s(self) -> float:
        """User and system time so far, in seconds, threads included."""
        # The scheduler counts nanoseconds (Linux); the times of a process come in ticks of ten milliseconds.
        counted = [file.read_text().split()[0] for file in Path(f"/proc/{self.pid}/task").glob("*/schedstat")]
        if counted:
            return sum(map(int, counted)) / 1e9
        times = psutil.Process(self.pid).cpu_times()
        return times.user + times.system


@contextmanager
def builtin(settings: BalancerSettings) -> Iterator[RunningBalancer]:
    """Run the built-in balancer as `python -m services.balancer` does."""
    process = subprocess.Popen(
        [sys.executable, "-m", "services.balancer", settings.service],
        env={**os.environ, **settings.to_environ()},
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        said = process.stdout.readline()
        if b"listens on" not in said:
            raise RuntimeError(f"the balancer did not start: {said!r}")
        yield RunningBalancer(settings.port, process.pid)
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


@contextmanager
def external(name: BalancerName, settings: BalancerSettings) -> Iterator[RunningBalancer]:
    """Run an external balancer, configured to do the same as far as it can, with its logs off."""
    with _run(_SilentNginx() if name is BalancerName.NGINX else PROXIES[name], settings) as running:
        yield running


@contextmanager
def system_nginx(settings: BalancerSettings) -> Iterator[RunningBalancer]:
    """Run the nginx that the system's own package brings. Raises ProgramMissing where there is none."""
    with _run(_SystemNginx(), settings) as running:
        yield running


@contextmanager
def _run(proxy: Proxy, settings: BalancerSettings) -> Iterator[RunningBalancer]:
    process = ProxyProcess(proxy, settings)
    process.start()
    try:
        assert process.pid is not None
        yield RunningBalancer(settings.port, process.pid)
    finally:
        process.stop(1.0)


class _SilentNginx(Nginx):
    """nginx without the log that the lab counts attempts by."""

    def _configuration(self, settings: BalancerSettings, place: Place, *, matched: bool) -> dict[str, str]:
        text = super()._configuration(settings, place, matched=matched)[CONFIG]
        lines = text.splitlines()
        quiet = [
            "    access_log off;" if ATTEMPTS in line and "access_log" in line else line for line in lines
        ]
        return {CONFIG: "\n".join(quiet) + "\n"}


class _SystemNginx(_SilentNginx):
    """The same from the system's package: built with other options than the wheel."""

    program = Program(shutil.which("nginx", path="/usr/sbin:/usr/bin") or "/usr/sbin/nginx", "nginx")
