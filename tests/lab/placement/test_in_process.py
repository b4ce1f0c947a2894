"""A topology in a thread of this process comes up, is asked and hurt, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import replace

import pytest

import lab
from lab.errors import BadParameter, NotRunning, PlacementError, PortInUse, StartFailed
from lab.placement import in_process
from lab.topology import Topology
from services.wire import FailureKind
from tests.support.placing import connects, get, of_apps, pairs
from tests.support.waiting import wait_until

Claim = Callable[[Topology], Topology]
REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def begin(port: int, request: bytes = REQUEST) -> socket.socket:
    """Open a connection and send part of a request, or all of it."""
    sock = socket.create_connection(("127.0.0.1", port), timeout=30)
    sock.sendall(request)
    return sock


def wait_for_line(running: lab.Running, name: str, text: str) -> None:
    wait_until(lambda: text in running.logs(name))


def test_inside_the_block_every_server_answers(claim: Claim) -> None:
    topology = claim(of_apps(one="hello", two="hello"))
    with lab.start(topology) as running:
        assert get(running.entry_url) == "one"
        assert get(topology.service("two").url) == "two"


def test_after_the_block_every_port_is_closed_and_the_thread_gone(claim: Claim) -> None:
    topology, threads = claim(of_apps(one="hello", two="hello")), threading.active_count()
    with lab.start(topology):
        pass
    assert not any(connects(port) for _, port in topology.ports())
    assert threading.active_count() == threads


def test_the_same_topology_starts_again_at_once(claim: Claim) -> None:
    topology = claim(of_apps(one="hello"))
    for _ in range(3):
        with lab.start(topology) as running:
            assert get(running.entry_url) == "one"


async def test_it_works_where_a_loop_is_running_already_as_in_a_notebook(claim: Claim) -> None:
    with lab.start(claim(of_apps(one="hello"))) as running:
        assert get(running.entry_url) == "one"


async def test_the_block_may_be_an_async_one(claim: Claim) -> None:
    topology = claim(of_apps(one="hello"))
    async with lab.start(topology) as running:
        assert await asyncio.to_thread(get, running.entry_url) == "one"
    assert not connects(topology.services[0].instances[0].port)


async def test_an_async_block_that_is_cancelled_while_it_is_entered_leaves_nothing_running(
    claim: Claim,
) -> None:
    topology = claim(of_apps(**{f"s{n}": "hello" for n in range(20)}))

    async def enter() -> None:
        async with asyncio.timeout(0), lab.start(topology):
            raise AssertionError("entered")

    with pytest.raises(TimeoutError):
        await enter()
    assert not any(connects(port) for _, port in topology.ports())


def test_a_busy_port_is_an_error_that_names_port_server_holder_and_remedy(claim: Claim) -> None:
    topology = claim(of_apps(one="hello", two="hello"))
    port = topology.service("two").instances[0].port
    with socket.create_server(("127.0.0.1", port)):
        with pytest.raises(PortInUse) as caught, lab.start(topology):
            pass
        for part in (str(port), "two", "this very process", "--offset"):
            assert part in str(caught.value)
    assert not connects(topology.service("one").instances[0].port)


def test_an_application_that_fails_while_starting_is_named_with_its_last_words(claim: Claim) -> None:
    topology = claim(of_apps(fine="hello", ill="stillborn"))
    with pytest.raises(StartFailed, match=r"ill did not start.*the database is away"), lab.start(topology):
        pass
    assert not any(connects(port) for _, port in topology.ports())


def test_an_application_that_cannot_be_made_is_named_with_the_reason(claim: Claim) -> None:
    topology = claim(of_apps(fine="hello", ill="refused"))
    with pytest.raises(StartFailed, match=r"ill did not start.*no such model"), lab.start(topology):
        pass
    assert not any(connects(port) for _, port in topology.ports())


def test_an_application_that_does_not_exist_is_an_error_that_says_how_to_name_one(
    claim: Claim,
) -> None:
    with pytest.raises(BadParameter, match="module:function"), lab.start(claim(of_apps(one="nothing"))):
        pass


@pytest.mark.parametrize(
    "request_bytes",
    [
        pytest.param(b"", id="no byte sent"),
        pytest.param(b"POST /stuck HTTP/1.1\r\nHo", id="half a header"),
        pytest.param(b"POST /stuck HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf", id="half a body"),
        pytest.param(b"GET /stuck HTTP/1.1\r\nHost: a\r\n\r\n", id="no answer yet"),
        pytest.param(b"GET /stuck HTTP/1.1\r\nHost: a\r\n\r\n" * 3, id="pipelined"),
    ],
)
def test_leaving_frees_every_port_whatever_state_requests_are_in(claim: Claim, request_bytes: bytes) -> None:
    topology = claim(of_apps(stuck="never", fine="hello"))
    with lab.start(topology):
        waiting = begin(topology.services[0].instances[0].port, request_bytes)
    assert not any(connects(port) for _, port in topology.ports())
    waiting.close()


def test_leaving_takes_three_seconds_at_most() -> None:
    assert in_process.GRACE_S < in_process.STOP_S
    assert in_process.STOP_S + in_process.END_S <= 3.0


def test_leaving_lets_a_request_in_flight_finish(claim: Claim, monkeypatch: pytest.MonkeyPatch) -> None:
    topology = claim(of_apps(one="slow"))
    monkeypatch.setattr(in_process, "GRACE_S", 30.0)
    monkeypatch.setattr(in_process, "STOP_S", 31.0)
    with lab.start(topology) as running:
        sock = begin(topology.services[0].instances[0].port)
        wait_for_line(running, "one", "asked for")
    with sock:
        assert sock.recv(1000).endswith(b"at last")


def test_an_error_in_the_block_frees_every_port_and_is_passed_on(claim: Claim) -> None:
    topology = claim(of_apps(one="hello"))
    with pytest.raises(ZeroDivisionError), lab.start(topology):
        raise ZeroDivisionError
    assert not connects(topology.services[0].instances[0].port)


def test_a_killed_server_resets_its_connections_and_refuses_new_ones(claim: Claim) -> None:
    topology = claim(of_apps(one="never", two="hello"))
    port = topology.services[0].instances[0].port
    with lab.start(topology) as running, begin(port) as sock:
        wait_for_line(running, "one", "asked for")
        running.kill("one")
        with pytest.raises(ConnectionResetError):
            sock.recv(1)
        assert not connects(port)
        assert connects(topology.services[1].instances[0].port)
        assert (running.alive("one"), running.alive("two")) == (False, True)


def test_a_killed_server_comes_back_on_its_port(claim: Claim) -> None:
    with lab.start(claim(of_apps(one="hello"))) as running:
        running.kill("one")
        running.restart("one")
        assert get(running.entry_url) == "one"


def test_restarting_a_server_that_is_up_lets_its_requests_finish(claim: Claim) -> None:
    topology = claim(of_apps(one="slow"))
    port = topology.services[0].instances[0].port
    with lab.start(topology) as running, begin(port) as sock:
        wait_for_line(running, "one", "asked for")
        running.restart("one")
        assert sock.recv(1000).endswith(b"at last")
        assert connects(port)


def test_a_server_whose_port_was_taken_while_it_was_down_cannot_restart_and_says_why(claim: Claim) -> None:
    topology = claim(of_apps(one="hello"))
    port = topology.services[0].instances[0].port
    with lab.start(topology) as running:
        running.kill("one")
        with socket.create_server(("127.0.0.1", port)), pytest.raises(PortInUse, match=str(port)):
            running.restart("one")
        running.restart("one")
        assert connects(port)


def test_killing_twice_is_an_error_that_says_what_to_do(claim: Claim) -> None:
    with lab.start(claim(of_apps(one="hello"))) as running:
        running.kill("one")
        with pytest.raises(NotRunning, match="one is down already: restart it"):
            running.kill("one")


def test_a_server_that_does_not_exist_is_an_error_that_names_those_that_do(claim: Claim) -> None:
    with lab.start(claim(of_apps(one="hello", two="hello"))) as running:
        with pytest.raises(NotRunning, match="one, two"):
            running.kill("three")
        with pytest.raises(NotRunning, match="one, two"):
            running.restart("three")


def test_outside_the_block_nothing_can_be_asked(claim: Claim) -> None:
    running = lab.start(claim(of_apps(one="hello")))
    with pytest.raises(NotRunning, match="with"):
        running.kill("one")
    with running:
        pass
    with pytest.raises(NotRunning, match="with"):
        running.stats()


def test_the_same_block_cannot_be_entered_twice_at_once(claim: Claim) -> None:
    with lab.start(claim(of_apps(one="hello"))) as running:
        with pytest.raises(PlacementError, match="up already"), running:
            pass
        assert get(running.entry_url) == "one"


def test_each_server_has_a_log_of_its_own(claim: Claim) -> None:
    topology = claim(of_apps(one="hello", two="hello"))
    with lab.start(topology) as running:
        get(topology.service("two").url + "/asked-of-two")
        wait_for_line(running, "two", "asked for /asked-of-two")
        assert "asked-of-two" not in running.logs("one")
        running.kill("two")
        assert running.logs("two").splitlines()[-1].endswith("killed")


def test_two_topologies_at_once_keep_their_logs_apart_and_whole(claim: Claim) -> None:
    with lab.start(claim(of_apps(one="hello"))) as first:
        with lab.start(claim(of_apps(one="hello"))):
            get(first.entry_url + "-1")
        get(first.entry_url + "-2")
        wait_for_line(first, "one", "-2")
        lines = [line.split(" ", 1)[1] for line in first.logs("one").splitlines()[1:]]
        assert lines == ["INFO asked for /one-1", "INFO asked for /one-2"]


def test_logs_can_be_followed_from_where_they_were_left(claim: Claim) -> None:
    with lab.start(claim(of_apps(one="hello"))) as running:
        _, position = running.logs_since("one")
        get(running.entry_url + "-next")
        wait_for_line(running, "one", "-next")
        lines, _ = running.logs_since("one", position)
        assert [line.split(" ", 1)[1] for line in lines] == ["INFO asked for /one-next"]


def test_servers_use_cpu_time_of_their_own(claim: Claim) -> None:
    with lab.start(claim(of_apps(one="hello"))) as running:
        before = running.cpu_seconds()
        for _ in range(20):
            get(running.entry_url)
        after = running.cpu_seconds()
        assert before.servers_s < after.servers_s < time.process_time()
        assert after.balancers_s is None
        assert running.rss_mb() >= 0
        assert running.balancers_rss_mb() is None


def test_listening_where_other_machines_can_reach_has_to_be_asked_for(claim: Claim) -> None:
    topology = claim(of_apps(one="hello"))
    (service,) = topology.services
    open_to_all = replace(service, instances=(replace(service.instances[0], host="0.0.0.0"),))
    with pytest.raises(BadParameter, match="expose=True"):
        lab.start(replace(topology, services=(open_to_all,)))
    with lab.start(replace(topology, services=(open_to_all,)), expose=True):
        assert get(service.url) == "one"


def test_what_is_no_topology_is_refused_with_an_example() -> None:
    with pytest.raises(BadParameter, match=r"'parallel' is no topology.*lab\.Topology\.parallel"):
        lab.start("parallel")  # type: ignore[arg-type]


def test_what_runs_tells_in_its_repr_what_it_is_and_whether_it_is_up(claim: Claim) -> None:
    running = lab.start(claim(of_apps(one="hello")))
    with running:
        assert repr(running) == f"<InProcess small at {running.entry_url}, up>"
    assert repr(running) == f"<InProcess small at {running.entry_url}, not up>"


def test_a_placement_that_does_not_exist_is_an_error_that_names_those_that_do(claim: Claim) -> None:
    with pytest.raises(BadParameter, match=r"'cloud'.*in-process"):
        lab.start(claim(of_apps(one="hello")), placement="cloud")  # type: ignore[arg-type]


def test_a_profile_that_does_not_exist_is_an_error_behind_any_balancer(claim: Claim) -> None:
    with pytest.raises(BadParameter, match=r"'tuned'.*matched"):
        lab.start(claim(of_apps(one="hello")), profile="tuned")  # type: ignore[arg-type]


def test_a_frozen_server_takes_connections_and_does_not_answer_until_it_is_thawed(
    claim: Claim,
) -> None:
    topology = claim(of_apps(one="hello"))
    port = topology.services[0].instances[0].port
    with lab.start(topology) as running, begin(port) as kept:
        assert kept.recv(1000).endswith(b"one")
        running.freeze("one")
        kept.sendall(REQUEST)
        with begin(port) as new:
            time.sleep(0.2)
            assert running.logs("one").count("asked for") == 1
            running.thaw("one")
            assert kept.recv(1000).endswith(b"one")
            assert new.recv(1000).endswith(b"one")


def test_a_frozen_server_is_killed_and_left_like_any_other(claim: Claim) -> None:
    topology = claim(of_apps(one="hello", two="hello"))
    with lab.start(topology) as running:
        for name in ("one", "two"):
            running.freeze(name)
        running.kill("one")
    assert not any(connects(port) for _, port in topology.ports())


@pytest.mark.parametrize("protocol", lab.ProtocolName)
def test_what_balancers_ran_out_of_is_told(protocol: lab.ProtocolName, claim: Claim) -> None:
    with lab.start(claim(pairs().with_protocol(protocol))) as running:
        assert running.shortages() == {}
        for number in (1, 3):
            server = running._servers[f"service{number}-loadbalancer"]  # type: ignore[attr-defined]
            balancer = server._balancer
            balancer.loop.call_soon_threadsafe(balancer.fell_short, FailureKind.NO_DESCRIPTOR)
        wait_until(lambda: running.shortages() == {"out of descriptors": 2})
