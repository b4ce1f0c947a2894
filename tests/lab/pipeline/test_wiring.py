"""Ports, names, commands and environments of a pipeline's servers."""

from __future__ import annotations

from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.errors import BadParameter
from lab.pipeline import Entry, OwnService, Pipeline
from lab.pipeline.wiring import FIRST_PORT, command_of, environment_of, instance_name, wire


def pipeline(**services: OwnService) -> Pipeline:
    return Pipeline(name="shop", entry=Entry(service=next(iter(services))), services=services)


def test_a_balancer_stands_only_before_several_instances_or_where_one_is_asked_for() -> None:
    wired = wire(
        pipeline(
            one=OwnService(command=["x"]),
            two=OwnService(command=["x"], replicas=2),
            asked=OwnService(command=["x"], policy="random"),
        )
    )
    assert [wired[name].balancer is not None for name in wired] == [False, True, True]
    assert [listener.name for listener in wired["two"].instances] == ["two-a", "two-b"]
    assert wired["two"].front.name == "two-loadbalancer"


@given(
    replicas=st.lists(st.integers(1, 30), min_size=1, max_size=6),
    fixed=st.lists(st.integers(FIRST_PORT, FIRST_PORT + 20) | st.none(), min_size=6, max_size=6),
)
def test_no_two_servers_share_a_port_or_a_name(replicas: list[int], fixed: list[int | None]) -> None:
    ports = [port if fixed.index(port) == at else None for at, port in enumerate(fixed)]
    wired = wire(
        pipeline(
            **{
                f"s{at}": OwnService(command=["x"], replicas=1 if port else many, port=port)
                for at, (many, port) in enumerate(zip(replicas, ports, strict=False))
            }
        )
    )
    listeners = [each for service in wired.values() for each in service.instances]
    listeners += [service.balancer for service in wired.values() if service.balancer]
    assert len({each.port for each in listeners}) == len({each.name for each in listeners}) == len(listeners)


def test_a_service_finds_itself_and_those_that_it_calls_in_its_environment() -> None:
    wired = wire(
        pipeline(
            gate=OwnService(
                command=["run", "--port={port}", "{name}", "{{port}}", "{other}", "{no.url}", "{db.port}"],
                calls=["search-it", "db"],
                env={"AT": "{search-it.url}/x", "DB_URL": "own {db.host}:{db.port}"},
            ),
            **{"search-it": OwnService(command=["x"], replicas=2)},
            db=OwnService(kind="tcp", command=["x"]),
        )
    )
    (gate,) = wired["gate"].instances
    front, db = wired["search-it"].front, wired["db"].front
    assert environment_of(wired, "gate", gate) == {
        "PORT": str(gate.port),
        "HOST": "127.0.0.1",
        "SEARCH_IT_URL": front.url,
        "DB_URL": f"own 127.0.0.1:{db.port}",
        "AT": f"{front.url}/x",
    }
    words = ["run", f"--port={gate.port}", "gate", f"{{{gate.port}}}", "{other}", "{no.url}", str(db.port)]
    assert command_of(wired, "gate", gate) == tuple(words)
    assert wired["db"].url == f"tcp://127.0.0.1:{db.port}"


def test_a_service_that_runs_already_keeps_its_place() -> None:
    wired = wire(
        pipeline(a=OwnService(command=["x"], calls=["b"]), b=OwnService(url="http://10.0.0.7:9000/"))
    )
    assert wired["b"].url == "http://10.0.0.7:9000"
    assert wired["a"].front.port == FIRST_PORT


@given(at=st.integers(0, 5000))
def test_letters_count_instances_without_end(at: int) -> None:
    assert instance_name("service1", at).startswith("service1")
    assert instance_name("service1", at) != instance_name("service1", at + 1)


def test_letters_stand_apart_from_a_letter() -> None:
    assert [instance_name(name, at) for name in ("service1", "search") for at in (0, 25, 26)] == [
        "service1a",
        "service1z",
        "service1aa",
        "search-a",
        "search-z",
        "search-aa",
    ]


def test_more_servers_than_ports_are_refused() -> None:
    many = pipeline(**dict(islice(((f"s{n}", OwnService(command=["x"])) for n in range(20)), 20)))
    with pytest.raises(BadParameter, match="need more ports than there are from 65530"):
        wire(many, first_port=65530)
