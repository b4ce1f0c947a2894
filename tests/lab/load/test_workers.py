"""Workers share few connections as if each request had one, and the count in flight is exact."""

from __future__ import annotations

import socket
import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.arrivals import Closed, Constant, Load
from lab.load import endpoints
from lab.load.spec import LoadSpec
from lab.load.workers import InFlight
from services.wire.errors import FailureKind, NotConnected
from tests.support.generating import generate
from tests.support.raw_server import OK, close, raw_serving, reset, speak_first
from tests.support.scripted_server import Manner, ScriptedServer, serving

START = 5_000
changes = st.lists(st.tuples(st.integers(0, 40), st.sampled_from([1, 1, -1])), max_size=60)


@given(changes)
def test_the_integral_of_what_is_in_flight_is_that_of_a_step_function(steps) -> None:
    length, slices = 50, 60
    meter, now, count, at = InFlight(START, length), START, 0, np.zeros(length * slices)
    for gap, by in steps:
        now += gap
        change = by if count + by >= 0 else 1
        meter.change(change, now)
        count += change
        at[now - START :] = count
    meter.change(0, START + length * slices)
    assert meter.areas == at.reshape(slices, length).sum(axis=1).tolist()
    assert meter.count == count <= meter.peak


def test_connections_grow_to_the_limit_and_what_finds_none_is_dropped() -> None:
    with serving(lambda _: Manner.SILENCE) as server:
        spec = LoadSpec(
            url=server.url,
            load=Constant(100),
            duration_s=0.5,
            warmup_s=0.0,
            max_connections=5,
            read_timeout_s=1.5,
        )
        generator = generate(spec)
    assert generator.in_flight.peak == server.connections == 5
    assert generator.recorder.totals == {"read_timeout": 5}
    assert len(generator.recorder.dropped) == 45


def test_what_waited_for_a_connection_keeps_its_intended_start() -> None:
    def script(number: int) -> Manner:
        if number == 0:
            time.sleep(0.2)
        return Manner.ANSWER

    with serving(script) as server:
        spec = LoadSpec(url=server.url, load=Constant(50), duration_s=0.4, warmup_s=0.0, max_connections=1)
        window = generate(spec).recorder.window(0, 99)
    assert window.outcomes["http_200"] + window.dropped == 20
    waited = window.response_time.sum_ns - window.service_time.sum_ns
    assert waited >= 0.9 * (0.18 + 0.16 + 0.14 + 0.12 + 0.1 + 0.08 + 0.06 + 0.04 + 0.02) * 1e9


def test_an_idle_connection_that_the_server_closed_is_not_used_again() -> None:
    with serving(lambda _: Manner.ANSWER_AND_CLOSE) as server:
        spec = LoadSpec(url=server.url, load=Constant(50), duration_s=0.3, warmup_s=0.0)
        assert set(generate(spec).recorder.totals) == {"http_200"}
        assert server.connections >= len(server.requests)


LOADS: dict[str, Load] = {"closed": Closed(8), "open": Constant(100)}
LOST = {
    "closes at accept": (close, {"closed_early", "reset"}),
    "resets at accept": (reset, {"reset", "closed_early", "unreachable"}),
    "speaks first": (speak_first, {"protocol_error"}),
}


@pytest.mark.parametrize("load", LOADS.values(), ids=LOADS.keys())
@pytest.mark.parametrize("manner", LOST)
def test_every_attempt_on_a_connection_that_is_lost_at_once_is_counted(manner: str, load: Load) -> None:
    handle, classes = LOST[manner]
    with raw_serving(handle) as port:
        spec = LoadSpec(
            url=f"http://127.0.0.1:{port}/", load=load, duration_s=0.5, warmup_s=0.0, max_connections=8
        )
        recorder = generate(spec).recorder
    assert set(recorder.totals) <= classes
    if isinstance(load, Closed):
        assert recorder.totals.total() >= 2 * 8
    else:
        assert recorder.totals.total() + len(recorder.dropped) == 50
        assert recorder.totals.total() > 8


def test_no_worker_is_lost_where_a_server_sheds_connections() -> None:
    def shed(sock: socket.socket, number: int) -> None:
        if number % 3:
            close(sock, number)
        else:
            for _ in range(5):  # and then this one goes too
                sock.recv(65536)
                sock.sendall(OK)

    with raw_serving(shed) as port:
        spec = LoadSpec(url=f"http://127.0.0.1:{port}/", load=Closed(8), duration_s=1.0, warmup_s=0.0)
        generator = generate(spec)
    assert generator.recorder.totals["http_200"] > 0
    last = generator.recorder.timeline.completed[: generator.last_slice]
    assert last[-1] > 0
    assert generator.in_flight.peak == 8


def test_a_server_that_speaks_first_is_told_by_what_it_says() -> None:
    with raw_serving(speak_first) as port:
        spec = LoadSpec(url=f"http://127.0.0.1:{port}/", load=Closed(2), duration_s=0.2, warmup_s=0.0)
        (text,) = generate(spec).recorder.errors.values()
    assert r"220 hi\r\n" in text


def test_a_user_is_at_work_again_after_each_connection_that_was_closed_before_its_turn() -> None:
    """The loop that connects is held up, so the close is known before the connection is handed out."""
    with raw_serving(close) as port:
        spec = LoadSpec(url=f"http://127.0.0.1:{port}/", load=Constant(50), duration_s=0.6, warmup_s=0.0)
        recorder = generate(spec, held=(0.1, 0.2)).recorder
    assert recorder.totals.total() + len(recorder.dropped) == 30
    assert recorder.totals.total() > 20


def test_what_waits_while_all_connections_of_an_open_loop_are_in_use_is_counted() -> None:
    with serving(lambda _: Manner.SILENCE) as server:
        load, timeout_s = Constant(100), 1.0
        spec = LoadSpec(
            url=server.url,
            load=load,
            duration_s=0.5,
            warmup_s=0.0,
            max_connections=5,
            read_timeout_s=timeout_s,
        )
        assert generate(spec).recorder.window(0, 99).waited == 45
    with serving(lambda _: Manner.ANSWER) as server:
        spec = LoadSpec(url=server.url, load=Closed(5, think_time_s=0.01), duration_s=0.3, warmup_s=0.0)
        assert generate(spec).recorder.window(0, 99).waited == 0


def test_a_port_that_the_generator_lacks_is_its_own_failure(
    server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = 0

    async def connect(*arguments: Any, **more: Any) -> Any:
        nonlocal made
        made += 1
        if made <= 2:
            return await really_connect(*arguments, **more)
        raise NotConnected(FailureKind.NO_LOCAL_PORT, "127.0.0.1:1")

    really_connect = endpoints.connect
    monkeypatch.setattr(endpoints, "connect", connect)
    recorder = generate(LoadSpec(url=server.url, load=Closed(8), duration_s=0.3, warmup_s=0.0)).recorder
    assert set(recorder.totals) == {"http_200", "no_local_port"}
    assert recorder.totals["http_200"] == len(server.requests)
