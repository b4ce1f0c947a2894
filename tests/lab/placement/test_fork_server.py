"""The fork server leaves the user's program alone, and its servers and it end with their client."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from typing import Any

import psutil
import pytest

import lab
from lab.children import child_command
from lab.errors import NotRunning
from lab.topology import Topology
from tests.support.placing import claimed, connects, descendants, pairs, require
from tests.support.waiting import wait_until

ROOT = Path(lab.__file__).parent.parent
PROCESSES = lab.PlacementName.PROCESSES
UNTOUCHED = """
import multiprocessing, multiprocessing.forkserver
assert multiprocessing.get_start_method(allow_none=True) is None
assert multiprocessing.forkserver._forkserver._forkserver_pid is None
assert multiprocessing.active_children() == []
"""


def run(script: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a script in a folder, with this repository's lab and nothing else on its path."""
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, script.name if script.parent == folder else str(script)],
        cwd=folder,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("placement", [lab.PlacementName.IN_PROCESS, PROCESSES])
def test_the_example_of_the_readme_runs_as_an_unguarded_script_and_leaves_multiprocessing_alone(
    placement: lab.PlacementName, tmp_path: Path
) -> None:
    example = re.search(r"```python\n(import lab\n.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert example is not None
    with claimed(Topology.parallel().with_replicas("service1", 5)) as topology:
        offset = topology.services[0].instances[0].port - 8051
        text = example[1].replace("with_replicas(", f"shifted({offset}).with_replicas(")
        text = text.replace("lab.start(topology)", f"lab.start(topology, placement={str(placement)!r})")
        script = tmp_path / "example.py"
        script.write_text(text + UNTOUCHED)
        done = run(script, tmp_path)
    assert done.stderr == ""
    url, stats = done.stdout.splitlines()
    assert url == topology.entry_url
    assert stats.startswith("{'service1-loadbalancer':")


@pytest.mark.parametrize("balancer", [lab.BalancerName.BUILTIN, lab.BalancerName.NGINX])
def test_servers_start_from_a_folder_that_holds_a_services_package_and_a_lab_module(
    balancer: lab.BalancerName, tmp_path: Path
) -> None:
    require(balancer)
    (tmp_path / "services").mkdir()
    (tmp_path / "services" / "__init__.py").touch()
    (tmp_path / "lab.py").touch()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    script = elsewhere / "start.py"
    with claimed(pairs()) as topology:
        offset = topology.services[0].instances[0].port - 8051
        script.write_text(
            "import lab\n"
            f"topology = lab.Topology.parallel(2).shifted({offset})\n"
            f"with lab.start(topology, placement='processes', balancer={str(balancer)!r}) as running:\n"
            "    print(len(running.stats()))\n"
        )
        done = run(script, tmp_path)
    assert (done.stdout, done.stderr) == ("4\n", "")


KEEP_UP = """
import sys, time, lab
from lab.topology import Topology
topology = Topology.sequential().shifted(int(sys.argv[1]))
with lab.start(topology, placement=lab.PlacementName.PROCESSES) as running:
    running.freeze("service2")
    print("up", flush=True)
    time.sleep(600)
"""


def test_all_processes_die_with_the_process_that_started_them_even_frozen_and_by_kill_9(
    tmp_path: Path,
) -> None:
    script = tmp_path / "keep_up.py"
    script.write_text(KEEP_UP)
    with claimed(Topology.sequential()) as topology:
        offset = topology.services[0].instances[0].port - 8051
        with subprocess.Popen([sys.executable, str(script), str(offset)], stdout=subprocess.PIPE) as starter:
            assert starter.stdout is not None
            assert starter.stdout.readline() == b"up\n"
            brood = psutil.Process(starter.pid).children(recursive=True)
            assert len(brood) == 5
            starter.send_signal(signal.SIGKILL)
        _, left = psutil.wait_procs(brood, timeout=30)
        assert not [process for process in left if process.status() != psutil.STATUS_ZOMBIE]
        assert not any(connects(port) for _, port in topology.ports())


def test_all_servers_die_with_the_fork_server() -> None:
    with claimed(pairs()) as topology:
        before = set(psutil.Process().children())
        with lab.start(topology, placement=PROCESSES) as running:
            (fork_server,) = set(psutil.Process().children()) - before
            fork_server.kill()
            wait_until(lambda: not any(connects(port) for _, port in topology.ports()))
            assert not running.alive("service1a")
            with pytest.raises(NotRunning, match="start the topology again"):
                running.restart("service1a")


def test_a_fork_server_whose_client_has_gone_before_the_answer_ends_without_a_word() -> None:
    near, far = Pipe()
    with far, near:
        fork_server = subprocess.Popen(
            child_command("lab.placement.fork_server_main"), stdin=far.fileno(), stderr=subprocess.PIPE
        )
        near.send(("statuses",))
    assert fork_server.communicate(timeout=60) == (None, b"")
    assert fork_server.returncode == 0


@pytest.mark.parametrize("answers", [0, 3, 20])
def test_an_interrupt_at_any_time_of_the_start_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, answers: int
) -> None:
    before, asked, recv = descendants(), 0, Connection.recv

    def interrupted(connection: Any) -> Any:
        nonlocal asked
        asked += 1
        if asked > answers:
            raise KeyboardInterrupt
        return recv(connection)

    with claimed(pairs()) as topology:
        monkeypatch.setattr(Connection, "recv", interrupted)
        with pytest.raises(KeyboardInterrupt), lab.start(topology, placement=PROCESSES):
            pass
        assert descendants() <= before
        assert not any(connects(port) for _, port in topology.ports())
