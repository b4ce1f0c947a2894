"""External load balancers as processes: what they touch, how they start, and that nothing is left of them."""

from __future__ import annotations

import ipaddress
import socket
import sys
import tempfile
import threading
from pathlib import Path

import psutil
import pytest

from lab.errors import NotRunning, PortInUse, StartFailed
from lab.names import BalancerName
from lab.placement.proxies import PROXIES, Profile, ProxyProcess, proxy_process
from lab.placement.proxies.nginx import Nginx
from tests.support.placing import descendants
from tests.support.scripted_instances import ask
from tests.support.waiting import wait_until

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux does that, or shows it")
every = pytest.mark.parametrize("name", PROXIES)


@pytest.fixture
def nothing_left(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch):
    """Fails a test that leaves a process, a thread, an open file or a folder behind."""
    folder = tmp_path_factory.mktemp("w")  # short: a Unix socket's path is limited
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    before = (descendants(), threading.active_count(), psutil.Process().num_fds())
    yield
    wait_until(lambda: (descendants(), threading.active_count(), psutil.Process().num_fds()) == before)
    assert list(folder.iterdir()) == []


@every
@pytest.mark.parametrize("end", [lambda proxy: proxy.stop(2.0), ProxyProcess.kill], ids=["stopped", "killed"])
@pytest.mark.usefixtures("nothing_left")
def test_nothing_is_left_of_one_that_is_stopped_or_killed(name, end, start_proxy) -> None:
    proxy = start_proxy(name)
    folder = psutil.Process(proxy.pid).cwd()
    assert Path(folder).is_dir()
    end(proxy)
    assert not proxy.alive
    assert not psutil.pid_exists(proxy.pid)
    assert not Path(folder).exists()
    with socket.create_server(("127.0.0.1", proxy.settings.port)):
        pass


@every
@pytest.mark.parametrize("profile", Profile)
def test_it_listens_on_the_loopback_only_and_writes_to_its_folder_only(name, profile, start_proxy) -> None:
    proxy = start_proxy(name, profile)
    of_it = psutil.Process(proxy.pid)
    listening = [c.laddr for c in of_it.net_connections("tcp") if c.status == psutil.CONN_LISTEN]
    assert {at.port for at in listening} == {proxy.settings.port}
    assert all(ipaddress.ip_address(at.ip).is_loopback for at in listening)
    written = [Path(file.path) for file in of_it.open_files() if file.mode != "r"]
    named = [path for path in written if "(deleted)" not in path.name]
    assert all(path.is_relative_to(of_it.cwd()) for path in named)
    assert not of_it.children()


@every
def test_it_is_as_privileged_as_the_lab_and_no_more(name, start_proxy) -> None:
    assert psutil.Process(start_proxy(name).pid).uids() == psutil.Process().uids()


@on_linux
@pytest.mark.parametrize("name", [BalancerName.NGINX, BalancerName.HAPROXY, BalancerName.ENVOY])
def test_one_that_is_matched_has_one_worker(name, start_proxy) -> None:
    """(Threads of Go's runtime are no workers: for those, GOMAXPROCS says how many run at once.)"""
    threads = {thread.id for thread in psutil.Process(start_proxy(name).pid).threads()}
    workers = [
        i for i in threads if Path(f"/proc/{i}/comm").read_text().startswith(("nginx", "haproxy", "wrk:"))
    ]
    assert len(workers) == 1


@every
def test_cpu_time_and_memory_are_those_of_the_balancer(name, start_proxy) -> None:
    proxy = start_proxy(name)
    before = proxy.cpu_seconds()
    while proxy.cpu_seconds() == before:
        ask(proxy)
    assert 1 < proxy.rss_mb() < 1000


@every
@pytest.mark.usefixtures("nothing_left")
def test_a_busy_port_is_an_error_at_once(name, start_proxy, make_settings) -> None:
    settings = make_settings()
    with (
        socket.create_server(("127.0.0.1", settings.port)),
        pytest.raises(PortInUse, match=str(settings.port)),
    ):
        start_proxy(name, port=settings.port)


@pytest.mark.usefixtures("nothing_left")
def test_one_that_does_not_start_is_an_error_with_the_end_of_its_log(make_settings) -> None:
    class Misled(Nginx):
        def _configuration(self, *_: object, **__: object) -> dict[str, str]:
            return {"nginx.conf": "nonsense;\n"}

    proxy = ProxyProcess(Misled(), make_settings())
    with pytest.raises(
        StartFailed, match=r"service1-loadbalancer \(nginx\) ended.*unknown directive \\?\"nonsense"
    ):
        proxy.start()
    assert proxy.log_since()[0]


@pytest.mark.usefixtures("nothing_left")
def test_one_that_never_answers_is_an_error_and_no_hang(
    make_settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Sleeper(Nginx):
        def command(self, *_: object) -> list[str]:
            return ["/bin/sleep", "60"]

    monkeypatch.setattr(proxy_process, "START_S", 0.2)
    with pytest.raises(StartFailed, match=r"did not answer within 0.2 s, and its log is empty"):
        ProxyProcess(Sleeper(), make_settings()).start()


@pytest.mark.usefixtures("nothing_left")
def test_one_that_is_killed_while_it_starts_fails_to_start(make_settings) -> None:
    class Sleeper(Nginx):
        def command(self, *_: object) -> list[str]:
            return ["/bin/sleep", "60"]

    proxy = ProxyProcess(Sleeper(), make_settings())
    failures: list[BaseException] = []

    def start() -> None:
        try:
            proxy.start()
        except StartFailed as error:
            failures.append(error)

    starting = threading.Thread(target=start)
    starting.start()
    wait_until(lambda: proxy.alive and proxy.pid is not None)
    proxy.kill()
    starting.join(30)
    assert "was stopped before it answered" in str(failures[0])


def test_what_has_not_started_says_so(make_settings) -> None:
    proxy = ProxyProcess(Nginx(), make_settings())
    assert not proxy.alive
    assert proxy.log_since() == ([], 0)
    with pytest.raises(NotRunning):
        proxy.cpu_seconds()
    proxy.stop(1.0)


@every
def test_its_log_can_be_read_on_and_after_its_end(name, start_proxy, instances) -> None:
    proxy = start_proxy(name, check_interval_s=0.1)
    for instance in instances.by_name:
        instances.close(instance)
    ask(proxy)
    lines, position = proxy.log_since()
    proxy.kill()
    more, end = proxy.log_since(position)
    assert proxy.log_since()[0] == lines + more
    assert proxy.log_since(end) == ([], end)


@pytest.mark.usefixtures("nothing_left")
def test_many_starts_and_stops_leave_nothing(start_proxy) -> None:
    for _ in range(10):
        start_proxy(BalancerName.NGINX).stop(1.0)
