"""A specification survives the way to another process, and is checked before anything starts."""

from __future__ import annotations

import ipaddress
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.arrivals import Closed, Constant, Poisson, Steps
from lab.errors import BadParameter, RemoteRefused
from lab.load.spec import LoadSpec, PipelineBody, WarmupMode, processes_for

LOCAL = "http://127.0.0.1:8051/process"
bodies = st.one_of(st.none(), st.binary(), st.builds(PipelineBody, st.integers(1, 99), st.none() | st.text()))
specs = st.builds(
    LoadSpec,
    url=st.just(LOCAL),
    load=st.sampled_from([Closed(3, 0.5), Poisson(20.5), Steps((1, 2))]),
    body=bodies,
    warmup_mode=st.sampled_from(WarmupMode),
    headers=st.lists(st.tuples(st.text(), st.text()), max_size=2).map(tuple),
    cpus=st.lists(st.integers(0, 3)).map(tuple),
)


@given(specs)
def test_a_spec_survives_json(spec: LoadSpec) -> None:
    assert LoadSpec.from_json(json.loads(json.dumps(spec.to_json()))) == spec


@given(st.floats(0.05, 1000))
def test_the_slices_make_up_the_window(duration_s: float) -> None:
    spec = LoadSpec(url=LOCAL, load=Closed(1), duration_s=duration_s)
    assert 10 <= spec.slices <= 250
    assert spec.slices * spec.slice_ns == pytest.approx(duration_s * 1e9, abs=spec.slices)


@given(st.floats(0.05, 100), st.floats(0, 10), st.floats(1, 1000))
def test_the_schedule_fills_the_window_whatever_the_warmup(
    duration_s: float, warmup_s: float, rate: float
) -> None:
    spec = LoadSpec(url=LOCAL, load=Constant(rate), duration_s=duration_s, warmup_s=warmup_s)
    places = spec.schedule().intended_ns // spec.slice_ns - spec.warmup_slices
    window = places[places >= 0]
    assert abs(len(window) - rate * duration_s) < 2
    assert places.max() < spec.slices


def test_a_closed_loop_has_no_more_generators_than_users() -> None:
    assert [processes_for(load, 4) for load in (Closed(2), Closed(9), Constant(1))] == [2, 4, 4]


@pytest.mark.parametrize(
    ("changed", "name"),
    [
        ({"duration_s": 0}, "duration_s"),
        ({"read_timeout_s": 1e300}, "read_timeout_s"),
        ({"warmup_s": 1e300}, "warmup_s"),
        ({"headers": (("Content-Length", "3"),), "body": b"four"}, "Content-Length"),
        ({"headers": (("Content-Length", "3"),), "body": PipelineBody()}, "Content-Length"),
        ({"duration_s": float("inf")}, "duration_s"),
        ({"duration_s": float("nan")}, "duration_s is nan: it must be a number of seconds, 0.001 or more"),
        ({"duration_s": 1e-9}, "duration_s"),
        ({"connect_timeout_s": float("inf")}, "connect_timeout_s"),
        ({"connect_timeout_s": float("nan")}, "connect_timeout_s"),
        ({"read_timeout_s": float("nan")}, "read_timeout_s"),
        ({"warmup_s": float("nan")}, "warmup_s"),
        ({"warmup_s": 600_000, "duration_s": 1}, "warmup_s is 600000: for a window of 1 s it must be at"),
        ({"warmup_s": -1}, "warmup_s"),
        ({"seed": -1}, "seed"),
        ({"load": Constant(1e9)}, "rate is 1e.09: that makes 1.1e.10 requests"),
        ({"read_timeout_s": 0}, "read_timeout_s"),
        ({"processes": 0}, "processes"),
        ({"processes": 3}, "processes"),
        ({"max_connections": 0}, "max_connections"),
        ({"body": PipelineBody(0)}, "payload_bytes"),
        ({"url": "127.0.0.1:80"}, "url"),
        ({"url": "http://127.0.0.1/a b"}, "url"),
        ({"method": "GE T"}, "method"),
        ({"headers": (("X", "ü"),)}, "header 'X'"),
    ],
)
def test_what_cannot_be_run_is_named(changed: dict[str, Any], name: str) -> None:
    with pytest.raises(BadParameter, match=name):
        LoadSpec(**{"url": LOCAL, "load": Closed(2), **changed}).check()


@pytest.mark.parametrize("url", ["http://localhost/", "http://127.8.0.1/", "http://[::1]:80/", LOCAL])
def test_this_machine_may_be_loaded(url: str) -> None:
    addresses = LoadSpec(url=url, load=Closed(1)).check()
    assert addresses
    assert all(ipaddress.ip_address(address).is_loopback for address in addresses)


@pytest.mark.parametrize("url", ["http://192.0.2.1/", "http://[2001:db8::1]/", "http://0.0.0.0/"])
def test_another_machine_may_be_loaded_only_where_that_is_allowed(url: str) -> None:
    with pytest.raises(RemoteRefused, match="--remote"):
        LoadSpec(url=url, load=Closed(1)).check()
    assert len(LoadSpec(url=url, load=Closed(1), remote=True).check()) == 1


@pytest.mark.parametrize("remote", [False, True])
def test_a_name_without_an_address_is_refused_before_anything_starts(remote: bool) -> None:
    with pytest.raises(BadParameter, match=r"nowhere\.invalid cannot be resolved: check the name"):
        LoadSpec(url="http://nowhere.invalid/", load=Closed(1), remote=remote).check()
