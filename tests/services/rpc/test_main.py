"""Services and balancers run on their own over gRPC, and end when they are told to."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from services.rpc.codec import decode_response
from tests.support.rpc_serving import EXAMPLE, PROCESS, call


@contextmanager
def program(module: str, *arguments: str, **environ: str) -> Iterator[subprocess.Popen[str]]:
    """Run a program, and kill it at the end."""
    clean = {n: v for n, v in os.environ.items() if not n.startswith(("SERVICE", "BALANCER", "INSTANCE"))}
    with subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        env={**clean, **environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def port_of(process: subprocess.Popen[str], name: str) -> int:
    """Wait until the program says where it listens, under its name; return the port."""
    assert process.stdout is not None
    where = process.stdout.readline()
    assert where.startswith(f"{name} listens on grpc://127.0.0.1:")
    return int(where.rpartition(":")[2])


def test_a_service_and_its_balancer_run_on_their_own_and_end_when_told() -> None:
    service = {"SERVICE_PORT": "0", "SERVICE_WORK": "text", "INSTANCE_ID": "service4a"}
    with program("services.rpc", "4", **service) as instance:
        balancer = {
            "BALANCER_PORT": "0",
            "SERVICE4_INSTANCES": f"service4a=127.0.0.1:{port_of(instance, 'service4a')}",
        }
        with program("services.rpc.balancer", "4", **balancer) as before:
            front = port_of(before, "service4-loadbalancer")
            ended = asyncio.run(call(front, b"", "/pipeline.Report/Report"))
            assert ended.details == "ReportRequest lacks analysis and request_id"
            assert ended.metadata["answered-by"] == "service4a"
            for process in (before, instance):
                process.send_signal(signal.SIGTERM)
                assert process.wait(30) == 0


def test_the_whole_pipeline_runs_on_the_environment_alone() -> None:
    environ = {"SERVICE_WORK": "text", "SERVICE_PORT": "0"}
    with ExitStack() as stack:
        for number in (4, 3, 2, 1):
            process = stack.enter_context(program("services.rpc", str(number), **environ))
            port = port_of(process, f"service{number}")
            environ[f"SERVICE{number}_URL"] = f"http://127.0.0.1:{port}"
        assert decode_response(asyncio.run(call(port, EXAMPLE, PROCESS)).body).word_count == 4


@pytest.mark.parametrize(
    ("module", "variable"), [("services.rpc", "SERVICE_PORT"), ("services.rpc.balancer", "BALANCER_PORT")]
)
def test_a_busy_port_is_said_with_its_variable(module: str, variable: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        with program(module, "4", **{variable: port}) as process:
            _, said = process.communicate(timeout=30)
    assert process.returncode == 2
    assert f"{variable} is {port}" in said
