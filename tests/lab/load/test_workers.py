"""Workers share few connections as if each request had one, and the count in flight is exact."""

from __future__ import annotations

import time

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lab.arrivals import Constant
from lab.load.spec import LoadSpec
from lab.load.workers import InFlight
from tests.support.generating import generate
from tests.support.scripted_server import Manner, serving

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
