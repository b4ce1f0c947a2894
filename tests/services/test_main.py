"""`python -m services`: a service as a process of its own."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from services.settings import VARIABLES
from tests.support.serving import ask
from tests.support.waiting import wait_until


@contextmanager
def balancing(port: int, **environ: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Run the balancer of service4 before the instance on that port. Gives its process and its port."""
    environ = {"SERVICE4_INSTANCES": f"127.0.0.1:{port}", "BALANCER_PORT": "0", **environ}
    process = start("4", module="services.balancer", **environ)
    try:
        assert process.stdout
        yield process, int(process.stdout.readline().rpartition(":")[2])
    finally:
        process.kill()
        process.communicate()


def start(*arguments: str, module: str = "services", **environ: str) -> subprocess.Popen[str]:
    clean = {name: text for name, text in os.environ.items() if not name.startswith("SERVICE")}
    return subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        env={**clean, **environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture
def run() -> Iterator[Callable[..., tuple[subprocess.Popen[str], int]]]:
    """Starts a service on a free port. Returns its process and the port it says it listens on."""
    processes: list[subprocess.Popen[str]] = []

    def run(*arguments: str, **environ: str) -> tuple[subprocess.Popen[str], int]:
        process = start(*arguments, SERVICE_PORT="0", **environ)
        processes.append(process)
        assert process.stdout
        said = process.stdout.readline()
        port = re.search(r"listens on http://127\.0\.0\.1:(\d+)/", said)
        assert port, said or process.communicate()
        return process, int(port[1])

    yield run
    for process in processes:
        process.kill()
        process.communicate()


def test_a_service_serves_by_its_number_alone(run: Any) -> None:
    _, port = run("4")
    assert ask(port).json == {"status": "healthy", "service": "service4"}
    analysis = {"word_count": 1, "top_words": [["a", 1]], "unique_words": 1}
    reply = ask(port, "POST", "/report", {"analysis": analysis, "request_id": "r1"})
    assert reply.json["word_count"] == 1


@pytest.mark.parametrize(
    ("number", "path", "request_model"), [("1", "/process", "TextRequest"), ("4", "/report", "ReportRequest")]
)
def test_a_service_started_on_its_own_describes_what_it_takes_and_gives(
    run: Any, number: str, path: str, request_model: str
) -> None:
    _, port = run(number)
    for page in ("/docs", "/redoc"):
        shown = ask(port, "GET", page)
        assert (shown.status, b"/openapi.json" in shown.body) == (200, True)
    document = ask(port, "GET", "/openapi.json").json
    route = document["paths"][path]["post"]
    assert route["requestBody"]["content"]["application/json"]["schema"] == {
        "$ref": f"#/components/schemas/{request_model}"
    }
    assert route["responses"]["200"]["content"]["application/json"]["schema"] == {
        "$ref": "#/components/schemas/PipelineResponse"
    }
    schemas = document["components"]["schemas"]
    assert set(schemas["PipelineResponse"]["properties"]) == {
        "status", "message", "word_count", "report", "top_words"
    }  # fmt: skip
    named = set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(document)))
    assert named == set(schemas)
    assert "$defs" not in json.dumps(document)


def test_services_find_each_other_by_the_documented_variables(run: Any) -> None:
    _, fourth = run("4", SERVICE_WORK_MS="1")
    _, third = run(
        "3", SERVICE_WORK_MS="1", SERVICE4_URL=f"http://127.0.0.1:{fourth}", INSTANCE_ID="service3b"
    )
    reply = ask(third, "POST", "/analyze", {"text": "a a b", "request_id": "r1"})
    assert reply.json["top_words"] == [["a", 2], ["b", 1]]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_in_good_order(run: Any, number: int) -> None:
    process, port = run("4")
    assert ask(port).status == 200
    process.send_signal(number)
    _, said = process.communicate(timeout=20)
    assert process.returncode in (0, -number)
    assert said == ""


def test_what_is_in_flight_at_a_signal_has_the_time_to_finish_that_is_set(run: Any) -> None:
    """Longer than the time that is given where nothing is set; through a balancer, which waits as well."""
    process, port = run("4", SERVICE_WORK_MS="3600", SERVICE_GRACE_S="60")
    with ThreadPoolExecutor() as pool, balancing(port, BALANCER_GRACE_S="60") as (balancer, entry):
        analysis = {"word_count": 1, "top_words": [["a", 1]], "unique_words": 1}
        asked = pool.submit(ask, entry, "POST", "/report", {"analysis": analysis, "request_id": "r1"})
        wait_until(lambda: ask(entry, "GET", "/admin/instances").json[0]["in_flight"] == 1)
        for each in (balancer, process):
            each.send_signal(signal.SIGTERM)
        assert asked.result().status == 200
        assert balancer.wait(20) == 0


def test_a_busy_port_is_named_with_the_service_and_the_remedy() -> None:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
        process = start("2", SERVICE_PORT=str(port))
        _, said = process.communicate(timeout=20)
    assert process.returncode == 2
    assert said.startswith(f"service2 cannot start: SERVICE_PORT is {port}")
    assert "stop what listens there" in said


@pytest.mark.parametrize(
    ("arguments", "environ", "said"),
    [
        ((), {}, "SERVICE_NAME is not set"),
        (("5",), {}, "SERVICE_PORT is not set: service5 has no documented port"),
        (("1",), {"SERVICE_WORK_MS": "fast"}, "SERVICE_WORK_MS is 'fast': give a number"),
        (("1",), {"SERVICE_PATH": "/elsewhere"}, "give one of /process"),
    ],
)
def test_settings_that_make_no_sense_end_it_with_one_line(
    arguments: tuple[str, ...], environ: dict[str, str], said: str
) -> None:
    process = start(*arguments, **environ)
    _, error = process.communicate(timeout=20)
    assert process.returncode == 2
    assert said in error
    assert error.count("\n") == 1


def test_help_lists_every_variable() -> None:
    process = start("--help")
    shown, _ = process.communicate(timeout=20)
    assert process.returncode == 0
    assert all(f"  {variable.name} " in shown for variable in VARIABLES)
    assert "SERVICE2_URL" in shown
