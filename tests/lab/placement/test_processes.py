"""A topology of processes comes up, is hurt by signals, and leaves nothing."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace

import psutil
import pytest

import lab
from lab.errors import NotSupported, PortInUse, StartFailed
from lab.placement import processes
from lab.topology import Topology
from tests.support.placing import attempts, claimed, connects, descendants, pairs, post
from tests.support.waiting import wait_until

Claim = Callable[[Topology], Topology]


def in_processes(topology: Topology) -> lab.Running:
    return lab.start(topology, placement=lab.PlacementName.PROCESSES)


@pytest.fixture(scope="module")
def running() -> Iterator[lab.Running]:
    with claimed(pairs()) as topology, in_processes(topology) as started:
        yield started


def listeners() -> dict[int, int]:
    """Which of this process's descendants listens on which port."""
    found = {}
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            for connection in child.net_connections("tcp"):
                if connection.status == psutil.CONN_LISTEN:
                    found[connection.laddr.port] = child.pid
    return found


def test_the_pipeline_of_processes_answers_and_counts(running: lab.Running) -> None:
    def total() -> int:
        return sum(sum(attempts(running, service.name).values()) for service in running.topology.services)

    before = total()
    assert post(running.entry_url) == 200
    assert total() - before == 4


def test_each_server_is_a_process_with_a_log_of_its_own(running: lab.Running) -> None:
    ports = dict(running.topology.ports())
    pids = listeners()
    assert len({pids[port] for port in ports.values()}) == len(ports)
    for name, port in ports.items():
        assert f"{name} listens on http://127.0.0.1:{port}" in running.logs(name)


def test_what_befalls_instances_is_in_the_log_of_their_balancer(running: lab.Running) -> None:
    running.kill("service3b")
    for _ in range(2):
        assert post(running.entry_url) == 200
    running.restart("service3b")
    events = [line for line in running.logs("service3-loadbalancer").splitlines() if line.startswith("{")]
    assert ("ejected", "service3b") in {
        (e["event"], e["instance"].split(":")[0]) for e in map(json.loads, events)
    }


def test_a_log_can_be_read_on_from_where_it_was_left(running: lab.Running) -> None:
    _, position = running.logs_since("service4b")
    assert running.logs_since("service4b", position) == ([], position)
    running.restart("service4b")
    lines, _ = running.logs_since("service4b", position)
    assert len(lines) == 1


def test_a_killed_process_is_gone_and_comes_back(running: lab.Running) -> None:
    running.kill("service2a")
    assert not running.alive("service2a")
    assert not connects(running.topology.service("service2").instances[0].port)
    assert post(running.entry_url) == 200
    running.restart("service2a")
    assert running.alive("service2a")
    assert connects(running.topology.service("service2").instances[0].port)


def test_a_frozen_process_hangs_until_it_is_thawed(running: lab.Running) -> None:
    service = running.topology.service("service4")
    report = json.dumps(
        {"analysis": {"word_count": 0, "top_words": [], "unique_words": 0}, "request_id": "r"}
    ).encode()
    running.freeze("service4a")
    with socket.create_connection(("127.0.0.1", service.instances[0].port), timeout=10) as sock:
        sock.sendall(
            b"POST /report HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%b" % (len(report), report)
        )
        sock.settimeout(0.3)
        with pytest.raises(TimeoutError):
            sock.recv(1)
        running.thaw("service4a")
        sock.settimeout(30)
        assert sock.recv(100).startswith(b"HTTP/1.1 200")


def test_killing_one_instance_of_every_service_under_load_fails_no_request(running: lab.Running) -> None:
    seen: list[int] = []
    over = threading.Event()

    def keep_posting() -> None:
        while not over.is_set():
            seen.append(post(running.entry_url))

    posters = [threading.Thread(target=keep_posting) for _ in range(8)]
    for poster in posters:
        poster.start()
    victims = [service.instances[1].name for service in running.topology.services]
    for number, name in enumerate(victims, start=1):
        wait_until(lambda: len(seen) >= 20 * number)  # noqa: B023 (called in this turn of the loop)
        running.kill(name)
    done = len(seen)
    wait_until(lambda: len(seen) >= done + 20)
    over.set()
    for poster in posters:
        poster.join()
    for name in victims:
        running.restart(name)
    assert set(seen) == {200}


def test_a_third_instance_joins_and_leaves(running: lab.Running) -> None:
    instance = running.add_instance("service3")
    for _ in range(3):
        assert post(running.entry_url) == 200
    assert attempts(running, "service3")["service3c"] > 0
    running.remove_instance("service3c")
    assert not connects(instance.port)
    assert post(running.entry_url) == 200


def test_cpu_time_of_services_and_balancers_is_told_apart_and_outlives_their_processes(
    running: lab.Running,
) -> None:
    for _ in range(50):
        post(running.entry_url)
    before = running.cpu_seconds()
    assert before.balancers_s is not None
    assert before.servers_s > 0
    running.kill("service1a")
    after = running.cpu_seconds()
    running.restart("service1a")
    assert after.servers_s >= before.servers_s
    assert after.balancers_s is not None
    assert after.balancers_s >= before.balancers_s


def test_cpu_time_begins_anew_when_the_topology_comes_up_again(claim: Claim) -> None:
    topology = Topology.sequential().with_work(lab.Work(lab.WorkKind.CPU, mean_ms=500))
    running = in_processes(claim(topology))
    with running:
        assert post(running.entry_url) == 200
        worked = running.cpu_seconds()
    with running:
        rested = running.cpu_seconds()
    assert rested.servers_s < worked.servers_s


def test_memory_is_that_of_the_processes(running: lab.Running) -> None:
    assert running.rss_mb() > psutil.Process(os.getpid()).memory_info().rss / 1e8
    assert 0 < running.balancers_rss_mb() < running.rss_mb()


def test_after_the_block_no_process_port_or_descriptor_is_left(claim: Claim) -> None:
    topology, before, files = claim(pairs()), descendants(), psutil.Process().num_fds()
    with in_processes(topology) as running:
        running.freeze("service1a")
        running.logs("service1a")
    assert descendants() <= before
    assert not any(connects(port) for _, port in topology.ports())
    assert "listens" in running.logs("service1a")
    assert psutil.Process().num_fds() == files


def test_leaving_lets_a_request_in_flight_finish_through_all_services(
    claim: Claim, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "DRAIN_S", 30.0)
    statuses: list[int] = []
    with in_processes(claim(pairs(mean_ms=100))) as running:
        in_flight = threading.Thread(target=lambda: statuses.append(post(running.entry_url)))
        in_flight.start()
        wait_until(lambda: sum(attempts(running, "service1").values()) == 1)
    in_flight.join()
    assert statuses == [200]


async def test_the_block_may_be_an_async_one(claim: Claim) -> None:
    topology = claim(pairs())
    async with in_processes(topology) as running:
        assert await asyncio.to_thread(post, running.entry_url) == 200
    assert not any(connects(port) for _, port in topology.ports())


def test_a_busy_port_is_an_error_before_any_process_is_started(claim: Claim) -> None:
    topology = claim(pairs())
    port = topology.service("service3").instances[1].port
    refusal = pytest.raises(PortInUse, match=f"port {port}, which service3b wants")
    with socket.create_server(("127.0.0.1", port)), refusal, in_processes(topology):
        pass
    assert not any(connects(port) for _, port in topology.ports())


def test_a_server_that_cannot_start_is_named_with_its_last_words(claim: Claim) -> None:
    topology = claim(pairs())
    first, *rest = topology.services
    topology = replace(topology, services=(replace(first, path="/nonsense"), *rest))
    refusal = pytest.raises(StartFailed, match=r"service1a ended instead of starting.*/nonsense")
    with refusal, in_processes(topology):
        pass
    assert not any(connects(port) for _, port in topology.ports())


def test_an_application_of_ones_own_is_refused_with_the_way_out() -> None:
    first, *rest = pairs().services
    topology = replace(pairs(), services=(replace(first, app="mine:app"), *rest))
    with pytest.raises(NotSupported, match="in-process"), in_processes(topology):
        pass


def test_a_server_that_lost_its_port_to_another_is_not_taken_for_ready(
    claim: Claim, monkeypatch: pytest.MonkeyPatch
) -> None:
    topology = claim(pairs())
    monkeypatch.setattr(processes, "listen_all", lambda _: {})
    with (
        lab.start(topology),
        pytest.raises(StartFailed, match="ended instead of starting"),
        in_processes(topology),
    ):
        pass
