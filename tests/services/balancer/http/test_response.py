"""Answers go on as they came, but for what concerns the connection they came on."""

from __future__ import annotations

import pytest

from services.balancer.http.request import CHUNKED
from services.balancer.http.response import (
    UNTIL_CLOSE,
    local_response,
    rewrite_head,
    rewrite_interim,
    rewrite_switch,
)

OK = b"HTTP/1.1 200 OK"


def test_a_head_with_a_length_goes_on_with_its_headers_in_order():
    raw = OK + b"\r\nB: 2\r\nContent-Length: 5\r\nA:1\r\nSet-Cookie: a\r\nSet-Cookie: b"
    answer = rewrite_head(raw, 1, True, False)
    assert answer.data == (
        OK + b"\r\nB: 2\r\nA:1\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nContent-Length: 5\r\n\r\n"
    )
    assert (answer.length, answer.expected) == (5, 5)


def test_headers_of_the_hop_and_those_it_names_do_not_go_on():
    raw = (
        OK
        + b"\r\nConnection: close, X-A\r\nX-A: 1\r\nKeep-Alive: x\r\nTrailer: y"
        + b"\r\nContent-Length: 0\r\nX-B: 2"
    )
    assert rewrite_head(raw, 1, True, False).data == OK + b"\r\nX-B: 2\r\nContent-Length: 0\r\n\r\n"


@pytest.mark.parametrize("coding", [b"", b"\r\nTransfer-Encoding: chunked"])
def test_a_body_of_unknown_length_goes_on_in_chunks(coding):
    answer = rewrite_head(OK + coding, 1, True, False)
    assert (answer.length, answer.data) == (CHUNKED, OK + b"\r\nTransfer-Encoding: chunked\r\n\r\n")


@pytest.mark.parametrize("coding", [b"", b"\r\nTransfer-Encoding: chunked"])
def test_an_http_1_0_client_gets_it_until_the_connection_closes(coding):
    answer = rewrite_head(OK + coding, 0, True, False)
    assert (answer.length, answer.data) == (UNTIL_CLOSE, OK + b"\r\nConnection: close\r\n\r\n")


@pytest.mark.parametrize(("status", "is_head"), [(b"304 Not Modified", False), (b"200 OK", True)])
def test_an_answer_without_a_body_keeps_the_length_it_states(status, is_head):
    answer = rewrite_head(b"HTTP/1.1 " + status + b"\r\nContent-Length: 5", 1, True, is_head)
    assert answer.length == 0
    assert answer.data == b"HTTP/1.1 " + status + b"\r\nContent-Length: 5\r\n\r\n"


@pytest.mark.parametrize("is_head", [False, True])
def test_an_answer_that_never_has_a_body_states_no_length(is_head):
    answer = rewrite_head(b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\nA: b", 1, True, is_head)
    assert answer.length == answer.expected == 0
    assert answer.data == b"HTTP/1.1 204 No Content\r\nA: b\r\n\r\n"


@pytest.mark.parametrize(
    ("minor", "keep_alive", "line"),
    [(1, True, b""), (1, False, b"Connection: close\r\n"), (0, True, b"Connection: keep-alive\r\n")],
)
def test_the_client_is_told_what_becomes_of_its_connection(minor, keep_alive, line):
    answer = rewrite_head(OK + b"\r\nContent-Length: 0", minor, keep_alive, False)
    assert answer.data == OK + b"\r\nContent-Length: 0\r\n" + line + b"\r\n"


@pytest.mark.parametrize(
    "raw",
    [
        OK + b"\r\nTransfer-Encoding: gzip, chunked",
        OK + b"\r\nTransfer-Encoding: chunked, chunked",
        OK + b"\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        OK + b"\r\nTransfer-Encoding: chunked\r\nA: b\r\ntransfer-encoding:CHUNKED",
        OK + b"\r\nA: b\r\n folded",
        OK + b"\r\nA b",
        b"HTTP/1.1 20x",
    ],
)
def test_what_cannot_be_passed_on_is_not(raw):
    assert rewrite_head(raw, 1, True, False) is None


@pytest.mark.parametrize(
    ("raw", "passed"),
    [
        (b"HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload", b"\r\nLink: </a>; rel=preload"),
        (b"HTTP/1.1 103 Whatever\r\nConnection: X-A\r\nX-A: 1\r\nB: 2", b"\r\nB: 2"),
        (b"HTTP/1.1 103 Early Hints\r\nContent-Length: 5\r\nTransfer-Encoding: chunked", b""),
    ],
)
def test_an_interim_answer_goes_on_without_what_is_of_the_hop(raw, passed):
    assert rewrite_interim(raw) == b"HTTP/1.1 103 Early Hints" + passed + b"\r\n\r\n"


def test_an_interim_answer_that_cannot_be_passed_on_is_left_out():
    assert rewrite_interim(b"HTTP/1.1 103 Early Hints\r\nA: b\r\n folded") == b""


SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade"


def test_a_switch_to_websocket_goes_on():
    raw = SWITCH + b"\r\nUpgrade: WebSocket\r\nSec-WebSocket-Accept: x\r\nContent-Length: 0"
    assert rewrite_switch(raw) == (
        b"HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: x"
        b"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    )


@pytest.mark.parametrize(
    "lines",
    [b"", b"\r\nUpgrade: h2c", b"\r\nUpgrade: websocket, h2c", b"\r\nUpgrade: websocket\r\n folded"],
)
def test_a_switch_to_anything_else_does_not(lines):
    assert rewrite_switch(SWITCH + lines) is None


def test_an_unknown_status_keeps_its_number():
    answer = rewrite_head(b"HTTP/1.1 799 Whatever\r\nContent-Length: 0", 1, True, False)
    assert (answer.status, answer.data[:14]) == (799, b"HTTP/1.1 799 \r")


def test_an_answer_of_the_balancer_is_whole():
    assert local_response(503, b"{}", now=784111777.9, keep_alive=False, retry_after_s=1) == (
        b"HTTP/1.1 503 Service Unavailable\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
        b"Content-Type: application/json\r\nContent-Length: 2\r\n"
        b"Retry-After: 1\r\nConnection: close\r\n\r\n{}"
    )
    assert local_response(200, b"{}", now=0, keep_alive=True, is_head=True).endswith(b"\r\n\r\n")
