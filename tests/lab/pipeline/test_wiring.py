"""Ports, names, commands and environments of a pipeline's servers."""

from __future__ import annotations

import sys
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.errors import BadParameter
from lab.pipeline import Entry, OwnService, Pipeline
from lab.pipeline.wiring import FIRST_PORT, command_of, environment_of, topology_of
from lab.servers import instance_names


def pipeline(**services: OwnService) -> Pipeline:
    return Pipeline(name="shop", entry=Entry(service=next(iter(services))), services=services)


def test_a_balancer_stands_only_before_several_instances_or_where_one_is_asked_for() -> None:
    topology = topology_of(
        pipeline(
            one=OwnService(command=["x"]),
            two=OwnService(command=["x"], replicas=2),
            asked=OwnService(command=["x"], policy="random"),
        )
    )
    assert [service.balancer is not None for service in topology.services] == [False, True, True]
    assert [instance.name for instance in topology.service("two").instances] == ["two-a", "two-b"]


@given(
    replicas=st.lists(st.integers(1, 30), min_size=1, max_size=6),
    fixed=st.lists(st.integers(FIRST_PORT, FIRST_PORT + 20) | st.none(), min_size=6, max_size=6),
)
def test_no_two_servers_share_a_port_or_a_name(replicas: list[int], fixed: list[int | None]) -> None:
    ports = [port if fixed.index(port) == at else None for at, port in enumerate(fixed)]
    topology = topology_of(
        pipeline(
            **{
                f"s{at}": OwnService(command=["x"], replicas=1 if port else many, port=port)
                for at, (many, port) in enumerate(zip(replicas, ports, strict=False))
            }
        )
    )
    servers = list(topology.ports())
    assert len(dict(servers)) == len({port for _, port in servers}) == len(servers)


def test_the_entry_comes_first_whatever_the_order_of_the_file() -> None:
    services = {"a": OwnService(command=["x"]), "b": OwnService(command=["x"], calls=["a"])}
    topology = topology_of(Pipeline(name="p", entry=Entry(service="b", path="/in"), services=services))
    assert topology.entry_url == f"http://127.0.0.1:{FIRST_PORT}/in"
    assert [service.name for service in topology.beyond(topology.services[0])] == ["a"]


def test_a_service_finds_itself_and_those_that_it_calls_in_its_environment() -> None:
    topology = topology_of(
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
    gate, search, db = topology.services
    (instance,) = gate.instances
    db_port = db.instances[0].port
    assert search.balancer is not None
    assert environment_of(topology, gate, instance) == {
        "PORT": str(instance.port),
        "HOST": "127.0.0.1",
        "SEARCH_IT_URL": search.balancer.url,
        "DB_URL": f"own 127.0.0.1:{db_port}",
        "AT": f"{search.balancer.url}/x",
    }
    own = instance.port
    words = ["run", f"--port={own}", "gate", f"{{{own}}}", "{other}", "{no.url}", str(db_port)]
    assert command_of(topology, gate, instance) == tuple(words)


def test_an_app_is_served_by_uvicorn_with_the_python_that_is_named(tmp_path: Path) -> None:
    services = {
        "a": OwnService(app="shop:app"),
        "b": OwnService(app="shop:app", python=".venv/bin/python"),
        "c": OwnService(app="shop:app", python="python3.12"),
    }
    made = Pipeline(name="p", entry=Entry(service="a"), services=services, folder=tmp_path)
    topology = topology_of(made)
    commands = [command_of(topology, service, service.instances[0]) for service in topology.services]
    assert [command[0] for command in commands] == [
        sys.executable,
        str(tmp_path / ".venv/bin/python"),
        "python3.12",
    ]
    assert commands[0][1:4] == ("-m", "uvicorn", "shop:app")


def test_a_service_that_runs_already_keeps_its_place() -> None:
    topology = topology_of(
        pipeline(a=OwnService(command=["x"], calls=["b"]), b=OwnService(url="http://10.0.0.7:9000/"))
    )
    assert topology.service("b").url == "http://10.0.0.7:9000"
    assert topology.service("b").runs_already
    assert topology.entry.port == FIRST_PORT


def test_letters_count_instances_without_end() -> None:
    names = list(islice(instance_names("service1"), 800))
    assert (names[0], names[25], names[26], names[702]) == (
        "service1a",
        "service1z",
        "service1aa",
        "service1aaa",
    )
    assert len(set(names)) == 800
    assert next(instance_names("search")) == "search-a"


def test_more_servers_than_ports_are_refused() -> None:
    many = pipeline(**{f"s{n}": OwnService(command=["x"]) for n in range(20)})
    with pytest.raises(BadParameter, match="need more ports than there are from 65530"):
        topology_of(many, first_port=65530)
