"""What is remembered is bounded, and what is remembered of heads changes nothing about them."""

from __future__ import annotations

import random

from services.balancer.http import request, response
from services.balancer.http.request import BoundedCache, Refusal, parse_head
from services.balancer.http.response import rewrite_head


def test_a_memory_keeps_no_more_than_its_limit():
    memory = BoundedCache(10)
    for i in range(100):
        assert memory.keep(i, -i) == -i
        assert memory.get(i) == -i
        assert len(memory) <= 10


def test_heads_that_differ_each_time_do_not_crowd_out_those_that_do_not():
    request._heads.clear()
    request._lines.clear()
    for i in range(3000):
        parse_head(b"GET / HTTP/1.1\r\nHost: x\r\nX-Request-ID: %d\r\nX-Forwarded-For: %d" % (i, i))
        rewrite_head(b"HTTP/1.1 200 OK\r\nServer-Timing: a;dur=%d\r\nContent-Length: 0" % i, 1, True, False)
    assert not any(b"X-Request-ID" in block or b"X-Forwarded" in block for block in request._heads)
    assert not any(b"X-Request-ID" in line for line in request._lines)
    assert len(response._heads) <= 1024
    assert len(response._lines) <= 4096


def test_a_head_reads_the_same_whether_its_lines_are_known_or_new():
    rng = random.Random(1)
    lines = [
        b"Host: x",
        b"Host: y",
        b"Content-Length: 5",
        b"Content-Length: x",
        b"Transfer-Encoding: chunked",
        b"Connection: close, X-A",
        b"X-A: 1",
        b"X-Request-ID: 7",
        b"X-Request-Deadline-Ms: 100",
        b"Expect: 100-continue",
        b"A : b",
        b" folded",
    ]

    def read(block):
        try:
            head = parse_head(block)
        except Refusal as refusal:
            return refusal.status
        return (
            head.forwarded,
            head.framing,
            head.length,
            head.keep_alive,
            head.request_id,
            head.deadline_ms,
            head.expects_continue,
        )

    for _ in range(500):
        block = b"\r\n".join([b"POST /p?q HTTP/1.1", *rng.sample(lines, rng.randint(1, 5))])
        for memory in (request._heads, request._lines, request._request_lines):
            memory.clear()
        fresh = read(block)
        assert read(block) == fresh
        assert read(block) == fresh
