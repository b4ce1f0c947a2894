"""How external load balancers are set up, without one of them running, and where their programs are found."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from lab.errors import NotSupported, ProgramMissing
from lab.names import BalancerName
from lab.placement.proxies import GRPC_PROXIES, NOT_OVER_GRPC, PROXIES, Profile
from lab.placement.proxies.proxy import Program, find
from services.balancer.settings import Address, PolicyName
from tests.support import golden


def named(configuration: tuple[object, ...]) -> str:
    proxy, profile, policy = configuration
    return f"{type(proxy).__name__}-{proxy.protocol}-{profile}-{policy}"


@pytest.mark.parametrize("configuration", [pytest.param(c, id=named(c)) for c in golden.configurations()])
def test_a_configuration_is_the_one_that_is_kept(configuration: tuple) -> None:
    kept = golden.path(*configuration).read_text(encoding="utf-8")
    assert golden.rendered(*configuration) == kept, "if that is meant, run golden.py and read the difference"


def test_no_configuration_is_kept_that_nothing_renders() -> None:
    assert {golden.path(*c) for c in golden.configurations()} == set(golden.FOLDER.iterdir())


def test_every_name_but_the_built_in_has_a_balancer() -> None:
    assert set(PROXIES) == set(BalancerName) - {BalancerName.BUILTIN}


@pytest.mark.parametrize("name", PROXIES)
def test_a_policy_it_lacks_is_an_error_that_names_those_it_has(name: BalancerName) -> None:
    proxy = PROXIES[name]
    lacking = set(PolicyName) - set(proxy.policies)
    assert lacking
    for policy in lacking:
        with pytest.raises(
            NotSupported, match=f"{name} has no policy {policy}: choose from round_robin, weighted"
        ):
            proxy.render(golden.settings(policy), Profile.MATCHED, golden.PLACE)


@pytest.mark.parametrize("name", PROXIES)
def test_a_host_name_is_refused_because_it_would_be_looked_up(name: BalancerName) -> None:
    settings = replace(golden.settings(), instances=(Address("service1a", "example.org", 80),))
    with pytest.raises(NotSupported, match=r"'example.org'.*give an address"):
        PROXIES[name].render(settings, Profile.MATCHED, golden.PLACE)


@pytest.mark.parametrize("name", PROXIES)
def test_an_instance_without_a_name_of_its_own_is_refused_where_its_host_is_no_name(
    name: BalancerName,
) -> None:
    settings = replace(golden.settings(), instances=(Address("::1", "::1", 80),))
    with pytest.raises(NotSupported, match="use letters, digits"):
        PROXIES[name].render(settings, Profile.MATCHED, golden.PLACE)


@pytest.mark.parametrize("name", PROXIES)
def test_without_checks_no_check_is_configured(name: BalancerName) -> None:
    unchecked = replace(golden.settings(), check_interval_s=0.0)
    texts = "".join(PROXIES[name].render(unchecked, Profile.MATCHED, golden.PLACE).values())
    assert not re.search(r"healthCheck|healthy_threshold|httpchk|\"active\"| check inter", texts)


def test_every_balancer_is_set_up_for_grpc_or_has_a_reason_not_to_be() -> None:
    assert set(GRPC_PROXIES) | set(NOT_OVER_GRPC) == set(PROXIES)
    assert not set(GRPC_PROXIES) & set(NOT_OVER_GRPC)


def test_a_program_that_is_nowhere_is_an_error_that_names_what_to_install() -> None:
    with pytest.raises(
        ProgramMissing, match=r" install .*'pipeline-lab\[balancers\]' brings it in no-such-wheel"
    ):
        find(Program("no-such-program", "no-such-wheel"))


def test_a_program_without_a_wheel_is_found_on_the_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "balancer"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find(Program("balancer", "no-such-wheel")) == program
