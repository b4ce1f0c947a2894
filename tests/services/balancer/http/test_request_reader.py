"""The requests in a stream of bytes are the same however it is cut, and the next waits for the last."""

from __future__ import annotations

import time
from contextlib import suppress
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.balancer.http.request import Refusal
from services.balancer.http.request_reader import Expected, RequestReader

LIMITS = SimpleNamespace(head_limit=200, body_limit=60, replay_limit=20)


class Taken:
    """Writes down the requests it gets, and answers each once it has come to its end."""

    def __init__(self, limits=LIMITS, answers=True):
        self.reader = RequestReader(limits, self)
        self.answers = answers
        self.requests = []
        self.expected = []
        self.expectations = 0

    def on_request(self, head, body, kept, whole):
        assert kept is (whole and len(body) <= LIMITS.replay_limit)
        self.requests.append([head.target, body, whole])
        self._answer(whole)

    def on_body_piece(self, piece, last):
        self.requests[-1][1] += piece
        self.requests[-1][2] = last
        self._answer(last)

    def on_waiting(self, expected):
        self.expected.append(expected)

    def on_continue_expected(self):
        self.expectations += 1

    def _next(self):
        self.reader.busy = False
        self.reader.feed(b"")

    def _answer(self, complete):
        if complete and self.answers:
            self._next()


def plain(target, body):
    return b"POST %b HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (target, len(body), body)


def chunked(target, body):
    chunks = b"".join(
        b"%x\r\n%b\r\n" % (len(body[i : i + 7]), body[i : i + 7]) for i in range(0, len(body), 7)
    )
    return b"POST %b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n%b0\r\nT: x\r\n\r\n" % (
        target,
        chunks,
    )


def bare(target, _body):
    return b"\r\nGET %b HTTP/1.1\r\nHost: x\r\n\r\n" % target


REQUESTS = st.lists(
    st.tuples(st.sampled_from([plain, chunked, bare]), st.binary(max_size=LIMITS.body_limit)),
    min_size=1,
    max_size=6,
)


@given(REQUESTS, st.lists(st.integers(0, 1500), max_size=20))
def test_it_does_not_matter_how_a_stream_is_cut(requests, cuts):
    stream = b"".join(write(b"/%d" % i, body) for i, (write, body) in enumerate(requests))
    taken, start = Taken(), 0
    for cut in [*sorted(min(cut, len(stream)) for cut in cuts), len(stream)]:
        taken.reader.feed(stream[start:cut])
        start = cut
    assert taken.requests == [
        [b"/%d" % i, b"" if write is bare else body, True] for i, (write, body) in enumerate(requests)
    ]
    assert taken.reader.buffer == b""


ALIKE = {
    plain(b"/a", b"hello"): (b"/a", b"hello"),
    plain(b"/a", b"world"): (b"/a", b"world"),
    plain(b"/b", b"hello"): (b"/b", b"hello"),
    plain(b"/a", b""): (b"/a", b""),
    b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n": (b"/a", b""),
    chunked(b"/a", b"hello"): (b"/a", b"hello"),
    chunked(b"/a", b""): (b"/a", b""),
}


@given(st.lists(st.tuples(st.sampled_from(list(ALIKE)), st.integers(0, 300)), max_size=12))
def test_a_request_means_the_same_whatever_came_before_it(sequence):
    for data in ALIKE:  # so that all lines are known, and heads are remembered
        Taken().reader.feed(data)
    taken = Taken()
    for data, cut in sequence:
        taken.reader.feed(data[:cut])
        taken.reader.feed(data[cut:])
    assert taken.requests == [[*ALIKE[data], True] for data, _ in sequence]
    assert taken.reader.buffer == b""


FAMILIAR = plain(b"/a", b"hello")


@given(st.lists(st.sampled_from([FAMILIAR, FAMILIAR[:20], FAMILIAR[20:], FAMILIAR[:-1], b"o"]), max_size=12))
def test_a_whole_request_amid_another_is_a_part_of_it(pieces):
    """Bytes that would be a request at the right moment are none in a head, in a body, or out of turn."""
    at_once, one_by_one = Taken(), Taken()
    for taken, row in ((at_once, [b"".join(pieces)]), (one_by_one, pieces)):
        taken.reader.feed(FAMILIAR * 3)
        with suppress(Refusal):
            for piece in row:
                taken.reader.feed(piece)
    assert at_once.requests == one_by_one.requests


def test_a_familiar_request_waits_for_its_turn_too():
    Taken().reader.feed(FAMILIAR * 3)
    taken = Taken(answers=False)
    for _ in range(3):
        taken.reader.feed(FAMILIAR)
    for answered in (1, 2, 3):
        assert len(taken.requests) == answered
        taken._next()
    taken.reader.feed(FAMILIAR)
    assert len(taken.requests) == 4


def test_the_next_request_waits_until_the_last_is_answered():
    taken = Taken(answers=False)
    taken.reader.feed(plain(b"/1", b"a") + plain(b"/2", b"b"))
    assert [request[0] for request in taken.requests] == [b"/1"]
    taken._next()
    assert [request[0] for request in taken.requests] == [b"/1", b"/2"]


def test_a_thousand_pipelined_requests_need_no_deeper_stack():
    taken = Taken()
    taken.reader.feed(bare(b"/x", b"") * 5000)
    assert len(taken.requests) == 5000


def test_a_reader_says_what_it_waits_for():
    taken = Taken()
    taken.reader.feed(b"POST / HTTP/1.1\r\n")
    taken.reader.feed(b"Host: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n")
    assert taken.expected == [Expected.HEAD]
    taken.reader.feed(b"\r\n")
    assert (taken.expected, taken.expectations) == ([Expected.HEAD, Expected.BODY], 1)
    taken.reader.feed(b"ab")
    assert taken.expected == [Expected.HEAD, Expected.BODY, Expected.BODY]


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"b" * 200, 431),
        (b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"b" * 200 + b"\r\n\r\n", 431),
        (plain(b"/", b"x" * 61), 413),
        (chunked(b"/", b"x" * 61), 413),
        (b"GET / HTTP/1.1\nHost: x\n", 400),
        (b"\x00", 400),
        (b"\n", 400),
    ],
)
def test_what_is_too_long_or_no_http_is_refused_as_soon_as_that_is_known(data, status):
    with pytest.raises(Refusal) as caught:
        Taken().reader.feed(data)
    assert caught.value.status == status


def test_empty_lines_cost_about_the_same_in_one_piece_as_in_many():
    """Else one client could keep all others waiting."""
    stream = b"\r\n" * 100_000 + plain(b"/", b"x")

    def cost(length):
        """Return the CPU time in seconds, fed `length` bytes at a time."""
        taken, begun = Taken(), time.process_time()
        for at in range(0, len(stream), length):
            taken.reader.feed(stream[at : at + length])
        assert taken.requests == [[b"/", b"x", True]]
        return time.process_time() - begun

    at_once, in_pieces = (min(cost(length) for _ in range(3)) for length in (len(stream), 1_000))
    assert at_once < 5 * in_pieces


def test_after_stopping_nothing_more_is_taken():
    taken = Taken()
    taken.reader.feed(b"GET / HT")
    taken.reader.stop()
    taken.reader.feed(bare(b"/", b""))
    assert taken.requests == []


def test_after_stopping_a_familiar_request_is_not_taken_either():
    taken = Taken()
    for _ in range(3):
        taken.reader.feed(FAMILIAR)
    taken.reader.stop()
    taken.reader.feed(FAMILIAR)
    assert len(taken.requests) == 3
