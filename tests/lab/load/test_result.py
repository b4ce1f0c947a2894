"""Results tell the server's failures from the generator's own, and a slow server from too few connections."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest

from lab.arrivals import Closed, Constant, Load
from lab.load.histogram import Histogram
from lab.load.outcomes import OwnLimit
from lab.load.result import LoadResult, MeasurementWindow, ServiceTimes
from lab.load.spec import LoadSpec
from lab.load.timeline import Timeline


def result(
    outcomes: dict[str, int],
    *,
    dropped: int = 0,
    waited: int = 0,
    in_flight: float = 0.0,
    times: ServiceTimes | None = None,
    load: Load = Constant(100),  # noqa: B008 (frozen)
) -> LoadResult:
    """A result of ten slices, with that many in flight."""
    spec = LoadSpec(url="http://127.0.0.1:1/", load=load, duration_s=1.0, max_connections=10)
    timeline = Timeline.empty(spec.slice_ns, spec.slices)
    timeline.in_flight_ns[:] = round(in_flight * spec.slice_ns)
    none = Histogram()
    return LoadResult(
        spec=spec,
        started_at=datetime(2025, 1, 2, tzinfo=UTC),
        schedule_hash="abc",
        warmup_s=0.0,
        window_s=1.0,
        window=MeasurementWindow(outcomes, dropped, waited, none, none, none, {}),
        totals=outcomes,
        dropped_in_all=dropped,
        timeline=timeline,
        first_slice=0,
        last_slice=spec.slices,
        generators=(),
        service_times=times or ServiceTimes(),
    )


def test_what_the_generator_lacked_is_dropped_and_failed_nowhere() -> None:
    found = result({"http_200": 5, "reset": 2, "no_local_port": 4}, dropped=1)
    assert (found.requests, found.succeeded, found.failed, found.dropped) == (7, 5, 2, 5)
    assert found.failures == found.failures_in_all == {"reset": 2}
    assert found.own_failures == {"no_local_port": 4}
    assert found.own_limits == (OwnLimit.PORTS,)


def test_statuses_of_successes_are_told_apart() -> None:
    found = result({"http_302": 7, "http_200": 5, "http_404": 2})
    assert found.statuses == {"http_302": 7, "http_200": 5}


SAME = ServiceTimes(before_ns=1000, before=10, after_ns=11_000, after=100)
SLOWER = ServiceTimes(before_ns=1000, before=10, after_ns=20_000, after=100)


@pytest.mark.parametrize(
    ("changed", "bound"),
    [
        ({}, True),
        ({"times": SLOWER}, False),  # the server has a queue: it is what bounds
        ({"times": ServiceTimes()}, False),
        ({"waited": 1}, False),
        ({"in_flight": 5.0}, False),  # for a moment only, as where a server stalls
        ({"load": Closed(10)}, False),
    ],
)
def test_connections_bound_a_run_where_all_are_in_use_and_answers_take_no_longer(
    changed, bound: bool
) -> None:
    given = {"waited": 40, "in_flight": 9.9, "times": SAME, **changed}
    assert (OwnLimit.CONNECTIONS in result({"http_200": 60}, dropped=40, **given).own_limits) is bound


def test_service_times_are_parted_where_all_connections_were_first_in_use() -> None:
    times = ServiceTimes()
    times.add(np.array([1, 2, 3]), np.array([10, 20, 30]), None)
    times.add(np.array([4, 5]), np.array([40, 50]), 5)
    assert times == ServiceTimes(before_ns=100, before=4, after_ns=50, after=1)
    assert ServiceTimes.merged([times, times]) == ServiceTimes(200, 8, 100, 2)
