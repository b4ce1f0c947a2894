"""Settings come from the environment and go back to it, and what makes no sense is refused with a remedy."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.addresses import Address, read_addresses
from services.balancer.settings import VARIABLES, BalancerSettings, PolicyName, SettingsError

INSTANCES = "service1a=127.0.0.1:8051,service1b=127.0.0.1:8055"


def test_a_documented_service_needs_only_its_instances():
    settings = BalancerSettings.from_environ({"SERVICE1_INSTANCES": INSTANCES}, "service1")
    assert (settings.name, settings.host, settings.port) == ("service1-loadbalancer", "127.0.0.1", 8061)
    assert [str(address) for address in settings.instances] == INSTANCES.split(",")
    assert settings.policy is PolicyName.ROUND_ROBIN
    assert (settings.hops_left, settings.try_timeout_s, settings.total_timeout_s) == (7, 210, 240)


@pytest.mark.parametrize(("number", "port"), [(1, 8061), (4, 8064)])
def test_the_published_variables_set_the_port(number, port):
    """Containers say SERVICE_PORT to services and balancers alike."""
    for environ, expected in (
        ({}, port),
        ({"SERVICE_PORT": "9000"}, 9000),
        ({"SERVICE_PORT": "9000", "BALANCER_PORT": "9001"}, 9001),
        ({"BALANCER_PORT": "9001"}, 9001),
    ):
        assert BalancerSettings.from_environ(environ, f"service{number}").port == expected


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_a_balancer_that_listens_on_all_addresses_has_the_published_names_as_instances(host):
    settings = BalancerSettings.from_environ({"BALANCER_HOST": host}, "service3")
    assert [str(each) for each in settings.instances] == [
        "service3a:8053",
        "service3b:8065",
        "service3c:8067",
        "service3d:8069",
    ]
    given = {"BALANCER_HOST": host, "SERVICE3_INSTANCES": "a=h:1"}
    assert BalancerSettings.from_environ(given, "service3").instances == (Address("a", "h", 1),)
    assert BalancerSettings.from_environ({"BALANCER_HOST": host, "BALANCER_PORT": "1"}, "ocr").instances == ()


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_no_instances_may_be_asked_for(host):
    given = {"BALANCER_HOST": host, "SERVICE1_INSTANCES": "none"}
    settings = BalancerSettings.from_environ(given, "service1")
    assert settings.instances == ()
    assert BalancerSettings.from_environ(settings.to_environ(), "service1") == settings


def test_a_token_is_what_a_header_can_carry_and_no_message_shows_it():
    assert BalancerSettings.from_environ({"BALANCER_ADMIN_TOKEN": "aB3-._~+/=="}, "service1").admin_token
    with pytest.raises(SettingsError, match="BALANCER_ADMIN_TOKEN: use letters") as caught:
        BalancerSettings.from_environ({"BALANCER_ADMIN_TOKEN": "my s3cret"}, "service1")
    assert "s3cret" not in str(caught.value)
    assert "s3cret" not in repr(BalancerSettings("service1", 0, (), admin_token="s3cret"))


def test_the_balancer_of_the_last_service_takes_what_the_services_add_to_a_text():
    limits = [
        BalancerSettings(f"service{n}", 0, (), body_limit_bytes=1000).request_limit_bytes for n in range(1, 5)
    ]
    assert limits == [1000, 1000, 1000, 2024]


def test_the_innermost_time_out_is_the_shortest():
    numbers = range(1, 5)
    tries = [BalancerSettings.from_environ({}, f"service{n}").try_timeout_s for n in numbers]
    assert tries == sorted(tries, reverse=True)
    assert len(set(tries)) == 4


def test_bare_addresses_are_named_by_their_host():
    assert read_addresses("127.0.0.1:8051, 127.0.0.1:8055*3") == (
        Address("127.0.0.1", "127.0.0.1", 8051),
        Address("127.0.0.1", "127.0.0.1", 8055, 3),
    )
    assert read_addresses("a=[::1]:80,[::1]:81") == (Address("a", "::1", 80), Address("::1", "::1", 81))


@pytest.mark.parametrize("text", ["a=127.0.0.1:80", "127.0.0.1:80*2", "a=[::1]:80*2", "[::1]:80", "host:80"])
def test_an_address_is_written_as_it_is_read(text):
    (address,) = read_addresses(text)
    assert str(address) == text


@pytest.mark.parametrize("name", ["", "a b", "a/b", "a,b", "a=b", "é", "::1", "\n"])
def test_an_address_needs_a_name_that_a_path_and_a_variable_can_have(name):
    with pytest.raises(ValueError, match=r"an instance has the name .*: use letters"):
        Address(name, "127.0.0.1", 8051)


@pytest.mark.parametrize("host", ["", "a b", "a/b", "a@b", "é", "[::1]", ":::", "fe80::1%eth0", "a:80", "\n"])
def test_an_address_needs_a_host_that_a_url_can_name(host):
    with pytest.raises(ValueError, match=r"service1a has host .*: give a host's name or an IP address"):
        Address("service1a", host, 8051)


SETTINGS = st.builds(
    BalancerSettings,
    service=st.sampled_from(["service1", "service4", "other"]),
    port=st.integers(0, 65535),
    instances=st.lists(
        st.builds(
            Address,
            name=st.from_regex(r"[a-z0-9._-]{1,8}", fullmatch=True),
            host=st.sampled_from(["127.0.0.1", "::1", "localhost"]),
            port=st.integers(1, 65535),
            weight=st.integers(1, 9),
        ),
        unique_by=lambda address: (address.name, address.port),
        max_size=4,
    ).map(tuple),
    policy=st.sampled_from(PolicyName),
    idempotent=st.frozensets(st.sampled_from(["/a", "/b/c", "/process"])),
    retry_statuses=st.frozensets(st.integers(500, 599), max_size=3),
    hops_left=st.integers(1, 9),
    timeout_s=st.floats(0.001, 1000),
    in_flight_limit=st.integers(0, 1000),
    panic_threshold=st.floats(0, 1),
)


@given(SETTINGS)
def test_what_is_written_to_the_environment_is_read_back(settings):
    assert BalancerSettings.from_environ(settings.to_environ(), settings.service) == settings


@pytest.mark.parametrize(
    ("environ", "names"),
    [
        ({"BALANCER_PORT": "x"}, "BALANCER_PORT"),
        ({"BALANCER_NAME": "100%d"}, "BALANCER_NAME .*: use letters"),
        ({"BALANCER_NAME": "a b"}, "BALANCER_NAME .*: use letters"),
        ({"BALANCER_NAME": "a\r\nX-B: c"}, "BALANCER_NAME .*: use letters"),
        ({"BALANCER_PORT": "70000"}, "65535"),
        ({"SERVICE_PORT": "70000"}, "SERVICE_PORT is '70000'.*65535"),
        ({"SERVICE_PORT": "x"}, "SERVICE_PORT"),
        ({"BALANCER_TIMEOUT_S": "0"}, "BALANCER_TIMEOUT_S"),
        ({"BALANCER_TIMEOUT_S": "nan"}, "BALANCER_TIMEOUT_S"),
        ({"BALANCER_QUEUE_LIMIT": "-1"}, "BALANCER_QUEUE_LIMIT"),
        ({"BALANCER_RETRY_STATUSES": "404"}, "500 to 599"),
        ({"BALANCER_RETRY_STATUSES": "bad"}, "BALANCER_RETRY_STATUSES"),
        ({"BALANCER_IDEMPOTENT": "process"}, "/process"),
        ({"BALANCER_BACKOFF_S": "10", "BALANCER_BACKOFF_CAP_S": "1"}, "BALANCER_BACKOFF_CAP_S"),
        ({"BALANCER_PANIC_THRESHOLD": "2"}, "from 0 to 1"),
        ({"SERVICE1_INSTANCES": "a=b=c:1"}, "SERVICE1_INSTANCES"),
        ({"SERVICE1_INSTANCES": "a=h:0"}, "65535"),
        ({"SERVICE1_INSTANCES": "a=h:1*0"}, "weight"),
        ({"SERVICE1_INSTANCES": "a=h:1,a=i:1"}, "name of its own"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(environ, names):
    with pytest.raises(SettingsError, match=names):
        BalancerSettings.from_environ(environ, "service1")


def test_an_unknown_service_needs_a_port_and_a_nameless_one_a_name():
    with pytest.raises(SettingsError, match="BALANCER_PORT is not set"):
        BalancerSettings.from_environ({}, "other")
    with pytest.raises(SettingsError, match="BALANCER_SERVICE is not set"):
        BalancerSettings.from_environ({})


def test_a_service_needs_a_name_that_a_variable_can_have():
    with pytest.raises(SettingsError, match=r"BALANCER_SERVICE \(service\) is 'my service': use letters"):
        BalancerSettings.from_environ({"BALANCER_PORT": "0"}, "my service")


def test_every_field_has_a_variable():
    fields = set(BalancerSettings.__dataclass_fields__)
    assert {variable.field for variable in VARIABLES} == fields - {"instances"}


def test_what_a_variable_is_said_to_be_where_unset_is_what_it_is():
    settings = BalancerSettings.from_environ({}, "service1")
    said = {
        v.field: re.search(r"else ([\d.]+)", v.meaning) for v in VARIABLES if v.field not in ("host", "port")
    }
    numbers = {field: float(found[1]) for field, found in said.items() if found}
    assert len(numbers) > 20
    assert numbers == {field: getattr(settings, field) for field in numbers}


def test_balancers_started_alone_with_one_seed_have_policy_seeds_of_their_own():
    seeds = [BalancerSettings.from_environ({}, f"service{number}").policy_seed for number in range(1, 5)]
    assert len(set(seeds)) == 4


def test_a_policy_seed_is_the_same_in_every_process():
    assert (
        BalancerSettings("service1", 0, ()).policy_seed == 0x97896DE1C2B27AB8
    )  # by sha256 of "0/service1-loadbalancer"
