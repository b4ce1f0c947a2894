"""A service that was started so can be told to slow down, to answer errors and to hang up; others cannot."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from services.fault_injection import Faults
from services.pipeline import create_app
from services.settings import ServiceSettings
from services.work import Work
from tests.support.serving import ServerThread, ask

REPORT = {"analysis": {"word_count": 1, "top_words": [["a", 1]], "unique_words": 1}, "request_id": "r1"}


@pytest.fixture
def serve(servers: ServerThread) -> Iterator[Callable[..., tuple[int, Any]]]:
    """Serves the last service of the pipeline."""
    ports = []

    def serve(**settings: Any) -> tuple[int, Any]:
        work = Work(mean_ms=1)
        app = create_app(ServiceSettings("service4", "/report", 0, work=work, **settings))
        ports.append(servers.serve_app(app))
        return ports[-1], app

    yield serve
    for port in ports:
        servers.stop_app(port)


@pytest.fixture
def faulty(serve: Any, tmp_path: Path) -> tuple[int, Any]:
    port, app = serve(faults=True, ledger_limit=10, ledger_file=str(tmp_path / "ledger"))
    return port, app


def post(port: int, path: str, content: object) -> tuple[int, object]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("POST", path, json.dumps(content), {"content-type": "application/json"})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def report(port: int) -> int:
    return post(port, "/report", REPORT)[0]


def test_a_service_that_was_not_started_so_knows_no_faults(serve: Any) -> None:
    port, _ = serve()
    assert post(port, "/faults", {"errors": 1})[0] == 404
    assert report(port) == 200


def test_told_to_err_it_answers_500_and_executes_nothing_until_it_is_told_to_be_well(
    faulty: tuple[int, Any],
) -> None:
    port, app = faulty
    assert post(port, "/faults", {"errors": 1}) == (200, {"slowdown": 1.0, "errors": 1, "drops": 0.0})
    assert report(port) == 500
    assert app.state.ledger.executed == {}
    post(port, "/faults", {})
    assert report(port) == 200


def test_told_to_drop_connections_it_executes_and_hangs_up(faulty: tuple[int, Any], tmp_path: Path) -> None:
    port, _ = faulty
    post(port, "/faults", {"drops": 1})
    with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
        report(port)
    assert (tmp_path / "ledger").read_text() == "r1\n"
    post(port, "/faults", {})
    assert report(port) == 200


def test_told_to_slow_down_its_service_time_is_a_multiple_of_what_it_was(faulty: tuple[int, Any]) -> None:
    port, app = faulty
    usual = app.state.slots.work.mean_ms
    for slowdown in (4, 2, 1):
        post(port, "/faults", {"slowdown": slowdown})
        assert app.state.slots.work.mean_ms == usual * slowdown


def test_its_health_is_none_of_its_faults(faulty: tuple[int, Any]) -> None:
    port, _ = faulty
    post(port, "/faults", {"errors": 1, "drops": 1})
    assert ask(port, "GET", "/health").status == 200


@pytest.mark.parametrize("wrong", [{"drops": 2}, {"errors": -1}, {"slowdown": 0}, {"speed": 1}, [], None])
def test_faults_that_make_no_sense_are_refused(faulty: tuple[int, Any], wrong: object) -> None:
    port, app = faulty
    assert post(port, "/faults", wrong)[0] == 422
    assert app.faults == Faults()
