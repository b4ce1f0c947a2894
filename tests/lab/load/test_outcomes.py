"""Every request has one outcome, and both sides count the same, however the server breaks its answers."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator

import pytest

from lab.arrivals import Closed, Constant, Load
from lab.load.outcomes import (
    RPC_STATUSES,
    Outcome,
    code_of,
    code_of_no_connection,
    is_success,
    name_of,
    own_failures,
    succeeded,
    was_sent,
)
from lab.load.spec import LoadSpec
from services.wire.connecting import shortage_of
from services.wire.errors import FailureKind, NotConnected
from tests.support.generating import generate
from tests.support.scripted_server import Manner, serving

BROKEN = {
    Manner.RESET: "reset",
    Manner.CLOSE_EARLY: "closed_early",
    Manner.SHORT_BODY: "short_body",
    Manner.SILENCE: "read_timeout",
    Manner.GARBAGE: "protocol_error",
    Manner.UNAVAILABLE: "http_503",
}
LOADS: dict[str, Load] = {"closed": Closed(4), "open": Constant(100)}


@pytest.mark.parametrize("load", LOADS.values(), ids=LOADS.keys())
@pytest.mark.parametrize("manner", BROKEN)
def test_every_third_answer_broken_is_classed_and_counted_as_the_server_saw_it(
    manner: Manner, load: Load
) -> None:
    with serving(lambda n: manner if n % 3 == 2 else Manner.ANSWER) as server:
        patience = 1.0 if manner is Manner.SILENCE else 10.0
        spec = LoadSpec(url=server.url, load=load, duration_s=0.2, warmup_s=0.0, read_timeout_s=patience)
        totals = generate(spec).recorder.totals
        assert set(totals) == {"http_200", BROKEN[manner]}
        assert totals[BROKEN[manner]] == len(server.requests) // 3
        assert totals.total() == was_sent(totals) == len(server.requests)


@pytest.mark.parametrize("load", LOADS.values(), ids=LOADS.keys())
def test_answers_broken_in_every_way_at_once_are_all_accounted_for(load: Load) -> None:
    manners = [Manner.ANSWER, Manner.ANSWER_AND_CLOSE, *BROKEN]
    with serving(lambda n: manners[n % len(manners)]) as server:
        spec = LoadSpec(url=server.url, load=load, duration_s=0.5, warmup_s=0.0, read_timeout_s=1.0)
        totals = generate(spec).recorder.totals
        assert set(totals) == {"http_200", *BROKEN.values()}
        assert totals.total() == len(server.requests)


@pytest.mark.parametrize("load", LOADS.values(), ids=LOADS.keys())
def test_a_port_on_which_no_server_listens_is_refused_and_not_sent(load: Load) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    spec = LoadSpec(url=f"http://127.0.0.1:{port}/", load=load, duration_s=0.2, warmup_s=0.0)
    totals = generate(spec).recorder.totals
    assert set(totals) == {"refused"}
    assert was_sent(totals) == 0


def test_a_user_of_a_closed_loop_pauses_after_a_refusal() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    spec = LoadSpec(url=f"http://127.0.0.1:{port}/", load=Closed(1), duration_s=0.2, warmup_s=0.0)
    assert generate(spec).recorder.totals.total() <= 30  # at 10 ms a piece, never thousands


def test_a_peer_that_accepts_no_more_is_a_connect_timeout() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        address = full.getsockname()
        waiting = [socket.socket() for _ in range(3)]  # fill what the kernel keeps for it
        for client in waiting:
            client.setblocking(False)
            client.connect_ex(address)
        spec = LoadSpec(
            url=f"http://127.0.0.1:{address[1]}/",
            load=Constant(10),
            duration_s=0.2,
            warmup_s=0.0,
            connect_timeout_s=0.1,
        )
        generator = generate(spec)
        for client in waiting:
            client.close()
    assert set(generator.recorder.totals) <= {"connect_timeout"}
    assert generator.recorder.totals.total() + len(generator.recorder.dropped) == 2


def test_a_server_that_closes_after_every_answer_fails_no_request(server_that_closes: str) -> None:
    for load in LOADS.values():
        spec = LoadSpec(url=server_that_closes, load=load, duration_s=0.2, warmup_s=0.0)
        assert set(generate(spec).recorder.totals) == {"http_200"}


def test_the_first_failure_of_each_class_says_what_it_was_about() -> None:
    manners = [Manner.GARBAGE, Manner.CLOSE_EARLY, Manner.RESET, Manner.SHORT_BODY, Manner.SILENCE]
    with serving(lambda n: manners[n % 5]) as server:
        spec = LoadSpec(url=server.url, load=Closed(1), duration_s=1.0, warmup_s=0.0, read_timeout_s=0.1)
        errors = generate(spec).recorder.errors
    texts = {name_of(code): text for code, text in errors.items()}
    assert set(texts) == {"protocol_error", "closed_early", "reset", "short_body", "read_timeout"}
    assert r"b'220 mail.example.org ESMTP ready\r\n\r\n'" in texts["protocol_error"]
    assert all("\n" not in text and text.isascii() for text in texts.values())


@pytest.fixture
def server_that_closes() -> Iterator[str]:
    with serving(lambda _: Manner.ANSWER_AND_CLOSE) as server:
        yield server.url


@pytest.mark.parametrize("kind", FailureKind)
def test_every_failure_of_the_wire_has_a_class_with_a_name(kind: FailureKind) -> None:
    assert name_of(code_of(kind)) in [*Outcome]


@pytest.mark.parametrize("kind", FailureKind)
def test_a_connection_that_was_not_made_counts_as_nothing_sent(kind: FailureKind) -> None:
    assert was_sent({name_of(code_of_no_connection(NotConnected(kind, "peer"))): 1}) == 0


@pytest.mark.parametrize(
    ("number", "named"),
    [
        (errno.EADDRNOTAVAIL, "no_local_port"),
        (errno.EMFILE, "no_descriptor"),
        (errno.ENFILE, "no_descriptor"),
        (errno.ENOBUFS, "no_memory"),
        (errno.ENETUNREACH, "unreachable"),
    ],
)
def test_what_the_generator_itself_lacks_is_no_failure_of_the_server(number: int, named: str) -> None:
    error = NotConnected(shortage_of(OSError(number, "no")) or FailureKind.UNREACHABLE, "peer")
    assert name_of(code_of_no_connection(error)) == named
    assert set(own_failures({named: 2, "reset": 1})) == {named} - {"unreachable"}


@pytest.mark.parametrize("outcome", Outcome)
def test_a_class_survives_as_an_int_below_zero(outcome: Outcome) -> None:
    assert code_of(outcome) < 0
    assert name_of(code_of(outcome)) == outcome


@pytest.mark.parametrize("status", [0, 599, 600, 601, 616, 617, 999])
def test_every_status_of_three_digits_is_named_as_http(status: int) -> None:
    assert name_of(status) == f"http_{status}"


def test_a_status_that_is_not_defined_is_counted_like_any_other() -> None:
    with serving(lambda _: Manner.UNKNOWN_STATUS) as server:
        spec = LoadSpec(url=server.url, load=Constant(50), duration_s=0.2, warmup_s=0.0)
        assert generate(spec).recorder.totals == {"http_617": len(server.requests)}


def test_statuses_of_grpc_have_names_of_their_own() -> None:
    assert [name_of(RPC_STATUSES + code) for code in (1, 14, 16)] == [
        "grpc_cancelled",
        "grpc_unavailable",
        "grpc_unauthenticated",
    ]


def test_statuses_from_200_to_399_are_successes() -> None:
    names = ["http_199", "http_200", "http_399", "http_400", "http_503", "reset"]
    assert [name for name in names if is_success(name)] == ["http_200", "http_399"]
    assert succeeded({"http_200": 3, "http_302": 2, "http_503": 4, "reset": 1}) == 5
