"""The command line on a topology that speaks gRPC."""

from __future__ import annotations

import json

import pytest

from lab.errors import ProgramMissing
from lab.names import BalancerName, TopologyName
from lab.placement.proxies import GRPC_PROXIES
from lab.placement.proxies.proxy import find


def test_what_is_up_in_grpc_passes_its_own_test_and_is_found_by_its_protocol(lab, offset) -> None:
    up = lab("up", TopologyName.PARALLEL, "--protocol", "grpc", "--offset", offset, "--work", "text", "-d")
    assert f"grpc://127.0.0.1:{8061 + offset}/pipeline.Input/Process" in up.stdout, up.stderr
    tested = lab("test", "--protocol", "grpc", "--text", "one two two")
    assert tested.returncode == 0, tested.stdout
    assert "all as documented" in tested.stdout
    assert "two: 2" in tested.stdout
    counted = json.loads(lab("stats", "--protocol", "grpc", "--json").stdout)
    assert set(counted) == {f"service{n}-loadbalancer" for n in (1, 2, 3, 4)}
    elsewhere = lab("stats", "--protocol", "http")
    assert elsewhere.returncode != 0
    assert "parallel (grpc)" in elsewhere.stderr


@pytest.mark.parametrize("balancer", GRPC_PROXIES)
def test_it_passes_its_own_test_behind_other_peoples_balancers_too(
    lab, offset, balancer: BalancerName
) -> None:
    try:
        find(GRPC_PROXIES[balancer].program)
    except ProgramMissing as missing:
        pytest.skip(str(missing))
    up = ("up", TopologyName.PARALLEL, "--protocol", "grpc", "--balancer", balancer, "--replicas", 2)
    assert lab(*up, "--offset", offset, "--work", "text", "-d").returncode == 0
    tested = lab("test")
    assert tested.returncode == 0, tested.stdout


def test_the_test_command_finds_what_is_not_as_documented(lab, offset) -> None:
    lab("up", TopologyName.PARALLEL, "--protocol", "grpc", "--offset", offset, "--work", "text", "-d")
    lab("kill", "service2-loadbalancer")
    tested = lab("test")
    assert tested.returncode == 1
    assert "FAIL service2-loadbalancer is healthy: UNAVAILABLE" in tested.stdout


def test_a_benchmark_in_grpc_gives_rows_that_say_so(lab, offset) -> None:
    lab("up", TopologyName.SEQUENTIAL, "--protocol", "grpc", "--offset", offset, "--work-ms", "1", "-d")
    done = lab(
        "benchmark",
        "--concurrency",
        "2",
        "--duration",
        "0.5",
        "--trials",
        "1",
        "--redo-invalid",
        "0",
        "--json",
    )
    (row,) = json.loads(done.stdout)
    assert (row["protocol"], row["client"], row["failed"]) == ("grpc", None, 0)
    assert row["service4_work_ms"] >= 1
