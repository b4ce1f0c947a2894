"""Services and balancers that run on their own, over gRPC."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from services.rpc.codec import decode_response
from tests.support.rpc_serving import EXAMPLE, PROCESS, call, closed_port


@contextmanager
def program(module: str, *arguments: str, **environ: str) -> Iterator[subprocess.Popen[str]]:
    """It runs, and has said where it listens."""
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


def listening(process: subprocess.Popen[str]) -> str:
    """The line in which it says so."""
    assert process.stdout is not None
    return process.stdout.readline()


def test_a_service_and_its_balancer_run_on_their_own_and_end_when_told() -> None:
    last, front = str(closed_port()), str(closed_port())
    service = {"SERVICE_PORT": last, "SERVICE_WORK": "text", "INSTANCE_ID": "service4a"}
    balancer = {"BALANCER_PORT": front, "SERVICE4_INSTANCES": f"service4a=127.0.0.1:{last}"}
    with (
        program("services.rpc", "4", **service) as instance,
        program("services.rpc.balancer", "4", **balancer) as before,
    ):
        assert listening(instance) == f"service4a listens on grpc://127.0.0.1:{last}\n"
        assert listening(before) == f"service4-loadbalancer listens on grpc://127.0.0.1:{front}\n"
        ended = asyncio.run(call(int(front), b"", "/pipeline.Report/Report"))
        assert ended.details == "ReportRequest lacks analysis and request_id"
        assert ended.metadata["answered-by"] == "service4a"
        for process in (before, instance):
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0


def test_the_whole_pipeline_runs_on_the_environment_alone() -> None:
    ports = [str(closed_port()) for _ in range(4)]
    environ = {
        "SERVICE_WORK": "text",
        **{f"SERVICE{n}_URL": f"http://127.0.0.1:{ports[n - 1]}" for n in (2, 3, 4)},
    }
    programs = [program("services.rpc", str(n), SERVICE_PORT=ports[n - 1], **environ) for n in (1, 2, 3, 4)]
    with programs[0] as first, programs[1] as second, programs[2] as third, programs[3] as fourth:
        for process in (first, second, third, fourth):
            assert "listens" in listening(process)
        assert decode_response(asyncio.run(call(int(ports[0]), EXAMPLE, PROCESS)).body).word_count == 4


@pytest.mark.parametrize(
    ("module", "variable"), [("services.rpc", "SERVICE_PORT"), ("services.rpc.balancer", "BALANCER_PORT")]
)
def test_a_busy_port_is_said_with_its_variable(module: str, variable: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        with program(module, "4", **{variable: port}) as process:
            _, said = process.communicate(timeout=20)
    assert process.returncode == 2
    assert f"{variable} is {port}" in said
