"""The four services one behind the other, on uvicorn and real sockets."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from services.documented import PATHS
from services.names import ClientName, WorkKind
from services.pipeline import create_app
from services.settings import ServiceSettings
from services.stages import clean, count, report
from services.work import Work
from tests.support.serving import ServerThread, ask

TEXTS = [
    "The cat, the CAT",
    "",
    " \n\t ",
    "!?…",
    "naïve café\u2003déjà-vu 1,000",
    "\U0001f600 \x00 \u0130 line\u2028separator",
    "word " * 20_000,
]


@pytest.fixture
def chain(servers: ServerThread) -> Callable[..., list[tuple[int, Any]]]:
    """Serves the four services, the last first. Returns their ports and applications, the first first."""

    def chain(**changes: Any) -> list[tuple[int, Any]]:
        served: list[tuple[int, Any]] = []
        for number in (4, 3, 2, 1):
            url = f"http://127.0.0.1:{served[0][0]}{PATHS[number]}" if served else None
            settings = ServiceSettings(**{
                "service": f"service{number}", "path": PATHS[number - 1], "port": 0, "hops_left": 4 - number,
                "next_url": url, "next_service": f"service{number + 1}" if url else None,
                "work": Work(WorkKind.TEXT), **changes,
            })  # fmt: skip
            app = create_app(settings)
            served.insert(0, (servers.serve_app(app), app))
        return served

    return chain


@pytest.mark.parametrize("client", list(ClientName))
def test_a_text_comes_back_cleaned_counted_and_reported(chain: Any, client: ClientName) -> None:
    entry, _ = chain(client=client)[0]
    for text in TEXTS:
        reply = ask(entry, "POST", "/process", {"text": text, "request_id": "r1"})
        analysis = count(clean(text))
        assert reply.status == 200
        assert reply.json == {
            "status": "success",
            "message": "Text processed",
            "word_count": analysis.word_count,
            "report": report(analysis),
            "top_words": [list(pair) for pair in analysis.top_words],
        }


@pytest.mark.parametrize("limit", [1_000, 100_000])
def test_a_body_of_the_very_limit_comes_through_all_four(chain: Any, limit: int) -> None:
    """One word, which the answer has twice; the analysis of it is longer than the text."""
    entry, _ = chain(body_limit_bytes=limit)[0]
    word = "x" * (limit - len('{"text": "", "request_id": "r1"}'))
    assert len(json.dumps({"text": word, "request_id": "r1"})) == limit
    reply = ask(entry, "POST", "/process", {"text": word, "request_id": "r1"})
    assert (reply.status, reply.json["top_words"]) == (200, [[word, 1]])
    assert ask(entry, "POST", "/process", {"text": word + "x", "request_id": "r1"}).status == 413


def test_server_timing_tells_of_all_four_in_the_order_of_the_chain(chain: Any) -> None:
    entry, _ = chain(work=Work(mean_ms=5))[0]
    header = ask(entry, "POST", "/process", {"text": "a", "request_id": "r1"}).headers["server-timing"]
    names, values = zip(*(part.split(";dur=") for part in header.split(", ")), strict=True)
    assert names == tuple(f"service{n}-{what}" for n in (1, 2, 3, 4) for what in ("queue", "work"))
    assert all(float(value) >= 5 for value in values[1::2])


@pytest.mark.parametrize("client", [name for name in ClientName if name is not ClientName.HTTPX_PER_REQUEST])
def test_many_requests_at_once_are_each_answered_with_their_own_result(
    chain: Any, client: ClientName
) -> None:
    entry, _ = chain(client=client, work=Work(mean_ms=1, slots=4))[0]
    with ThreadPoolExecutor(16) as pool:
        bodies = [{"text": f"word{n} " * n, "request_id": f"r{n}"} for n in range(1, 49)]
        replies = list(pool.map(lambda body: ask(entry, "POST", "/process", body), bodies))
    assert [reply.json["top_words"] for reply in replies] == [[[f"word{n}", n]] for n in range(1, 49)]


@pytest.mark.parametrize("client", list(ClientName))
def test_a_dead_last_service_is_named_to_the_client_of_the_first(
    servers: ServerThread, chain: Any, client: ClientName
) -> None:
    served = chain(client=client)
    servers.stop_app(served[3][0])
    reply = ask(served[0][0], "POST", "/process", {"text": "a", "request_id": "r1"})
    assert reply.status == 502
    assert "service4" in reply.detail
    assert ask(served[0][0]).status == 200


def test_a_full_queue_at_the_end_is_told_to_the_client_as_it_is(chain: Any) -> None:
    served = chain(work=Work(WorkKind.TEXT, queue_limit=0))
    served[3][1].state.slots.busy = 1
    reply = ask(served[0][0], "POST", "/process", {"text": "a", "request_id": "r1"})
    assert (reply.status, reply.headers["retry-after"]) == (503, "1")
    assert reply.detail == "service4 is full: all 1 slots are busy and 0 requests wait"
    assert reply.headers["server-timing"].endswith("service4-work;dur=0.000")


def test_a_time_out_of_the_innermost_hop_reaches_the_client_as_it_is(
    chain: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    innermost = property(lambda settings: 0.1 if settings.service == "service3" else 30.0)
    monkeypatch.setattr(ServiceSettings, "hop_timeout_s", innermost)
    served = chain()
    served[3][1].state.slots.work = Work(mean_ms=60_000)
    reply = ask(served[0][0], "POST", "/process", {"text": "a", "request_id": "r1"})
    assert reply.status == 504
    assert "service4" in reply.detail


def test_a_budget_ends_the_request_wherever_it_is(chain: Any) -> None:
    served = chain()
    served[3][1].state.slots.work = Work(mean_ms=60_000)
    headers = {"X-Request-Deadline-Ms": "200"}
    reply = ask(served[0][0], "POST", "/process", {"text": "a", "request_id": "r1"}, headers)
    assert reply.status == 504
