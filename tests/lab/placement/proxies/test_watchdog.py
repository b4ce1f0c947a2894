"""A program under a watchdog ends with the lab, however the lab ends, and not before."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest

from lab.names import BalancerName
from lab.placement.proxies import PROXIES, ProxyProcess
from tests.support.scripted_instances import ask
from tests.support.waiting import wait_until

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux does that")
every = pytest.mark.parametrize("name", PROXIES)

PARENT = """
import sys, time
from lab.names import BalancerName
from lab.placement.proxies import PROXIES, ProxyProcess
from services.balancer.settings import Address, BalancerSettings

settings = BalancerSettings("service1", int(sys.argv[2]), (Address("service1a", "127.0.0.1", 9),))
proxy = ProxyProcess(PROXIES[BalancerName(sys.argv[1])], settings)
proxy.start()
print(proxy.pid, flush=True)
time.sleep(600)
"""


@every
def test_a_balancer_ends_and_leaves_nothing_when_the_lab_is_killed(
    name, make_settings, start_proxy, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("w")  # short: a Unix socket's path is limited
    start_proxy(name).stop(1.0)  # which skips where it is not installed
    port = make_settings().port
    environ = {**os.environ, "TMPDIR": str(folder)}
    command = [sys.executable, "-c", PARENT, name, str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environ, cwd=Path.cwd()) as parent:
        assert parent.stdout is not None
        try:
            pid = int(parent.stdout.readline())
            assert psutil.pid_exists(pid)
            assert len(list(folder.iterdir())) == 1
        finally:
            parent.kill()
    wait_until(lambda: not psutil.pid_exists(pid) and not list(folder.iterdir()))
    with socket.create_server(("127.0.0.1", port)):
        pass


@on_linux
def test_a_balancer_ends_when_its_watchdog_is_killed(start_proxy) -> None:
    proxy = start_proxy(BalancerName.NGINX)
    program = psutil.Process(proxy.pid)
    program.parent().kill()
    wait_until(lambda: not program.is_running() or program.status() == psutil.STATUS_ZOMBIE)
    assert not proxy.alive


def test_a_balancer_outlives_the_thread_that_started_it(start_proxy) -> None:
    """(Linux tells a child of its parent's death when the parent's thread ends that made it.)"""
    started: list[ProxyProcess] = []
    thread = threading.Thread(target=lambda: started.append(start_proxy(BalancerName.NGINX)))
    thread.start()
    thread.join()
    assert ask(started[0]).status == 200
    assert started[0].alive


@on_linux
def test_a_program_may_open_as_many_files_as_the_system_lets_it_within_reason(start_proxy) -> None:
    proxy = start_proxy(BalancerName.NGINX)
    soft, hard = psutil.Process(proxy.pid).rlimit(psutil.RLIMIT_NOFILE)
    assert soft == min(8192, hard) or hard < 0
