"""Which processes are of a trial: its servers wherever they listen, their back ends, and nobody else."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from lab.measure.trial_processes import (
    back_ends,
    family,
    hides,
    is_here,
    listeners,
    processes_of_trial,
    started_by,
)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells all of it")

TCP = "s = socket.create_server(('{host}', 0)); print(s.getsockname()[1], flush=True); sys.stdin.read()"
UNIX = (
    "s = socket.socket(socket.AF_UNIX); s.bind({path!r}); s.listen(); print(0, flush=True); sys.stdin.read()"
)
CONNECTED = "s = socket.create_connection(('127.0.0.1', {port})); print(0, flush=True); sys.stdin.read()"


@contextmanager
def running(program: str) -> Iterator[tuple[int, int]]:
    """Give the id of a process, and the number that it prints once it is ready."""
    command = [sys.executable, "-c", f"import socket, sys; {program}"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.pid, int(process.stdout.readline())
        process.communicate("")


def test_the_server_at_a_url_is_of_the_trial_and_so_is_this_process() -> None:
    with running(TCP.format(host="127.0.0.1")) as (pid, port):
        url = f"http://localhost:{port}/path"
        assert listeners(url) == {pid}
        assert {os.getpid(), pid} <= processes_of_trial(url)


def test_the_server_at_a_unix_socket_is_of_the_trial(tmp_path: Path) -> None:
    path = str(tmp_path / "app.sock")
    with running(UNIX.format(path=path)) as (pid, _):
        assert listeners(f"unix:{path}:/path") == {pid}


def test_an_address_of_this_machine_is_here_and_others_are_not() -> None:
    own = next(a.address for of in psutil.net_if_addrs().values() for a in of if a.family == socket.AF_INET)
    for host in (own, "localhost", "127.3.2.1", "[::1]", "0.0.0.0", socket.gethostname()):
        assert is_here(f"http://{host}:80/"), host
    for host in ("192.0.2.1", "[2001:db8::1]", "example.org"):
        assert not is_here(f"http://{host}:80/"), host
        assert listeners(f"http://{host}:80/") == frozenset()


def test_what_a_server_is_connected_to_is_its_back_end_and_its_clients_are_not() -> None:
    with (
        running(TCP.format(host="127.0.0.1")) as (back_end, port),
        running(CONNECTED.format(port=port)) as (server, _),
    ):
        assert back_ends({server}) == {back_end}
        assert back_ends({back_end}) == frozenset()


def test_a_server_in_a_container_is_hidden_behind_what_forwards_to_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with running(TCP.format(host="127.0.0.1")) as (_, port):
        url = f"http://127.0.0.1:{port}/"
        assert not hides(url)
        monkeypatch.setattr(psutil.Process, "name", lambda _: "docker-proxy")
        assert hides(url)
    assert hides(url), "nobody listens there that is seen"
    assert not hides("http://192.0.2.1/")


def test_whoever_started_this_process_is_of_a_trial_alone() -> None:
    """A login has started more than a trial, and the first process of a system everything."""
    parent = os.getppid()
    assert family({parent}) == {parent}
    with running(TCP.format(host="127.0.0.1")) as (pid, _):
        assert pid in started_by(os.getpid())
        assert family({os.getpid()}) >= {os.getpid(), pid}
