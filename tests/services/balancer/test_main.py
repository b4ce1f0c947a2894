"""`python -m services.balancer`: what it says, and how it ends."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request

import pytest


@pytest.fixture
def environ():
    return {**{k: v for k, v in os.environ.items() if not k.startswith("BALANCER_")}, "BALANCER_PORT": "0"}


def test_the_command_serves_until_it_is_told_to_stop(environ):
    environ["SERVICE1_INSTANCES"] = "service1a=127.0.0.1:9"
    environ["BALANCER_CHECK_INTERVAL_S"] = "0"
    command = [sys.executable, "-m", "services.balancer", "1", "--events"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, env=environ, **pipes) as process:
        try:
            banner = process.stdout.readline()
            url = banner.split()[-1]
            assert banner.startswith("service1-loadbalancer listens on http://127.0.0.1:")
            with urllib.request.urlopen(f"{url}/stats", timeout=10) as answer:
                assert json.load(answer)["instances"] == ["service1a:9"]
            with pytest.raises(urllib.error.HTTPError, match="503"):
                urllib.request.urlopen(f"{url}/process", timeout=10)
            event = json.loads(process.stderr.readline())
            assert (event["event"], event["instance"]) == ("ejected", "service1a:9")
            process.send_signal(signal.SIGTERM)
            assert process.wait(10) == 0
        finally:
            process.kill()


def test_the_command_says_that_it_was_given_no_instances(environ):
    command = [sys.executable, "-m", "services.balancer", "2"]
    with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert " listens on " in process.stdout.readline()
            said = process.stdout.readline()
            assert "has no instances yet: set SERVICE2_INSTANCES, or POST" in said
        finally:
            process.kill()


@pytest.mark.parametrize(("module", "number"), [("services.balancer", "1"), ("services", "4")])
def test_a_program_says_where_it_listens_as_an_address_also_over_ipv6(environ, module, number):
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    environ.update(BALANCER_HOST="::1", SERVICE_HOST="::1", SERVICE_PORT="0")
    command = [sys.executable, "-m", module, number]
    with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert " listens on http://[::1]:" in process.stdout.readline()
        finally:
            process.kill()


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"BALANCER_POLICY": "best"}, "round_robin"),
        ({"BALANCER_POLICI": "random"}, "did you mean BALANCER_POLICY?"),
        ({"SERVICE1_INSTANCES": "here"}, "service1a=127.0.0.1:8051"),
    ],
)
def test_the_command_says_what_is_wrong_with_its_settings(environ, changed, says):
    command = [sys.executable, "-m", "services.balancer", "1"]
    done = subprocess.run(
        command, env={**environ, **changed}, capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_the_command_says_that_a_port_is_busy(environ):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        environ["BALANCER_PORT"] = str(taken.getsockname()[1])
        command = [sys.executable, "-m", "services.balancer", "1"]
        done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 2
    assert f"127.0.0.1:{environ['BALANCER_PORT']} cannot be listened on" in done.stderr


@pytest.mark.parametrize(
    ("host", "remedy"), [("127.0.0.1", "stop what listens"), ("192.0.2.1", "give BALANCER_HOST an address")]
)
def test_the_command_names_the_variable_that_sets_its_port(environ, host, remedy):
    del environ["BALANCER_PORT"]
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        environ.update(SERVICE_PORT=port, BALANCER_HOST=host)
        command = [sys.executable, "-m", "services.balancer", "1"]
        done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=30, check=False)
    assert f"SERVICE_PORT is {port}, and {host}:{port} cannot be listened on" in done.stderr
    assert remedy in done.stderr


def test_names_that_nobody_has_yet_are_no_reason_not_to_start(environ):
    environ.update(BALANCER_HOST="0.0.0.0", SERVICE1_INSTANCES="service1a=nobody.invalid:8051")
    command = [sys.executable, "-m", "services.balancer", "1"]
    with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, text=True) as process:
        try:
            port = process.stdout.readline().rpartition(":")[2].strip()
            with pytest.raises(urllib.error.HTTPError) as caught:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/process", timeout=30)
            assert caught.value.code == 503
            assert "service1a:8051 unresolved" in json.load(caught.value)["detail"]
        finally:
            process.kill()
