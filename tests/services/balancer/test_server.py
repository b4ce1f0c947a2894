"""A balancer begins on a socket it is given, and ends without losing what it can finish."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request

import pytest

from services.balancer.server import BalancerServer
from services.balancer.settings import Address, BalancerSettings
from tests.support.balancing import Balanced, balanced, echo, post, silent
from tests.support.waiting import eventually


async def test_draining_finishes_what_is_in_flight_and_takes_nothing_more():
    release = asyncio.Event()

    async def held(request):
        await release.wait()
        await echo(request)

    async with balanced(held) as b:
        idle, busy = await b.client(), await b.client()
        idle.send(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        await idle.answer()
        busy.send(post(b"x"))
        await eventually(lambda: b.instances[0].requests)
        stopping = asyncio.ensure_future(b.server.stop(5))
        assert await idle.closed()
        with pytest.raises(ConnectionRefusedError):
            await b.client()
        release.set()
        answer = await busy.answer()
        assert (answer.body, answer.header("Connection")) == (b"service1a:x", "close")
        busy.writer.close()
        await stopping


async def test_a_draining_balancer_is_unready():
    async with balanced(silent) as b:
        client = await b.client()
        client.send(b"GET /health HTTP/1.1\r\nHost: x\r\n")
        await asyncio.sleep(0.02)
        stopping = asyncio.ensure_future(b.server.stop(5))
        await asyncio.sleep(0.02)
        client.send(b"\r\n")
        answer = await client.answer()
        assert (answer.status, json.loads(answer.body)["status"]) == (503, "draining")
        client.writer.close()
        await stopping


async def test_a_balancer_that_is_to_be_unready_first_says_so_and_goes_on_accepting():
    async with balanced(echo, unready_s=1000.0) as b:
        kept = await b.client()
        kept.send(post(b"x"))
        await kept.answer()
        stopping = asyncio.ensure_future(b.server.stop(5))
        await eventually(lambda: b.server.balancer.draining)
        ready = await b.ask(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (ready.status, json.loads(ready.body)["status"]) == (503, "draining")
        assert (await b.ask(post(b"y"))).body == b"service1a:y"
        kept.send(post(b"z"))
        answer = await kept.answer()
        assert (answer.body, answer.header("Connection")) == (b"service1a:z", "close")
        stopping.cancel()
        b.server.abort()


async def test_an_outer_balancer_sends_nothing_to_one_that_is_about_to_stop_and_no_request_fails():
    checks = {"check_interval_s": 0.02, "fall": 2}

    async with balanced(echo, unready_s=1.0) as inner, balanced(echo) as other:
        instances = tuple(Address(name, "127.0.0.1", b.port) for name, b in (("a", inner), ("b", other)))
        outer = BalancerServer(BalancerSettings("service1", 0, instances, **checks))
        sock = socket.create_server(("127.0.0.1", 0))
        through = Balanced(outer, sock.getsockname()[1], [])
        await outer.start(sock)
        stopping = asyncio.ensure_future(inner.server.stop(5))
        statuses, client = set(), await through.client()
        while not stopping.done():
            # Not declared idempotent: an attempt that meets the end of the inner one cannot be hidden.
            client.send(post(path="/order"))
            statuses.add((await client.answer()).status)
        with pytest.raises(ConnectionRefusedError):
            await inner.client()
        assert statuses == {200}
        log = outer.balancer.log.last()
        assert [(event["event"], event["reason"]) for event in log] == [("ejected", "checks")]
        through.close()
        await outer.stop(0)


async def test_what_was_aborted_is_not_unready_first():
    async with balanced(echo, unready_s=1000.0) as b:
        b.server.abort()
        await b.server.stop(0)


async def test_what_does_not_end_in_time_is_cut():
    async with balanced(silent) as b:
        client = await b.client()
        client.send(post())
        await eventually(lambda: b.instances[0].requests)
        await b.server.stop(0.05)
        assert await client.closed()
        await eventually(lambda: b.instances[0].closed == b.instances[0].connections)


async def test_aborting_resets_connections_and_frees_the_port():
    async with balanced(silent) as b:
        client = await b.client()
        client.send(post())
        await eventually(lambda: b.instances[0].requests)
        b.server.abort()
        with pytest.raises(ConnectionResetError):
            await client.reader.read()
        await b.server.stop(0)
        socket.create_server(("127.0.0.1", b.port)).close()


@pytest.mark.parametrize("turns", range(6))
async def test_aborting_cuts_a_connection_however_far_it_has_come(turns):
    pytest.importorskip("uvloop", reason="asyncio itself drops what is accepted just then, and complains")

    async with balanced(echo) as b:
        with socket.create_connection(("127.0.0.1", b.port), timeout=10) as client:
            for _ in range(turns):
                await asyncio.sleep(0)
            b.server.abort()
            await b.server.stop(0)
            with pytest.raises(ConnectionResetError):
                await asyncio.to_thread(client.recv, 1)


async def test_stopping_what_was_never_started_is_nothing():
    server = BalancerServer(BalancerSettings("service1", 0, ()))
    server.abort()
    await server.stop(0)
    with pytest.raises(RuntimeError, match="not started"):
        server.stats()


async def test_a_balancer_that_stopped_leaves_no_task_behind():
    before = asyncio.all_tasks()
    async with balanced(echo, check_interval_s=0.01) as b:
        await b.ask(post())
        await b.server.stop(0)
    await eventually(lambda: asyncio.all_tasks() <= before)


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
def test_what_it_says_where_it_listens_is_an_address_also_over_ipv6(environ, module, number):
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
