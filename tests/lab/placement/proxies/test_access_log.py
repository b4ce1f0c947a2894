"""Counting attempts from what a balancer wrote down."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.placement.proxies.access_log import AccessLog, LogCounter
from lab.placement.proxies.caddy import _attempts_in as in_caddy
from lab.placement.proxies.nginx import _attempts_in as in_nginx
from lab.placement.proxies.proxy import Count
from lab.placement.proxies.traefik import _attempts_in as in_traefik
from services.balancer.settings import Address, BalancerSettings

SETTINGS = BalancerSettings("service1", 8061, (Address("a", "127.0.0.1", 1), Address("b", "127.0.0.1", 2)))


def test_lines_are_counted_once_and_equal_ones_together(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("one\ntwo\none\n")
    log = AccessLog(path)
    assert log.new_lines() == {"one": 2, "two": 1}
    assert log.new_lines() == {}


def test_an_unfinished_line_waits_for_its_end(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("one\ntw")
    log = AccessLog(path)
    assert log.new_lines() == {"one": 1}
    with path.open("a") as file:
        file.write("o\n")
    assert log.new_lines() == {"two": 1}


def test_counts_grow_from_reading_to_reading_and_leave_strangers_out() -> None:
    readings = iter([{"x": 2}, {"x": 1}])
    counter = LogCounter(
        SETTINGS,
        lambda: next(readings),
        lambda _: [("127.0.0.1:1", True), ("127.0.0.1:2", False), ("lab", True)],
    )
    assert counter.counts() == {"a": Count(2, 2), "b": Count(2, 0)}
    assert counter.counts() == {"a": Count(3, 3), "b": Count(3, 0)}


@pytest.mark.parametrize(
    ("line", "attempts"),
    [
        ("127.0.0.1:1|0.001|200", [("127.0.0.1:1", False)]),
        ("127.0.0.1:1, 127.0.0.1:2|-, 0.001|200", [("127.0.0.1:1", True), ("127.0.0.1:2", False)]),
        ("127.0.0.1:1, instances|-, -|503", [("127.0.0.1:1", True), ("instances", True)]),
        ("127.0.0.1:1 : 127.0.0.1:2|- : 0.000|200", [("127.0.0.1:1", True), ("127.0.0.1:2", False)]),
        ("127.0.0.1:1, 127.0.0.1:2|-, -|499", [("127.0.0.1:1", True), ("127.0.0.1:2", False)]),
        ("-|-|413", [("-", True)]),
    ],
)
def test_a_line_of_nginx_tells_its_attempts_and_which_of_them_failed(line: str, attempts: list) -> None:
    assert list(in_nginx(line)) == attempts


@pytest.mark.parametrize(
    ("line", "attempts"),
    [
        ('{"msg":"upstream roundtrip","upstream":"127.0.0.1:1","status":502}', [("127.0.0.1:1", False)]),
        ('{"msg":"upstream roundtrip","upstream":"127.0.0.1:1","error":"EOF"}', [("127.0.0.1:1", True)]),
        (
            '{"msg":"upstream roundtrip","upstream":"127.0.0.1:1","error":"context canceled"}',
            [("127.0.0.1:1", False)],
        ),
        ('{"msg":"selected upstream","dial":"127.0.0.1:1","total_upstreams":4}', []),
    ],
)
def test_a_line_of_caddy_tells_of_one_attempt_or_none(line: str, attempts: list) -> None:
    assert list(in_caddy(line)) == attempts


@pytest.mark.parametrize(
    ("line", "attempts"),
    [
        ('{"DownstreamStatus":200,"ServiceAddr":"127.0.0.1:1"}', [("127.0.0.1:1", False)]),
        ('{"DownstreamStatus":502,"ServiceAddr":"127.0.0.1:1"}', [("127.0.0.1:1", True)]),
        ('{"DownstreamStatus":404}', []),
    ],
)
def test_a_line_of_traefik_tells_of_the_last_attempt(line: str, attempts: list) -> None:
    assert list(in_traefik(line)) == attempts
