"""Server-Timing is read as the services write it, and as others do."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.server_timing import compose, find, metric_names, parse, totals, values_in_head


@pytest.mark.parametrize(
    ("value", "metrics"),
    [
        (b"s1-queue;dur=0.0, s1-work;dur=40.3", [(b"s1-queue", 0.0), (b"s1-work", 40.3)]),
        (b'db;desc="a query";dur=53, cache;desc=hit', [(b"db", 53.0)]),
        (b'app; dur="47.25"', [(b"app", 47.25)]),
        (b'x;desc="a, b;dur=1"; dur=2,y;n=1;dur=3', [(b"x", 2.0), (b"y", 3.0)]),
        (b"miss, total;dur=7", [(b"total", 7.0)]),
        (
            b"a;dur=5e-05, b;dur=1e3, c;dur=1.5E+2, d;dur=.5",
            [(b"a", 5e-5), (b"b", 1e3), (b"c", 150.0), (b"d", 0.5)],
        ),
        (b"a;DUR=1, b;Dur=2", [(b"a", 1.0), (b"b", 2.0)]),
        (b"a;dur=1e999, b;dur=nan, c;dur=-1", []),
        (b"", []),
    ],
)
def test_metrics_that_have_a_duration_are_found(value: bytes, metrics: list[tuple[bytes, float]]) -> None:
    assert parse(value) == metrics


def test_the_header_is_found_whatever_its_case_and_however_often_it_comes() -> None:
    headers = [(b"Content-Type", b"x"), (b"server-timing", b"a;dur=1"), (b"Server-Timing", b"b;dur=2")]
    assert find(headers) == b"a;dur=1, b;dur=2"
    assert find(headers[:2]) == b"a;dur=1"
    assert find(headers[:1]) == b""


def test_a_service_writes_its_own_times_in_ms_before_those_of_the_next() -> None:
    value = compose("s1", 0.0, 0.0403, None)
    assert value == "s1-queue;dur=0.000, s1-work;dur=40.300"
    assert compose("s0", 0.001, 0.002, value) == f"s0-queue;dur=1.000, s0-work;dur=2.000, {value}"
    assert metric_names(value) == {"s1-queue", "s1-work"}


VALUES = [
    b"a;dur=1",
    b"a;dur=1, b;dur=2.5",
    b" b;dur=5e-05 ,a;dur=1e3",
    b"",
    b"a",
    b"a;dur=x",
    b"a;dur=1e999",
    b"a;dur=nan",
    b"a;dur=-1",
    b"a;DUR=3",
    b'a;desc="x, b;dur=9";dur=4',
    b'a;dur="7"',
    b"a, b;dur=1;dur=2",
    b"1;dur=2",
    b"\xff;dur=1",
    b";dur=1",
    b"a;dur=1,",
]


@given(st.lists(st.sampled_from(VALUES), max_size=6))
def test_totals_of_many_values_are_what_each_says(values: list[bytes]) -> None:
    expected: dict[bytes, list[float]] = {}
    for value in values:
        for name, duration in parse(value):
            expected.setdefault(name, []).append(duration)
    found = totals(values)
    assert found == {name: (pytest.approx(sum(each)), len(each)) for name, each in expected.items()}


@pytest.mark.parametrize(
    ("head", "value"),
    [
        (b"HTTP/1.1 200 OK\r\nX: y", b""),
        (b"HTTP/1.1 200 OK\r\nSERVER-timing:\t a;dur=1 \r\nX: y", b"a;dur=1 "),
        (b"HTTP/1.1 200 OK\r\nX: server-timing: a;dur=1\r\nServer-Timing:b;dur=2", b"b;dur=2"),
        (b"HTTP/1.1 200 OK\r\nServer-Timing: a;dur=1\r\nX: y\r\nserver-timing: b;dur=2", b"a;dur=1, b;dur=2"),
    ],
)
def test_the_value_is_found_in_a_raw_head(head: bytes, value: bytes) -> None:
    assert values_in_head(head) == value
