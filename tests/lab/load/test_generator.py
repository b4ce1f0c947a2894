"""The generator sends what its load model says, and knows what is in flight."""

from __future__ import annotations

import math
import time

import pytest

from lab.arrivals import Closed, Constant, Load, Poisson
from lab.load.spec import LoadSpec
from tests.support.generating import generate
from tests.support.scripted_server import Manner, ScriptedServer, serving


def test_an_open_loop_sends_its_schedule_to_the_request(server: ScriptedServer) -> None:
    spec = LoadSpec(url=server.url, load=Poisson(300), duration_s=0.4, warmup_s=0.2, seed=4)
    generator = generate(spec)
    assert generator.recorder.totals == {"http_200": len(server.requests)}
    assert len(server.requests) + len(generator.recorder.dropped) == len(spec.schedule())
    assert len(generator.recorder.window(0, 99).schedule_lag) == len(spec.schedule())


def test_warmup_and_window_each_hold_their_own(server: ScriptedServer) -> None:
    spec = LoadSpec(url=server.url, load=Constant(100), duration_s=0.4, warmup_s=0.2)
    generator = generate(spec)
    warmup = generator.recorder.window(0, generator.first_slice)
    window = generator.recorder.window(generator.first_slice, generator.last_slice)
    count = window.outcomes["http_200"]
    assert warmup.outcomes.get("http_200", 0) + warmup.dropped == 20
    assert count + window.dropped == 40
    assert window.stages == {"a": (0.5 * count, count), "b": (2.0 * count, count)}


def test_a_warmup_that_fills_no_whole_slices_takes_nothing_from_the_window(server: ScriptedServer) -> None:
    spec = LoadSpec(url=server.url, load=Constant(200), duration_s=0.5, warmup_s=0.03)
    generator = generate(spec)
    window = generator.recorder.window(generator.first_slice, generator.last_slice)
    assert window.outcomes["http_200"] + window.dropped == 100


@pytest.mark.parametrize("failure", [Manner.UNAVAILABLE, Manner.SHORT_BODY])
@pytest.mark.parametrize("load", [Constant(100), Closed(2), Closed(2, think_time_s=0.01)])
def test_where_time_went_is_told_by_successes_alone(failure: Manner, load: Load) -> None:
    with serving(lambda n: failure if n % 2 else Manner.ANSWER) as server:
        recorder = generate(LoadSpec(url=server.url, load=load, duration_s=0.4, warmup_s=0.0)).recorder
    count = recorder.totals["http_200"]
    assert count < recorder.totals.total()
    assert recorder.window(0, 999).stages == {"a": (0.5 * count, count), "b": (2.0 * count, count)}


def test_a_closed_loop_keeps_as_many_in_flight_as_it_has_users() -> None:
    with serving(lambda _: Manner.SILENCE) as server:
        spec = LoadSpec(url=server.url, load=Closed(7), duration_s=0.3, warmup_s=0.0, read_timeout_s=0.5)
        generator = generate(spec)
        assert generator.in_flight.peak == 7
        assert generator.recorder.totals.total() == len(server.requests)


def test_the_window_of_a_closed_loop_waits_for_a_turn_of_every_user() -> None:
    with serving(lambda n: Manner.SILENCE if n == 0 else Manner.ANSWER) as server:
        spec = LoadSpec(url=server.url, load=Closed(3), duration_s=0.2, warmup_s=0.0, read_timeout_s=1.0)
        generator = generate(spec)
        assert generator.first_slice * spec.slice_ns >= 0.99e9  # a loop's clock counts in milliseconds
        assert generator.last_slice - generator.first_slice == spec.slices
        assert generator.recorder.window(generator.first_slice, 99).outcomes.keys() == {"http_200"}


def test_a_user_thinks_between_an_answer_and_the_next_request(server: ScriptedServer) -> None:
    spec = LoadSpec(url=server.url, load=Closed(2, think_time_s=0.1), duration_s=0.35, warmup_s=0.0)
    generator = generate(spec)
    run_s = generator.last_slice * spec.slice_ns / 1e9
    assert len(server.requests) <= 2 * (run_s / 0.1 + 1)


def test_requests_in_flight_at_the_end_are_waited_for_until_their_time_is_up() -> None:
    with serving(lambda _: Manner.SILENCE) as server:
        spec = LoadSpec(url=server.url, load=Closed(2), duration_s=0.1, warmup_s=0.0, read_timeout_s=0.3)
        assert generate(spec).recorder.totals == {"read_timeout": len(server.requests)}


def test_what_a_generator_that_hung_sends_at_the_very_end_is_waited_for_too() -> None:
    def slowly(_: int) -> Manner:
        time.sleep(0.01)
        return Manner.ANSWER

    with serving(slowly) as server:
        # It hangs from 463 ms to 520: over the answer of 460, the start of 480 and the end of the window.
        spec = LoadSpec(url=server.url, load=Constant(50), duration_s=0.5, warmup_s=0.0)
        assert generate(spec, held=(0.463, 0.057)).recorder.totals.keys() == {"http_200"}


def test_mean_in_flight_agrees_with_littles_law(server: ScriptedServer) -> None:
    spec = LoadSpec(url=server.url, load=Poisson(400), duration_s=0.5, warmup_s=0.1)
    generator = generate(spec)
    timeline = generator.recorder.timeline
    service = int(timeline.service_ns.sum()) / (len(timeline) * spec.slice_ns)
    assert math.isclose(timeline.in_flight_mean(0, len(timeline)), service, rel_tol=0.05)


def test_a_worker_that_says_it_closes_sends_once_on_a_connection() -> None:
    with serving(lambda _: Manner.ANSWER) as server:  # which itself would keep them open
        close = (("connection", "Close"),)
        spec = LoadSpec(url=server.url, load=Closed(2), duration_s=0.3, warmup_s=0.0, headers=close)
        assert set(generate(spec).recorder.totals) == {"http_200"}
        assert server.connections >= len(server.requests) > 2


def test_a_head_request_gets_an_answer_without_a_body() -> None:
    with serving(lambda _: Manner.HEAD) as server:
        spec = LoadSpec(url=server.url, load=Closed(1), duration_s=0.1, warmup_s=0.0, method="HEAD")
        assert set(generate(spec).recorder.totals) == {"http_200"}
        assert server.requests[0].startswith(b"HEAD / HTTP/1.1\r\n")
