from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.topology import Topology
from services.balancer.settings import BalancerSettings
from services.names import ClientName, Distribution, WorkKind
from services.settings import VARIABLES, ServiceSettings, SettingsError
from services.work import Work

names = st.from_regex(r"[A-Za-z0-9._-]+", fullmatch=True)
services = st.one_of(st.sampled_from(["service1", "service2", "service3", "service4"]), names)
paths = st.one_of(
    st.sampled_from(["/process", "/preprocess", "/analyze", "/report"]),
    st.from_regex(r"(/[a-z0-9._~-]+)+/?", fullmatch=True),
)
urls = st.builds(
    "http://{}:{}{}".format,
    st.sampled_from(["127.0.0.1", "[::1]", "db.example"]),
    st.integers(1, 65535),
    paths,
)
works = st.builds(
    Work,
    kind=st.sampled_from(WorkKind),
    mean_ms=st.floats(0, 1e9),
    distribution=st.sampled_from(Distribution),
    slots=st.integers(1, 10**6),
    queue_limit=st.integers(0, 10**6),
    seed=st.integers(),
)
all_settings = st.builds(
    ServiceSettings,
    service=services,
    instance=names,
    path=paths,
    port=st.integers(0, 65535),
    host=st.sampled_from(["127.0.0.1", "0.0.0.0", "::1"]),
    next_url=st.none() | urls,
    next_service=st.none() | services,
    hops_left=st.integers(1, 20),
    timeout_s=st.floats(0.001, 1e6),
    client=st.sampled_from(ClientName),
    work=works,
    body_limit_bytes=st.integers(1, 2**40),
    ledger_limit=st.integers(0, 10**6),
    ledger_file=st.sampled_from(["", "/tmp/ledger"]),
    faults=st.booleans(),
)


@given(all_settings)
def test_settings_come_back_from_the_environment_they_make(settings: ServiceSettings) -> None:
    environ = settings.to_environ()
    back = ServiceSettings.from_environ(environ)
    # A name for a next hop that is not there says nothing, and is the only thing that may be lost.
    assert back == (settings if settings.next_url else replace(settings, next_service=back.next_service))


@pytest.mark.parametrize(
    ("number", "port", "path", "next_url"),
    [
        (1, 8051, "/process", "http://127.0.0.1:8052/preprocess"),
        (2, 8052, "/preprocess", "http://127.0.0.1:8053/analyze"),
        (3, 8053, "/analyze", "http://127.0.0.1:8054/report"),
        (4, 8054, "/report", None),
    ],
)
def test_a_documented_service_needs_no_variable(
    number: int, port: int, path: str, next_url: str | None
) -> None:
    settings = ServiceSettings.from_environ({}, f"service{number}")
    assert (settings.port, settings.path, settings.next_url) == (port, path, next_url)
    assert settings.instance == f"service{number}"
    assert settings.work == Work()


def test_what_goes_without_saying_is_the_sequential_topology() -> None:
    topology = Topology.sequential()
    for service in topology.services:
        settings = ServiceSettings.from_environ({}, service.name)
        assert (settings.instance, settings.port) == (service.instances[0].name, service.instances[0].port)
        assert (settings.path, settings.next_url) == (service.path, topology.next_url(service.name))
        assert (settings.work, settings.client) == (service.work, service.client)


def test_the_documented_variables_set_the_documented_things() -> None:
    environ = {"SERVICE_PORT": "8055", "INSTANCE_ID": "service1b", "SERVICE2_URL": "http://127.0.0.1:8062/"}
    settings = ServiceSettings.from_environ(environ, "service1")
    assert (settings.port, settings.instance) == (8055, "service1b")
    assert settings.next_url == "http://127.0.0.1:8062/preprocess"
    assert settings.hop == "service2 (http://127.0.0.1:8062/preprocess)"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "0:0::0"])
def test_a_service_that_listens_on_all_addresses_calls_the_next_balancer_by_its_published_name(
    host: str,
) -> None:
    urls = [ServiceSettings.from_environ({"SERVICE_HOST": host}, f"service{n}").next_url for n in range(1, 5)]
    assert urls == [
        "http://service2-loadbalancer:8062/preprocess",
        "http://service3-loadbalancer:8063/analyze",
        "http://service4-loadbalancer:8064/report",
        None,
    ]
    environ = {"SERVICE_HOST": host, "SERVICE2_URL": "http://service2:8052"}
    assert ServiceSettings.from_environ(environ, "service1").next_url == "http://service2:8052/preprocess"


@pytest.mark.parametrize(
    ("identity", "name"),
    [
        ("a", "service1a"),
        ("d", "service1d"),
        ("aa", "service1aa"),
        ("service1b", "service1b"),
        ("web-7", "web-7"),
    ],
)
def test_an_instance_is_named_by_its_letter_or_in_full(identity: str, name: str) -> None:
    assert ServiceSettings.from_environ({"INSTANCE_ID": identity}, "service1").instance == name


def test_a_name_in_full_may_be_a_letter() -> None:
    environ = {"INSTANCE_ID": "a", "SERVICE_INSTANCE": "b"}
    assert ServiceSettings.from_environ(environ, "service1").instance == "b"
    settings = ServiceSettings("ocr", "/scan", 9001, instance="a")
    assert ServiceSettings.from_environ(settings.to_environ()).instance == "a"


KUBERNETES = {
    "SERVICE1_PORT": "tcp://10.0.0.7:8051",
    "SERVICE1_SERVICE_HOST": "10.0.0.7",
    "SERVICE1_SERVICE_PORT": "8051",
    "SERVICE1_SERVICE_PORT_HTTP": "8051",
    "SERVICE1_PORT_8051_TCP": "tcp://10.0.0.7:8051",
    "SERVICE1_PORT_8051_TCP_PROTO": "tcp",
    "SERVICE1_PORT_8051_TCP_PORT": "8051",
    "SERVICE1_PORT_8051_TCP_ADDR": "10.0.0.7",
    "SERVICE1_LOADBALANCER_PORT": "tcp://10.0.0.8:8061",
    "SERVICE1_LOADBALANCER_SERVICE_HOST": "10.0.0.8",
    "SERVICE_PORT": "tcp://10.0.0.9:80",
    "SERVICE_SERVICE_HOST": "10.0.0.9",
    "SERVICE_PORT_80_TCP": "tcp://10.0.0.9:80",
    "BALANCER_PORT": "tcp://10.0.0.10:80",
    "BALANCER_SERVICE_PORT": "80",
}


def test_what_kubernetes_sets_for_services_of_its_own_is_left_alone() -> None:
    assert ServiceSettings.from_environ(KUBERNETES, "service1") == ServiceSettings.from_environ(
        {}, "service1"
    )
    assert BalancerSettings.from_environ(KUBERNETES, "service1") == BalancerSettings.from_environ(
        {}, "service1"
    )


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("SERVICE_WORKMS", "did you mean SERVICE_WORK_MS?"),
        ("BALANCER_POLICI", "did you mean BALANCER_POLICY?"),
        ("BALANCER_WORK_MS", "did you mean SERVICE_WORK_MS?"),
        ("SERVICE_POLICY", "did you mean BALANCER_POLICY?"),
        ("SERVICE1_INSTANCE", "did you mean SERVICE1_INSTANCES?"),
        ("SERVICE3_ULR", "did you mean SERVICE3_URL?"),
        ("SERVICE_PROT", "did you mean SERVICE_PORT?"),
        ("BALANCER_XYZZY", "there are "),
    ],
)
@pytest.mark.parametrize("program", [ServiceSettings, BalancerSettings])
def test_a_variable_that_no_program_knows_is_refused_by_each(program: Any, name: str, hint: str) -> None:
    with pytest.raises(SettingsError, match=rf"{name} is '5', and no such setting exists: ") as caught:
        program.from_environ({name: "5"}, "service2")
    assert hint in str(caught.value)


def test_a_misspelt_token_is_not_shown() -> None:
    with pytest.raises(SettingsError, match="did you mean BALANCER_ADMIN_TOKEN") as caught:
        BalancerSettings.from_environ({"BALANCER_ADMIN_TOKN": "s3cret"}, "service1")
    assert "s3cret" not in str(caught.value)


def test_the_next_hop_of_a_documented_service_is_written_as_documented() -> None:
    environ = ServiceSettings.from_environ({"SERVICE2_URL": "http://127.0.0.1:8062"}, "service1").to_environ()
    assert environ["SERVICE2_URL"] == "http://127.0.0.1:8062"


def test_a_service_of_another_name_is_set_by_variables_alone() -> None:
    environ = {
        "SERVICE_NAME": "ocr", "SERVICE_PORT": "9001", "SERVICE_PATH": "/scan",
        "SERVICE_NEXT": "translate", "SERVICE_NEXT_URL": "http://127.0.0.1:9002/translate",
    }  # fmt: skip
    settings = ServiceSettings.from_environ(environ)
    assert settings.hop == "translate (http://127.0.0.1:9002/translate)"


def test_work_is_set_by_variables() -> None:
    environ = {
        "SERVICE_WORK": "cpu", "SERVICE_WORK_MS": "2.5", "SERVICE_WORK_DISTRIBUTION": "lognormal",
        "SERVICE_SLOTS": "2", "SERVICE_QUEUE_LIMIT": "0", "SERVICE_SEED": "7",
    }  # fmt: skip
    work = ServiceSettings.from_environ(environ, "service2").work
    assert work == Work(WorkKind.CPU, 2.5, Distribution.LOGNORMAL, slots=2, queue_limit=0, seed=7)


def test_the_profile_documented_is_taken_by_name() -> None:
    assert ServiceSettings.from_environ({"SERVICE_WORK": "documented"}, "service1").work == Work()


def test_a_variable_set_to_nothing_counts_as_unset() -> None:
    assert ServiceSettings.from_environ({"SERVICE_PORT": ""}, "service1").port == 8051


def test_variables_of_others_are_left_alone() -> None:
    others = {"PATH": "/bin", "BALANCER_PORT": "x", "SERVICE1_INSTANCES": "x"}
    assert ServiceSettings.from_environ(others, "service4") == ServiceSettings.from_environ({}, "service4")


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"SERVICE_PORT": "eighty"}, ["SERVICE_PORT", "'eighty'", "give a whole number"]),
        ({"SERVICE_PORT": "65536"}, ["SERVICE_PORT", "65536", "0 (any free port) to 65535"]),
        ({"SERVICE_PATH": "process"}, ["SERVICE_PATH", "'process'", "such as /process"]),
        ({"INSTANCE_ID": "a b"}, ["INSTANCE_ID", "'a b'", "letters, digits"]),
        ({"SERVICE_CLIENT": "curl"}, ["SERVICE_CLIENT", "'curl'", "httpx-per-request"]),
        ({"SERVICE_WORK": "sleep"}, ["SERVICE_WORK", "'sleep'", "give one of io, cpu, text"]),
        ({"SERVICE_WORK_MS": "-1"}, ["SERVICE_WORK_MS", "'-1'", "0 or more"]),
        ({"SERVICE_WORK_MS": "fast"}, ["SERVICE_WORK_MS", "'fast'", "give a number"]),
        ({"SERVICE_SLOTS": "0"}, ["SERVICE_SLOTS", "'0'", "1 or more"]),
        ({"SERVICE_TIMEOUT_S": "0"}, ["SERVICE_TIMEOUT_S", "0.0", "above 0"]),
        ({"SERVICE_HOPS_LEFT": "0"}, ["SERVICE_HOPS_LEFT", "0", "1 or more"]),
        ({"SERVICE_BODY_LIMIT_BYTES": "0"}, ["SERVICE_BODY_LIMIT_BYTES", "0", "1 or more"]),
        ({"SERVICE_LEDGER_LIMIT": "-1"}, ["SERVICE_LEDGER_LIMIT", "-1", "0 (no ledger) or more"]),
        ({"SERVICE_FAULTS": "yes"}, ["SERVICE_FAULTS", "yes", "True or False"]),
        ({"SERVICE2_URL": "service2:8052"}, ["SERVICE2_URL", "'service2:8052'", "http://127.0.0.1:8052"]),
        ({"SERVICE2_URL": "https://h"}, ["SERVICE2_URL", "'https://h'", "base URL"]),
        ({"SERVICE2_URL": "http://h/preprocess"}, ["SERVICE2_URL", "http://h/preprocess", "base URL"]),
        ({"SERVICE_NEXT_URL": "http://h"}, ["SERVICE_NEXT_URL", "'http://h'", "http://host:port/path"]),
        ({"SERVICE_NEXT_URL": "http://h:99999/p"}, ["SERVICE_NEXT_URL", "http://host:port/path"]),
        ({"SERVICE_NEXT_URL": "http://h/a b"}, ["SERVICE_NEXT_URL", "http://host:port/path"]),
        ({"SERVICE_WORKMS": "5"}, ["SERVICE_WORKMS", "'5'", "did you mean SERVICE_WORK_MS?"]),
        ({"SERVICE_XYZZY": "5"}, ["SERVICE_XYZZY", "'5'", "there are SERVICE_NAME"]),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused_with_its_value_and_the_remedy(
    environ: dict[str, str], said: list[str]
) -> None:
    with pytest.raises(SettingsError) as caught:
        ServiceSettings.from_environ(environ, "service1")
    for part in said:
        assert part in str(caught.value)


def test_a_service_without_a_name_is_refused() -> None:
    with pytest.raises(SettingsError, match="SERVICE_NAME is not set"):
        ServiceSettings.from_environ({})


@pytest.mark.parametrize("missing", ["SERVICE_PORT", "SERVICE_PATH"])
def test_a_service_that_is_not_documented_needs_a_port_and_a_path(missing: str) -> None:
    environ = {"SERVICE_PORT": "9001", "SERVICE_PATH": "/scan"}
    del environ[missing]
    with pytest.raises(SettingsError, match=f"{missing} is not set: ocr has no documented"):
        ServiceSettings.from_environ(environ, "ocr")


def test_the_time_of_the_next_hop_grows_with_the_hops_left() -> None:
    settings: Any = {"service": "s", "path": "/p", "port": 0, "next_url": "http://h/n", "timeout_s": 2.0}
    assert ServiceSettings(**settings, hops_left=6).hop_timeout_s == 12.0


def test_every_field_has_a_variable_and_every_variable_a_meaning() -> None:
    fields = {field for field in ServiceSettings.__dataclass_fields__ if field != "work"}
    fields |= {f"work.{field}" for field in Work.__dataclass_fields__}
    assert {variable.field for variable in VARIABLES} == fields
    assert all(variable.meaning for variable in VARIABLES)


def test_the_innermost_of_the_servers_that_wait_gives_up_first() -> None:
    limits = [
        ServiceSettings.from_environ({"SERVICE_TIMEOUT_S": "2"}, f"service{n}").hop_timeout_s
        for n in (1, 2, 3)
    ]
    assert limits == [6, 4, 2]
