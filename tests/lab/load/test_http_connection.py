"""Answers whose heads are known again are read as the parser reads them, in whatever order they come."""

from __future__ import annotations

import itertools
import socket
from collections import Counter

import pytest

from lab.arrivals import Closed, Constant, Load
from lab.load.spec import LoadSpec
from services.server_timing import parse
from services.wire.connection import Connection
from tests.support.generating import generate
from tests.support.raw_server import raw_serving

TIMED = b"HTTP/1.1 200 OK\r\nDate: now\r\n%s%s\r\nContent-Length: %d\r\nX-After: y\r\n\r\n%s"


def timed(value: bytes, name: bytes = b"Server-Timing: ", body: bytes = b"ok") -> tuple[int, bytes, bytes]:
    return 200, value, TIMED % (name, value, len(body), body)


PLAIN = 200, b"", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
TWO = b"server-timing: b;dur=2"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"
SCRIPTS = {
    "the same head each time": [PLAIN],
    "a value that differs": [timed(b"a;dur=%d.5" % n) for n in range(100, 200)],
    "a value of any length": [timed(b"a;dur=%d, bb;dur=2" % 10**n) for n in (0, 5, 0, 1, 2, 2, 2, 9, 0)],
    "no value now and then": [timed(b"a;dur=1"), timed(b"a;dur=2"), PLAIN, PLAIN, PLAIN, timed(b"a;dur=3")],
    "an empty value": [timed(b"a;dur=1"), timed(b"a;dur=2"), timed(b""), timed(b"a;dur=4")],
    "bodies of other lengths": [timed(b"a;dur=%d" % n, body=b"x" * (n % 4)) for n in range(40)],
    "names in any case": [
        timed(b"a;dur=1", name) for name in (b"server-timing:", b"SERVER-TIMING:\t ", b"sErVeR-tImInG: ") * 3
    ],
    "more than one": [
        (200, b"a;dur=%d, b;dur=2" % n, TIMED % (b"Server-Timing: a;dur=%d\r\n" % n, TWO, 1, b"x"))
        for n in range(9)
    ],
    "errors in between": [
        timed(b"a;dur=1"),
        timed(b"a;dur=2"),
        (503, b"", b"HTTP/1.1 503 No\r\nServer-Timing: a;dur=9\r\nContent-Length: 0\r\n\r\n"),
    ],
    "chunks": [
        (200, b"a;dur=1", b"HTTP/1.1 200 OK\r\nServer-Timing: a;dur=1\r\n" + CHUNKED),
    ],
    "interim answers": [
        (200, b"a;dur=1", b"HTTP/1.1 103 Hints\r\nServer-Timing: b;dur=7\r\n\r\n" + timed(b"a;dur=1")[2])
    ],
    "what looks like the header in a body": [timed(b"a;dur=3", body=b"\r\nServer-Timing: z;dur=1\r\n")],
    "no length": [(204, b"a;dur=1", b"HTTP/1.1 204 None\r\nServer-Timing: a;dur=1\r\n\r\n")],
}  # fmt: skip


@pytest.mark.parametrize("load", [Closed(1), Constant(200)], ids=["closed", "open"])
@pytest.mark.parametrize("cut", [False, True])
@pytest.mark.parametrize("name", SCRIPTS)
def test_known_answers_are_counted_as_the_server_gave_them(name: str, cut: bool, load: Load) -> None:
    script = itertools.cycle(SCRIPTS[name])
    statuses: Counter[str] = Counter()
    stages: dict[str, tuple[float, int]] = {}

    def answer(sock: socket.socket, _: int) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while sock.recv(65536):
            status, value, data = next(script)
            statuses[f"http_{status}"] += 1
            for metric, duration in parse(value):
                total, count = stages.get(metric.decode(), (0.0, 0))
                stages[metric.decode()] = total + duration, count + 1
            half = len(data) // 2 if cut and statuses.total() % 3 == 0 else 0
            for piece in filter(None, (data[:half], data[half:])):
                sock.sendall(piece)

    with raw_serving(answer) as port:
        url = f"http://127.0.0.1:{port}/"
        spec = LoadSpec(url=url, load=load, duration_s=0.2, warmup_s=0.0, max_connections=1)
        recorder = generate(spec).recorder
    assert recorder.totals == statuses
    assert recorder.window(0, 999).stages == {
        name: (pytest.approx(total), count) for name, (total, count) in stages.items()
    }


@pytest.mark.parametrize("load", [Closed(1), Constant(200)], ids=["closed", "open"])
def test_answers_that_differ_in_their_server_timing_alone_are_parsed_but_twice(
    load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    parse_it, parsed, values = Connection.data_received, [], itertools.count()

    def count(connection: Connection, data: bytes) -> None:
        parsed.append(data)
        parse_it(connection, data)

    def answer(sock: socket.socket, _: int) -> None:
        while sock.recv(65536):
            sock.sendall(timed(b"a;dur=%d" % next(values))[2])

    monkeypatch.setattr(Connection, "data_received", count)
    with raw_serving(answer) as port:
        url = f"http://127.0.0.1:{port}/"
        spec = LoadSpec(url=url, load=load, duration_s=0.2, warmup_s=0.0, max_connections=1)
        recorder = generate(spec).recorder
    assert recorder.totals["http_200"] > 3 * len(parsed)
    assert recorder.window(0, 999).stages["a"][1] == recorder.totals["http_200"]


def test_a_known_answer_still_has_its_time_out() -> None:
    def answer(sock: socket.socket, _: int) -> None:
        for _ in range(20):
            sock.recv(65536)
            sock.sendall(PLAIN[2])
        sock.recv(65536)
        sock.recv(65536)  # which the generator ends

    with raw_serving(answer) as port:
        url = f"http://127.0.0.1:{port}/"
        spec = LoadSpec(url=url, load=Closed(1), duration_s=1.0, warmup_s=0.0, read_timeout_s=0.3)
        totals = generate(spec).recorder.totals
    assert totals["read_timeout"] >= 1
    assert totals["http_200"] == 20 * totals["read_timeout"]
