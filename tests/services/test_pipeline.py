"""One service at a time, on uvicorn, between a real client and a scripted next hop."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from fastapi import FastAPI

from services import slots
from services.documented import PATHS
from services.names import WorkKind
from services.pipeline import create_app
from services.settings import ServiceSettings, SettingsError
from services.stages import STAGES, PipelineStage
from services.work import Work
from tests.support.serving import HeldWork, NextHop, ServerThread, ask
from tests.support.waiting import wait_until

BODY = {"text": "The cat, the CAT", "request_id": "r1"}
RESULT = {"status": "success", "message": "m", "word_count": 1, "report": "r", "top_words": [["a", 1]]}
TEXT = Work(WorkKind.TEXT)


def answer(status: int, body: Any = RESULT, headers: str = "") -> bytes:
    """An HTTP answer as bytes."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return b"HTTP/1.1 %d Some\r\nContent-Length: %d\r\n%s\r\n%s" % (
        status,
        len(raw),
        headers.encode("latin-1"),
        raw,
    )


def settings(
    number: int, next_url: str | None = "http://127.0.0.1:9/nowhere", **changes: Any
) -> ServiceSettings:
    """Service `number`, text work alone, before a next hop named as documented."""
    last = number == 4
    given = {
        "service": f"service{number}", "path": PATHS[number - 1], "port": 0, "work": TEXT,
        "next_url": None if last else next_url, "next_service": None if last else f"service{number + 1}",
    }  # fmt: skip
    return ServiceSettings(**{**given, **changes})


@pytest.fixture
def serve(servers: ServerThread, next_hop: NextHop) -> Callable[..., tuple[int, FastAPI]]:
    """Serves service `number` before the scripted next_hop. Returns its port and application."""
    next_hop.answer = answer(200)

    def serve(number: int, **changes: Any) -> tuple[int, FastAPI]:
        app = create_app(settings(number, **{"next_url": next_hop.url, **changes}))
        return servers.serve_app(app), app

    return serve


def raw(port: int, data: bytes, *, half_close: bool = False) -> bytes:
    """Sends bytes and reads all that comes until the server closes or is silent for long."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as sock:
        sock.sendall(data)
        if half_close:
            sock.shutdown(socket.SHUT_WR)
        received = b""
        while b"\r\n\r\n" not in received:
            chunk = sock.recv(65536)
            if not chunk:
                break
            received += chunk
        return received


# What each service does


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_health_is_as_documented(serve: Any, number: int) -> None:
    port, _ = serve(number, instance=f"service{number}b")
    assert ask(port).json == {"status": "healthy", "service": f"service{number}"}


@pytest.mark.parametrize(
    ("number", "body", "posted"),
    [
        (1, BODY, BODY),
        (2, BODY, {"text": "the cat the cat", "request_id": "r1"}),
        (
            3,
            {"text": "the cat, The the", "request_id": "r1"},
            {
                "analysis": {
                    "word_count": 4,
                    "top_words": [["the", 2], ["cat,", 1], ["The", 1]],
                    "unique_words": 3,
                },
                "request_id": "r1",
            },
        ),
    ],
)
def test_a_service_posts_what_it_made_to_the_next(
    serve: Any, next_hop: NextHop, number: int, body: Any, posted: Any
) -> None:
    port, _ = serve(number)
    reply = ask(port, "POST", PATHS[number - 1], body)
    assert (reply.status, reply.json) == (200, RESULT)
    assert json.loads(next_hop.bodies[0]) == posted
    assert "content-type: application/json" in next_hop.heads[0].lower()


def test_the_last_service_answers_with_the_result(serve: Any) -> None:
    port, _ = serve(4)
    analysis = {"word_count": 4, "top_words": [["the", 2], ["cat", 2]], "unique_words": 2}
    reply = ask(port, "POST", "/report", {"analysis": analysis, "request_id": "r1"})
    assert reply.status == 200
    assert list(reply.json) == ["status", "message", "word_count", "report", "top_words"]
    assert reply.json["status"] == "success"
    assert reply.json["word_count"] == 4
    assert reply.json["top_words"] == [["the", 2], ["cat", 2]]
    assert "Words: 4" in reply.json["report"]


# Bad requests


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"nonsense", b"null", b"[]", b'"text"', b"{}", b'{"text": "a"}', b'{"request_id": "r"}',
        b'{"text": 1, "request_id": "r"}', b'{"text": "a", "request_id": 7}',
        b'{"text": null, "request_id": "r"}', b'{"text": ["a"], "request_id": "r"}',
        b'{"text": NaN, "request_id": "r"}', b"\xff\xfe",
        b'{"text": "\xff", "request_id": "r"}', b'{"text": "\\ud800", "request_id": "r"}', b"[" * 100_000,
        b'{"text": "a", "request_id": "r"} more',
    ],
)  # fmt: skip
def test_a_body_that_is_no_request_is_unprocessable_and_not_passed_on(
    serve: Any, next_hop: NextHop, body: bytes
) -> None:
    port, _ = serve(1)
    reply = ask(port, "POST", "/process", body)
    assert reply.status == 422
    assert reply.detail[0]["loc"][0] == "body"
    assert next_hop.bodies == []
    assert ask(port).status == 200


@pytest.mark.parametrize(
    "analysis",
    [
        None, {}, {"word_count": 1, "top_words": [], "unique_words": "1"},
        {"word_count": 1, "top_words": [["a"]], "unique_words": 1},
        {"word_count": True, "top_words": [], "unique_words": 1},
    ],
)  # fmt: skip
def test_an_analysis_that_is_none_is_unprocessable(serve: Any, analysis: Any) -> None:
    port, _ = serve(4)
    assert ask(port, "POST", "/report", {"analysis": analysis, "request_id": "r"}).status == 422


def test_an_analysis_whose_counts_contradict_each_other_is_unprocessable(serve: Any) -> None:
    port, _ = serve(4)
    analysis = {"word_count": 1, "top_words": [["the", 2]], "unique_words": 1}
    reply = ask(port, "POST", "/report", {"analysis": analysis, "request_id": "r"})
    assert (reply.status, reply.detail[0]["loc"]) == (422, ["body", "analysis"])


def test_what_is_wrong_is_named_without_repeating_the_body(serve: Any) -> None:
    port, _ = serve(1)
    reply = ask(port, "POST", "/process", {"text": "secret" * 1000})
    assert [(wrong["loc"], wrong["type"]) for wrong in reply.detail] == [(["body", "request_id"], "missing")]
    assert b"secret" not in reply.body


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/process", 405), ("PUT", "/process", 405), ("POST", "/health", 405),
        ("POST", "/process/", 404), ("POST", "/preprocess", 404), ("GET", "/", 404),
        ("GET", "/docs", 404), ("GET", "/openapi.json", 404),
        ("GET", "/ledger", 404),
    ],
)  # fmt: skip
def test_a_wrong_method_or_path_is_refused(serve: Any, method: str, path: str, status: int) -> None:
    port, _ = serve(1)
    assert ask(port, method, path, BODY if method != "GET" else None).status == status


def test_a_declared_length_over_the_limit_is_refused_before_the_body_comes(serve: Any) -> None:
    port, _ = serve(1, body_limit_bytes=100)
    received = raw(port, b"POST /process HTTP/1.1\r\nHost: a\r\nContent-Length: 101\r\n\r\n")
    assert received.startswith(b"HTTP/1.1 413 ")


def test_a_chunked_body_over_the_limit_is_refused(serve: Any, next_hop: NextHop) -> None:
    port, _ = serve(1, body_limit_bytes=100)
    reply = ask(port, "POST", "/process", iter([b"x" * 60, b"x" * 60]))
    assert (reply.status, reply.detail) == (413, "the body is larger than 100 bytes")
    assert next_hop.bodies == []


def test_a_body_of_the_very_limit_is_taken(serve: Any) -> None:
    body = json.dumps(BODY).encode()
    port, _ = serve(1, body_limit_bytes=len(body))
    assert ask(port, "POST", "/process", body).status == 200
    assert ask(port, "POST", "/process", body + b" ").status == 413


def test_a_chunked_body_within_the_limit_is_taken(serve: Any) -> None:
    port, _ = serve(1)
    assert ask(port, "POST", "/process", iter([json.dumps(BODY).encode()])).status == 200


def test_a_body_that_does_not_come_in_time_is_given_up(serve: Any) -> None:
    port, _ = serve(1, timeout_s=0.1)
    received = raw(port, b'POST /process HTTP/1.1\r\nHost: a\r\nContent-Length: 90\r\n\r\n{"text"')
    assert received.startswith(b"HTTP/1.1 408 ")
    assert ask(port).status == 200


def test_a_body_that_is_cut_short_leaves_the_service_unharmed(serve: Any, next_hop: NextHop) -> None:
    port, _ = serve(1)
    raw(port, b'POST /process HTTP/1.1\r\nHost: a\r\nContent-Length: 90\r\n\r\n{"text"', half_close=True)
    assert ask(port, "POST", "/process", BODY).status == 200
    assert len(next_hop.bodies) == 1


# The next hop failing


def test_a_next_hop_that_does_not_listen_is_a_bad_gateway_by_name(servers: ServerThread) -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{sock.getsockname()[1]}/preprocess"
        port = servers.serve_app(create_app(settings(1, url)))
        reply = ask(port, "POST", "/process", BODY)
    assert reply.status == 502
    assert f"service2 ({url})" in reply.detail


def test_a_next_hop_that_takes_too_long_is_a_gateway_timeout_by_name(
    serve: Any, next_hop: NextHop, monkeypatch: pytest.MonkeyPatch
) -> None:
    # `timeout_s` bounds the reading of the body too: shorten the next hop's time alone.
    monkeypatch.setattr(ServiceSettings, "hop_timeout_s", 0.1)
    next_hop.answers = False
    port, _ = serve(1)
    reply = ask(port, "POST", "/process", BODY)
    assert (reply.status, reply.detail) == (504, f"service2 ({next_hop.url}): no answer within 0.1 s")


def test_a_next_hop_that_breaks_off_is_a_bad_gateway_by_name(serve: Any, next_hop: NextHop) -> None:
    next_hop.answer, next_hop.closes = answer(200)[:-5], True
    port, _ = serve(1)
    reply = ask(port, "POST", "/process", BODY)
    assert reply.status == 502
    assert "service2" in reply.detail
    assert len(next_hop.bodies) == 1


@pytest.mark.parametrize(
    ("given", "status", "said"),
    [
        (answer(500, {"detail": "service3 (there): gone"}), 502, "answered 500: service3 (there): gone"),
        (answer(502, b"<html>" + b"x" * 5000), 502, "answered 502: <html>x"),
        (answer(504, {"detail": "late"}), 504, "answered 504: late"),
        (answer(413, {"detail": "too large"}), 502, "answered 413: too large"),
        (answer(422, {"detail": [{"type": "missing"}]}), 502, "answered 422: [{'type': 'missing'}]"),
        (answer(404, b""), 502, "answered 404: "),
        (answer(307, b"", "Location: /elsewhere\r\n"), 502, "answered 307: "),
        (answer(200, b"all good"), 502, "answered 200, but not with a result of the pipeline"),
        (answer(200, {"status": "error"}), 502, "answered 200, but not with a result of the pipeline"),
        (answer(200, b"\xff[[["), 502, "answered 200, but not with a result of the pipeline"),
    ],
)
def test_an_answer_that_is_no_result_is_a_failure_of_the_next_hop(
    serve: Any, next_hop: NextHop, given: bytes, status: int, said: str
) -> None:
    next_hop.answer = given
    port, _ = serve(1)
    reply = ask(port, "POST", "/process", BODY)
    assert reply.status == status
    assert reply.detail.startswith(f"service2 ({next_hop.url}) {said}")
    assert len(reply.body) < 1000


def test_the_next_hops_503_is_relayed_as_it_is(serve: Any, next_hop: NextHop) -> None:
    next_hop.answer = answer(
        503, b'{"detail":"all tried"}', "Retry-After: 7\r\nContent-Type: application/json\r\n"
    )
    port, _ = serve(2)
    reply = ask(port, "POST", "/preprocess", BODY)
    assert (reply.status, reply.body) == (503, b'{"detail":"all tried"}')
    assert reply.headers["retry-after"] == "7"
    assert reply.headers["content-type"] == "application/json"


def test_headers_that_may_not_be_sent_on_are_left_out(serve: Any, next_hop: NextHop) -> None:
    next_hop.answer = answer(503, b"", "Retry-After: \xe9\r\nServer-Timing: \xff;dur=1\r\n")
    port, _ = serve(2)
    reply = ask(port, "POST", "/preprocess", BODY)
    assert reply.status == 503
    assert "retry-after" not in reply.headers


def test_a_fault_of_the_service_itself_is_told_without_a_traceback(
    serve: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: Any) -> Any:
        raise RuntimeError("internal affairs")

    monkeypatch.setitem(STAGES, "/process", PipelineStage(STAGES["/process"].takes, fail))  # type: ignore[misc]
    port, _ = serve(1, instance="service1c")
    reply = ask(port, "POST", "/process", BODY)
    assert (reply.status, reply.detail) == (500, "service1c failed: RuntimeError")


# Slots, queue and time


def test_a_slot_is_given_back_before_the_next_hop_is_called(servers: ServerThread) -> None:
    arrived: list[asyncio.StreamWriter] = []

    async def answer_in_pairs(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        arrived.append(writer)
        if len(arrived) == 2:
            for waiting in arrived:
                waiting.write(answer(200))
        await reader.read()

    peer_port = servers.listen(answer_in_pairs)
    app = create_app(settings(1, f"http://127.0.0.1:{peer_port}/x", work=Work(mean_ms=1, slots=1)))
    port = servers.serve_app(app)
    with ThreadPoolExecutor(2) as pool:
        replies = list(pool.map(lambda _: ask(port, "POST", "/process", BODY), range(2)))
    assert [reply.status for reply in replies] == [200, 200]


def test_a_request_that_finds_the_queue_full_is_told_when_to_come_again(
    serve: Any, servers: ServerThread
) -> None:
    port, app = serve(1, work=Work(mean_ms=60_000, queue_limit=1), instance="service1a")
    held = HeldWork(app.state.slots)
    with ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(ask, port, "POST", "/process", BODY) for _ in range(2)]
        wait_until(lambda: app.state.slots.waiting == 1)
        reply = ask(port, "POST", "/process", BODY)
        servers.loop.call_soon_threadsafe(held.release)
        assert [future.result().status for future in waiting] == [200, 200]
    assert (reply.status, reply.headers["retry-after"]) == (503, "60")
    assert reply.detail == "service1a is full: all 1 slots are busy and 1 requests wait"


def test_a_request_out_of_budget_gives_its_slot_and_its_place_back(serve: Any, next_hop: NextHop) -> None:
    port, app = serve(1, work=Work(mean_ms=60_000))
    reply = ask(port, "POST", "/process", BODY, {"X-Request-Deadline-Ms": "50"})
    assert reply.status == 504
    assert "budget" in reply.detail
    assert (app.state.slots.busy, app.state.slots.waiting) == (0, 0)
    assert next_hop.bodies == []


def test_a_budget_that_is_used_up_does_not_reach_the_next_hop(serve: Any, next_hop: NextHop) -> None:
    port, _ = serve(1)
    assert ask(port, "POST", "/process", BODY, {"X-Request-Deadline-Ms": "0"}).status == 504
    assert next_hop.bodies == []


def budget_sent(next_hop: NextHop) -> int:
    found = re.search(r"x-request-deadline-ms: (\d+)\r", next_hop.heads[0].lower())
    assert found, "the next hop is told how long its client waits"
    return int(found[1])


def test_what_is_left_of_the_budget_travels_on(serve: Any, next_hop: NextHop) -> None:
    port, _ = serve(1, work=Work(mean_ms=20))
    assert ask(port, "POST", "/process", BODY, {"X-Request-Deadline-Ms": "15000"}).status == 200
    assert 0 < budget_sent(next_hop) <= 14_980


def test_the_budget_is_never_more_than_the_next_hop_gets(serve: Any, next_hop: NextHop) -> None:
    port, _ = serve(1, timeout_s=2, hops_left=3)
    assert ask(port, "POST", "/process", BODY, {"X-Request-Deadline-Ms": "999999999"}).status == 200
    assert budget_sent(next_hop) == 6000


def test_of_several_budgets_the_next_hop_gets_the_least(serve: Any, next_hop: NextHop) -> None:
    port, _ = serve(1, timeout_s=2, hops_left=3)
    assert ask(port, "POST", "/process", BODY, {"X-Request-Deadline-Ms": "900, 500"}).status == 200
    assert budget_sent(next_hop) <= 500


def test_without_a_budget_the_next_hop_gets_its_own_time(serve: Any, next_hop: NextHop) -> None:
    port, _ = serve(1, timeout_s=2, hops_left=3)
    ask(port, "POST", "/process", BODY)
    assert budget_sent(next_hop) == 6000


@pytest.mark.parametrize("text", ["", "soon", "-1", "1.5", "1e3", "inf", "9" * 40, "\xb2"])
def test_a_budget_that_is_no_number_is_unprocessable(serve: Any, text: str) -> None:
    port, _ = serve(1)
    reply = ask(port, "POST", "/process", BODY, {"X-Request-Deadline-Ms": text})
    assert reply.status == 422
    assert reply.detail[0]["loc"] == ["header", "x-request-deadline-ms"]


def timings(reply: Any) -> dict[str, float]:
    """Server-Timing by name, in order; it fails on what is not of the documented form."""
    parts = reply.headers["server-timing"].split(", ")
    matches = [re.fullmatch(r"([\w-]+);dur=(\d+\.\d+)", part) for part in parts]
    return {match[1]: float(match[2]) for match in matches if match or pytest.fail(f"{parts}")}  # type: ignore[index]


def test_server_timing_says_how_long_the_work_took(serve: Any) -> None:
    port, _ = serve(1, work=Work(mean_ms=20))
    timing = timings(ask(port, "POST", "/process", BODY))
    assert list(timing) == ["service1-queue", "service1-work"]
    assert timing["service1-work"] >= 20


@pytest.mark.parametrize("status", [200, 500, 503])
def test_server_timing_of_the_next_hop_follows_ones_own(serve: Any, next_hop: NextHop, status: int) -> None:
    next_hop.answer = answer(
        status, headers="Server-Timing: service2-queue;dur=0.5, service2-work;dur=40.3\r\n"
    )
    port, _ = serve(1)
    timing = timings(ask(port, "POST", "/process", BODY))
    assert list(timing) == ["service1-queue", "service1-work", "service2-queue", "service2-work"]
    assert timing["service2-work"] == 40.3


def test_an_answer_to_a_bad_request_has_server_timing_too(serve: Any) -> None:
    port, _ = serve(1)
    assert timings(ask(port, "POST", "/process", b"{")) == {"service1-queue": 0, "service1-work": 0}


def test_an_instance_can_be_slowed_down_while_it_runs(serve: Any, servers: ServerThread) -> None:
    port, app = serve(1)

    async def slow_down() -> None:
        app.state.slots.work = Work(mean_ms=30)

    servers.run(slow_down())
    assert timings(ask(port, "POST", "/process", BODY))["service1-work"] >= 30


def test_health_answers_while_the_processor_is_busy_with_work(
    serve: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered = threading.Event()

    def burn(_: float, stop: threading.Event) -> None:
        while not (answered.is_set() or stop.is_set()):
            sum(range(500))

    monkeypatch.setattr(slots, "burn", burn)
    port, app = serve(1, work=Work(WorkKind.CPU, mean_ms=1000))
    with ThreadPoolExecutor(1) as pool:
        post = pool.submit(ask, port, "POST", "/process", BODY)
        try:
            wait_until(lambda: app.state.slots.busy == 1)
            assert ask(port).status == 200
            assert not post.done()
        finally:
            answered.set()
        assert post.result().status == 200


# The ledger


def test_the_ledger_counts_how_often_each_request_was_executed(serve: Any) -> None:
    port, app = serve(1, ledger_limit=2)
    for name in ("r1", "r2", "r2", "r3"):
        ask(port, "POST", "/process", {**BODY, "request_id": name})
    assert ask(port, path="/ledger").json == {"executed": {"r2": 2, "r3": 1}, "forgotten": 1}
    assert app.state.ledger.executed == {"r2": 2, "r3": 1}


def test_a_request_that_was_refused_is_not_in_the_ledger(serve: Any) -> None:
    port, _ = serve(1, ledger_limit=10)
    ask(port, "POST", "/process", {"text": 1, "request_id": "r1"})
    assert ask(port, path="/ledger").json["executed"] == {}


# Settings that make no service


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"path": "/elsewhere"}, "SERVICE_PATH .*'/elsewhere': give one of /process, /preprocess"),
        ({"next_url": None}, "SERVICE_NEXT_URL .*None: /process needs one"),
        ({"path": "/report"}, "SERVICE_NEXT_URL .*: /report has no next hop"),
    ],
)
def test_a_route_and_a_next_hop_that_do_not_fit_are_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        create_app(replace(settings(1), **changes))


def test_a_client_that_is_not_installed_is_refused_before_anything_starts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "aiohttp", None)
    with pytest.raises(SettingsError, match="aiohttp is not installed"):
        create_app(settings(1, client="aiohttp"))


def test_an_application_opens_nothing_before_it_is_started() -> None:
    before = threading.active_count()
    app = create_app(settings(1))
    assert threading.active_count() == before
    assert [route.path for route in app.routes] == ["/process", "/health"]  # type: ignore[attr-defined]
