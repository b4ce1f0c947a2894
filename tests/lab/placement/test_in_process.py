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
from lab.topology import Topology

Make = Callable[..., Topology]
Get = Callable[[str], str]

STOP_S = 3.0
"""The contract's bound on leaving the block."""


def connects(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except (ConnectionRefusedError, ConnectionResetError):  # reset: it closes this very moment
        return False
    return True


def begin(port: int, request: bytes) -> socket.socket:
    """A connection with so much of a request sent on it."""
    sock = socket.create_connection(("127.0.0.1", port), timeout=10)
    sock.sendall(request)
    return sock


def wait_for_line(running: lab.Running, name: str, text: str) -> None:
    while text not in running.logs(name):
        time.sleep(0.01)


def test_inside_the_block_every_server_answers(make_topology: Make, get: Get) -> None:
    topology = make_topology(one="hello", two="hello")
    with lab.start(topology) as running:
        assert get(running.entry_url) == "one"
        assert get(topology.service("two").url) == "two"


def test_after_the_block_every_port_is_closed_and_the_thread_gone(make_topology: Make) -> None:
    topology, threads = make_topology(one="hello", two="hello"), threading.active_count()
    with lab.start(topology):
        pass
    assert not any(connects(port) for _, port in topology.ports())
    assert threading.active_count() == threads


def test_the_same_topology_starts_again_at_once(make_topology: Make, get: Get) -> None:
    topology = make_topology(one="hello")
    for _ in range(3):
        with lab.start(topology) as running:
            assert get(running.entry_url) == "one"


def test_it_works_where_a_loop_is_running_already_as_in_a_notebook(make_topology: Make, get: Get) -> None:
    async def cell() -> str:
        with lab.start(make_topology(one="hello")) as running:
            return get(running.entry_url)

    assert asyncio.run(cell()) == "one"


def test_the_block_may_be_an_async_one(make_topology: Make, get: Get) -> None:
    topology = make_topology(one="hello")

    async def main() -> str:
        async with lab.start(topology) as running:
            return await asyncio.to_thread(get, running.entry_url)

    assert asyncio.run(main()) == "one"
    assert not connects(topology.services[0].instances[0].port)


def test_an_async_block_that_is_cancelled_while_it_is_entered_leaves_nothing_running(
    make_topology: Make,
) -> None:
    topology = make_topology(**{f"s{n}": "hello" for n in range(20)})

    async def main() -> None:
        async with asyncio.timeout(0):
            async with lab.start(topology):
                raise AssertionError("entered")

    with pytest.raises(TimeoutError):
        asyncio.run(main())
    assert not any(connects(port) for _, port in topology.ports())


def test_a_busy_port_is_an_error_that_names_port_server_holder_and_remedy(make_topology: Make) -> None:
    topology = make_topology(one="hello", two="hello")
    port = topology.service("two").instances[0].port
    with socket.create_server(("127.0.0.1", port)):
        with pytest.raises(PortInUse) as caught, lab.start(topology):
            pass
        for part in (str(port), "two", "this very process", "--offset"):
            assert part in str(caught.value)
    assert not connects(topology.service("one").instances[0].port)


def test_an_application_that_fails_while_starting_is_named_with_its_last_words(make_topology: Make) -> None:
    topology = make_topology(fine="hello", ill="stillborn")
    with pytest.raises(StartFailed, match=r"ill did not start.*the database is away"), lab.start(topology):
        pass
    assert not any(connects(port) for _, port in topology.ports())


def test_an_application_that_cannot_be_made_is_named_with_the_reason(make_topology: Make) -> None:
    topology = make_topology(fine="hello", ill="refused")
    with pytest.raises(StartFailed, match=r"ill did not start.*no such model"), lab.start(topology):
        pass
    assert not any(connects(port) for _, port in topology.ports())


def test_an_application_that_does_not_exist_is_an_error_that_says_how_to_name_one(
    make_topology: Make,
) -> None:
    with pytest.raises(BadParameter, match="module:function"), lab.start(make_topology(one="nothing")):
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
def test_leaving_frees_every_port_in_time_whatever_state_requests_are_in(
    make_topology: Make, request_bytes: bytes
) -> None:
    topology = make_topology(stuck="never", fine="hello")
    with lab.start(topology):
        waiting = begin(topology.services[0].instances[0].port, request_bytes)
        leaving = time.monotonic()
    assert time.monotonic() - leaving < STOP_S
    assert not any(connects(port) for _, port in topology.ports())
    waiting.close()


def test_leaving_lets_a_request_in_flight_finish(make_topology: Make) -> None:
    topology = make_topology(one="slow")
    with lab.start(topology):
        sock = begin(topology.services[0].instances[0].port, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        time.sleep(0.05)
    with sock:
        assert sock.recv(1000).endswith(b"at last")


def test_an_error_in_the_block_frees_every_port_and_is_passed_on(make_topology: Make) -> None:
    topology = make_topology(one="hello")
    with pytest.raises(ZeroDivisionError), lab.start(topology):
        raise ZeroDivisionError
    assert not connects(topology.services[0].instances[0].port)


def test_a_killed_server_resets_its_connections_and_refuses_new_ones(make_topology: Make) -> None:
    topology = make_topology(one="never", two="hello")
    port = topology.services[0].instances[0].port
    with lab.start(topology) as running, begin(port, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n") as sock:
        time.sleep(0.05)
        running.kill("one")
        with pytest.raises(ConnectionResetError):
            sock.recv(1)
        assert not connects(port)
        assert connects(topology.services[1].instances[0].port)
        assert (running.alive("one"), running.alive("two")) == (False, True)


def test_a_killed_server_comes_back_on_its_port(make_topology: Make, get: Get) -> None:
    with lab.start(make_topology(one="hello")) as running:
        running.kill("one")
        running.restart("one")
        assert get(running.entry_url) == "one"


def test_restarting_a_server_that_is_up_lets_its_requests_finish(make_topology: Make) -> None:
    topology = make_topology(one="slow")
    port = topology.services[0].instances[0].port
    with lab.start(topology) as running, begin(port, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n") as sock:
        time.sleep(0.05)
        running.restart("one")
        assert sock.recv(1000).endswith(b"at last")
        assert connects(port)


def test_a_server_whose_port_was_taken_meanwhile_cannot_restart_and_says_why(make_topology: Make) -> None:
    topology = make_topology(one="hello")
    port = topology.services[0].instances[0].port
    with lab.start(topology) as running:
        running.kill("one")
        with socket.create_server(("127.0.0.1", port)), pytest.raises(PortInUse, match=str(port)):
            running.restart("one")
        running.restart("one")
        assert connects(port)


def test_killing_twice_is_an_error_that_says_what_to_do(make_topology: Make) -> None:
    with lab.start(make_topology(one="hello")) as running:
        running.kill("one")
        with pytest.raises(NotRunning, match="one is down already: restart it"):
            running.kill("one")


def test_a_server_that_does_not_exist_is_an_error_that_names_those_that_do(make_topology: Make) -> None:
    with lab.start(make_topology(one="hello", two="hello")) as running:
        with pytest.raises(NotRunning, match="one, two"):
            running.kill("three")
        with pytest.raises(NotRunning, match="one, two"):
            running.restart("three")


def test_outside_the_block_nothing_can_be_asked(make_topology: Make) -> None:
    running = lab.start(make_topology(one="hello"))
    with pytest.raises(NotRunning, match="with"):
        running.kill("one")
    with running:
        pass
    with pytest.raises(NotRunning, match="with"):
        running.stats()


def test_the_same_block_cannot_be_entered_twice_at_once(make_topology: Make, get: Get) -> None:
    with lab.start(make_topology(one="hello")) as running:
        with pytest.raises(PlacementError, match="up already"), running:
            pass
        assert get(running.entry_url) == "one"


def test_each_server_has_a_log_of_its_own(make_topology: Make, get: Get) -> None:
    topology = make_topology(one="hello", two="hello")
    with lab.start(topology) as running:
        get(topology.service("two").url + "/asked-of-two")
        wait_for_line(running, "two", "asked for /asked-of-two")
        assert "asked-of-two" not in running.logs("one")
        running.kill("two")
        assert running.logs("two").splitlines()[-1].endswith("killed")


def test_two_topologies_at_once_keep_their_logs_apart_and_whole(make_topology: Make, get: Get) -> None:
    with lab.start(make_topology(one="hello")) as first:
        with lab.start(make_topology(one="hello")):
            get(first.entry_url + "-1")
        get(first.entry_url + "-2")
        wait_for_line(first, "one", "-2")
        lines = [line.split(" ", 1)[1] for line in first.logs("one").splitlines()[1:]]
        assert lines == ["INFO asked for /one-1", "INFO asked for /one-2"]


def test_logs_can_be_followed_from_where_they_were_left(make_topology: Make, get: Get) -> None:
    with lab.start(make_topology(one="hello")) as running:
        _, position = running.logs_since("one")
        get(running.entry_url + "-next")
        wait_for_line(running, "one", "-next")
        lines, _ = running.logs_since("one", position)
        assert [line.split(" ", 1)[1] for line in lines] == ["INFO asked for /one-next"]


def test_servers_use_cpu_time_of_their_own(make_topology: Make, get: Get) -> None:
    with lab.start(make_topology(one="hello")) as running:
        before = running.cpu_seconds()
        for _ in range(20):
            get(running.entry_url)
        after = running.cpu_seconds()
        assert before.servers_s < after.servers_s < time.process_time()
        assert after.balancers_s is None
        assert running.rss_mb() >= 0
        assert running.balancers_rss_mb() is None


def test_listening_where_other_machines_can_reach_has_to_be_asked_for(make_topology: Make, get: Get) -> None:
    topology = make_topology(one="hello")
    (service,) = topology.services
    open_to_all = replace(service, instances=(replace(service.instances[0], host="0.0.0.0"),))
    with pytest.raises(BadParameter, match="expose=True"):
        lab.start(replace(topology, services=(open_to_all,)))
    with lab.start(replace(topology, services=(open_to_all,)), expose=True):
        assert get(service.url) == "one"


def test_what_is_no_topology_is_refused_with_an_example() -> None:
    with pytest.raises(BadParameter, match=r"'parallel' is no topology.*lab\.Topology\.parallel"):
        lab.start("parallel")  # type: ignore[arg-type]


def test_what_runs_tells_in_its_repr_what_it_is_and_whether_it_is_up(make_topology: Make) -> None:
    running = lab.start(make_topology(one="hello"))
    with running:
        assert repr(running) == f"<InProcess small at {running.entry_url}, up>"
    assert repr(running) == f"<InProcess small at {running.entry_url}, not up>"


def test_a_placement_that_does_not_exist_is_an_error_that_names_those_that_do(make_topology: Make) -> None:
    with pytest.raises(BadParameter, match=r"'cloud'.*in-process"):
        lab.start(make_topology(one="hello"), placement="cloud")  # type: ignore[arg-type]


def test_a_profile_that_does_not_exist_is_an_error_whoever_balances(make_topology: Make) -> None:
    with pytest.raises(BadParameter, match=r"'tuned'.*matched"):
        lab.start(make_topology(one="hello"), profile="tuned")  # type: ignore[arg-type]


def test_a_frozen_server_takes_connections_and_does_not_answer_until_it_is_thawed(
    make_topology: Make,
) -> None:
    topology = make_topology(one="hello")
    port = topology.services[0].instances[0].port
    request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    with lab.start(topology) as running, begin(port, request) as kept:
        assert kept.recv(1000).endswith(b"one")
        running.freeze("one")
        kept.sendall(request)
        with begin(port, request) as new:
            time.sleep(0.2)
            assert "asked for" in running.logs("one")
            assert running.logs("one").count("asked for") == 1
            running.thaw("one")
            assert kept.recv(1000).endswith(b"one")
            assert new.recv(1000).endswith(b"one")


def test_a_frozen_server_is_killed_and_left_like_any_other(make_topology: Make) -> None:
    topology = make_topology(one="hello", two="hello")
    with lab.start(topology) as running:
        for name in ("one", "two"):
            running.freeze(name)
        running.kill("one")
    assert not any(connects(port) for _, port in topology.ports())
