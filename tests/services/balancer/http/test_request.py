"""Heads go on only as one request that every parser reads alike, whether known or new; caches are bounded."""

from __future__ import annotations

import random
import time

import pytest
from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser
from hypothesis import given
from hypothesis import strategies as st

from services.balancer.http import request, response
from services.balancer.http.request import CHUNKED, BoundedCache, Refusal, parse_head
from services.balancer.http.request_reader import STEPS, ChunkDecoder
from services.balancer.http.response import rewrite_head

H = b"GET / HTTP/1.1\r\nHost: x"
POST = b"POST /p HTTP/1.1\r\nHost: x"

REFUSED = {
    "two lengths": (POST + b"\r\nContent-Length: 5\r\nContent-Length: 6", 400),
    "two lengths that agree": (POST + b"\r\nContent-Length: 5\r\nContent-Length: 5", 400),
    "a list of lengths": (POST + b"\r\nContent-Length: 5, 5", 400),
    "a length below 0": (POST + b"\r\nContent-Length: -1", 400),
    "a length with a plus": (POST + b"\r\nContent-Length: +5", 400),
    "a length in hex": (POST + b"\r\nContent-Length: 0x5", 400),
    "a length with an underscore": (POST + b"\r\nContent-Length: 1_0", 400),
    "a length with a space in it": (POST + b"\r\nContent-Length: 1 0", 400),
    "a length of other digits": (POST + "\r\nContent-Length: ٥".encode(), 400),
    "an empty length": (POST + b"\r\nContent-Length:", 400),
    "a length beyond all measure": (POST + b"\r\nContent-Length: " + b"9" * 19, 400),
    "a length and a coding": (POST + b"\r\nContent-Length: 5\r\nTransfer-Encoding: chunked", 400),
    "a coding and a length": (POST + b"\r\nTransfer-Encoding: chunked\r\nContent-Length: 5", 400),
    "a coding that is not chunked": (POST + b"\r\nTransfer-Encoding: gzip", 400),
    "a coding before chunked": (POST + b"\r\nTransfer-Encoding: gzip, chunked", 400),
    "a coding after chunked": (POST + b"\r\nTransfer-Encoding: chunked, gzip", 400),
    "chunked twice": (POST + b"\r\nTransfer-Encoding: chunked, chunked", 400),
    "chunked in two headers": (POST + b"\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked", 400),
    "an unknown coding": (POST + b"\r\nTransfer-Encoding: xchunked", 400),
    "identity": (POST + b"\r\nTransfer-Encoding: identity", 400),
    "chunked in quotes": (POST + b'\r\nTransfer-Encoding: "chunked"', 400),
    "chunked with a vertical tab": (POST + b"\r\nTransfer-Encoding: \x0bchunked", 400),
    "chunked with a parameter": (POST + b"\r\nTransfer-Encoding: chunked;x=1", 400),
    "an empty coding": (POST + b"\r\nTransfer-Encoding:", 400),
    "chunked in HTTP/1.0": (b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked", 400),
    "no Host": (b"GET / HTTP/1.1\r\nAccept: */*", 400),
    "no header at all": (b"GET / HTTP/1.1", 400),
    "two Hosts": (H + b"\r\nHost: x", 400),
    "two Hosts in two cases": (H + b"\r\nHOST: y", 400),
    "an empty Host": (b"GET / HTTP/1.1\r\nHost:", 400),
    "a Host with a path": (b"GET / HTTP/1.1\r\nHost: x/y", 400),
    "a Host with a user": (b"GET / HTTP/1.1\r\nHost: a@x", 400),
    "a Host with a space": (b"GET / HTTP/1.1\r\nHost: x y", 400),
    "a Host that is a list": (b"GET / HTTP/1.1\r\nHost: x, y:1:2", 400),
    "a space before the colon": (H + b"\r\nA : b", 400),
    "a tab before the colon": (H + b"\r\nA\t: b", 400),
    "a space before the coding's colon": (POST + b"\r\nTransfer-Encoding : chunked", 400),
    "a space before the length's colon": (POST + b"\r\nContent-Length : 5", 400),
    "a folded header": (H + b"\r\nA: b\r\n c", 400),
    "a header folded with a tab": (H + b"\r\nA: b\r\n\tc", 400),
    "a folded first header": (b"GET / HTTP/1.1\r\n Host: x", 400),
    "a header without a colon": (H + b"\r\nAbc", 400),
    "a header without a name": (H + b"\r\n: b", 400),
    "a name that is no token": (H + b"\r\nA(b): c", 400),
    "a name beyond ASCII": (H + b"\r\nA\xe4: c", 400),
    "a NUL in a value": (H + b"\r\nA: b\0c", 400),
    "a NUL in a name": (H + b"\r\nA\0: b", 400),
    "a NUL in the target": (b"GET /\0 HTTP/1.1\r\nHost: x", 400),
    "a DEL in a value": (H + b"\r\nA: b\x7f", 400),
    "a bare CR in a value": (H + b"\r\nA: b\rc", 400),
    "a bare LF in a value": (H + b"\r\nA: b\nContent-Length: 5", 400),
    "a bare LF after the request line": (b"GET / HTTP/1.1\nHost: x", 400),
    "a CR before the CR LF": (H + b"\r\r\nA: b", 400),
    "a vertical tab in a value": (H + b"\r\nA: \x0b", 400),
    "no version": (b"GET /\r\nHost: x", 400),
    "two spaces in the request line": (b"GET  / HTTP/1.1\r\nHost: x", 400),
    "a tab in the request line": (b"GET\t/ HTTP/1.1\r\nHost: x", 400),
    "a space after the request line": (b"GET / HTTP/1.1 \r\nHost: x", 400),
    "a space before the request line": (b" GET / HTTP/1.1\r\nHost: x", 400),
    "a space in the target": (b"GET /a b HTTP/1.1\r\nHost: x", 400),
    "a target beyond ASCII": (b"GET /\xe4 HTTP/1.1\r\nHost: x", 400),
    "a target with a fragment": (b"GET /a#b HTTP/1.1\r\nHost: x", 400),
    "a target that is no path": (b"GET x HTTP/1.1\r\nHost: x", 400),
    "a star but not OPTIONS": (b"GET * HTTP/1.1\r\nHost: x", 400),
    "a URL of another scheme": (b"GET ftp://x/ HTTP/1.1\r\nHost: x", 400),
    "a URL with a user": (b"GET http://a@x/ HTTP/1.1\r\nHost: x", 400),
    "a URL without a host": (b"GET http:/// HTTP/1.1\r\nHost: x", 400),
    "a URL and no Host": (b"GET http://x/ HTTP/1.1", 400),
    "a method that is no token": (b"GE(T / HTTP/1.1\r\nHost: x", 400),
    "lower-case http": (b"GET / http/1.1\r\nHost: x", 400),
    "a long version": (b"GET / HTTP/1.10\r\nHost: x", 400),
    "HTTP/2": (b"PRI * HTTP/2.0\r\nHost: x", 505),
    "HTTP/1.2": (b"GET / HTTP/1.2\r\nHost: x", 505),
    "HTTP/0.9 in disguise": (b"GET / HTTP/0.9\r\nHost: x", 505),
    "CONNECT": (b"CONNECT x:80 HTTP/1.1\r\nHost: x:80", 501),
    "a Host with a port beyond all": (b"GET / HTTP/1.1\r\nHost: x:65536", 400),
    "a Host with a port beyond all measure": (b"GET / HTTP/1.1\r\nHost: x:1" + b"0" * 5000, 400),
    "a Host with an empty label": (b"GET / HTTP/1.1\r\nHost: a..b", 400),
    "a Host that begins with a dot": (b"GET / HTTP/1.1\r\nHost: .b", 400),
    "a Host that is a dot": (b"GET / HTTP/1.1\r\nHost: .", 400),
    "a Host with a bad escape": (b"GET / HTTP/1.1\r\nHost: a%zz", 400),
    "a Host that is no IPv6 address": (b"GET / HTTP/1.1\r\nHost: [:::]", 400),
    "a Host that is too long an IPv6 address": (b"GET / HTTP/1.1\r\nHost: [1:2:3:4:5:6:7:8:9]", 400),
    "a Host that is an IPv4 address in brackets": (b"GET / HTTP/1.1\r\nHost: [1.2.3.4]", 400),
    "a URL with a port beyond all": (b"GET http://x:65536/ HTTP/1.1\r\nHost: x", 400),
    "a URL that is no IPv6 address": (b"GET http://[::1::]/ HTTP/1.1\r\nHost: x", 400),
    "another expectation": (POST + b"\r\nExpect: 200-maybe", 417),
    "too many headers": (H + b"\r\nA: b" * 200, 431),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_doubtful_is_refused(name):
    block, status = REFUSED[name]
    with pytest.raises(Refusal) as caught:
        parse_head(block)
    assert caught.value.status == status
    assert caught.value.detail


def names(head):
    return [line.partition(b":")[0].lower() for line in head.lines[1:]]


@pytest.mark.parametrize(
    "dropped",
    [b"Connection", b"Keep-Alive", b"Proxy-Connection", b"Proxy-Authorization", b"TE", b"Trailer"],
)
def test_headers_of_the_hop_do_not_go_on(dropped):
    head = parse_head(H + b"\r\n" + dropped + b": 1\r\nA: b")
    assert names(head) == [b"host", b"a"]


def test_headers_that_connection_names_do_not_go_on():
    block = (
        H
        + b"\r\nX-A: 1\r\nConnection: close, x-A ,Host\r\nX-B: 2"
        + b"\r\nX-Request-ID: 7\r\nConnection: X-Request-ID"
    )
    head = parse_head(block)
    assert names(head) == [b"host", b"x-b"]
    assert head.request_id == b""
    assert not head.keep_alive


@pytest.mark.parametrize(
    ("version", "connection", "keep_alive"),
    [
        (b"1.1", b"", True),
        (b"1.1", b"\r\nConnection: close", False),
        (b"1.1", b"\r\nConnection: CLOSE", False),
        (b"1.1", b"\r\nConnection: keep-alive, close", False),
        (b"1.0", b"", False),
        (b"1.0", b"\r\nConnection: Keep-Alive", True),
    ],
)
def test_whether_the_connection_stays_open(version, connection, keep_alive):
    assert parse_head(b"GET / HTTP/" + version + b"\r\nHost: x" + connection).keep_alive is keep_alive


def test_a_request_of_http_1_0_may_lack_a_host_and_the_instances_is_to_be_sent():
    head = parse_head(b"GET / HTTP/1.0")
    assert (head.forwarded, head.hostless) == (b"GET / HTTP/1.1", True)
    head = parse_head(b"GET http://y:8/ HTTP/1.0")
    assert (head.forwarded, head.hostless) == (b"GET / HTTP/1.1\r\nHost: y:8", False)
    assert not parse_head(b"GET / HTTP/1.0\r\nHost: x").hostless


@pytest.mark.parametrize(
    "host",
    [b"x.", b"a-b_c.d", b"x:", b"x:0065535", b"a%20b", b"[::1]", b"[::ffff:1.2.3.4]:80", b"1.2.3.4:1"],
)
def test_a_host_may_be_any_name_or_address(host):
    assert parse_head(b"GET / HTTP/1.1\r\nHost: " + host).lines[1] == b"Host: " + host


@pytest.mark.parametrize(
    "asked",
    [
        b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk",
        b"Upgrade: h2c",
        b"Upgrade: TLS/1.0, IRC/6.9\r\nConnection: Upgrade",
        b"Upgrade: websocket",
        b"Connection: Upgrade",
        b"Connection: Upgrade\r\nUpgrade:",
        b"Connection: Upgrade\r\nUpgrade: websocket/13",
        b"Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 1",
        b"Connection: Upgrade\r\nUpgrade: websocket\r\nTransfer-Encoding: chunked",
    ],
)
def test_a_wish_for_another_protocol_than_websocket_is_ignored(asked):
    head = parse_head(H + b"\r\n" + asked + b"\r\nA: b")
    assert not head.upgrade
    assert head.forwarded == H + b"\r\nA: b"


@pytest.mark.parametrize("line", [b"POST / HTTP/1.1", b"GET / HTTP/1.0"])
def test_a_wish_for_a_websocket_needs_get_and_http_1_1(line):
    head = parse_head(line + b"\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket")
    assert (head.upgrade, names(head)) == (False, [b"host"])


@pytest.mark.parametrize(
    "asked",
    [
        b"Connection: Upgrade\r\nUpgrade: websocket",
        b"upgrade: WebSocket\r\nconnection: keep-alive, upgrade",
        b"Connection: close\r\nConnection: upgrade\r\nUpgrade: h2c, websocket",
        b"Connection: Upgrade\r\nUpgrade: h2c\r\nUpgrade: websocket\r\nContent-Length: 0",
    ],
)
def test_a_wish_for_a_websocket_goes_on(asked):
    for _ in range(2):
        head = parse_head(H + b"\r\n" + asked + b"\r\nSec-WebSocket-Key: k")
        assert head.upgrade
        assert head.forwarded == (
            H + b"\r\nSec-WebSocket-Key: k\r\nConnection: Upgrade\r\nUpgrade: websocket"
        )


def test_what_connection_names_is_kept_for_the_balancer_itself():
    head = parse_head(
        H + b"\r\nConnection: Origin, Via, x-forwarded-for\r\nOrigin: o\r\nVia: v\r\nX-Forwarded-For: a"
    )
    assert head.forwarded == H
    assert head.withheld == (b"Origin: o", b"Via: v", b"X-Forwarded-For: a")


@pytest.mark.parametrize(
    ("target", "path"),
    [
        (b"http://y:8/a?b", b"/a?b"),
        (b"HTTP://y:8", b"/"),
        (b"http://y:8?b", b"/?b"),
        (b"https://y:8/a", b"/a"),
        (b"HttpS://y:8", b"/"),
    ],
)
def test_a_url_becomes_a_path_and_its_host_the_host(target, path):
    head = parse_head(b"GET " + target + b" HTTP/1.1\r\nHost: x\r\nA: b")
    assert head.forwarded == b"GET " + path + b" HTTP/1.1\r\nA: b\r\nHost: y:8"


def test_a_url_without_a_path_is_the_whole_server_to_options():
    """RFC 9112, 3.2.4, wants it so."""
    head = parse_head(b"OPTIONS http://y:8 HTTP/1.1\r\nHost: x")
    assert (head.forwarded, head.path) == (b"OPTIONS * HTTP/1.1\r\nHost: y:8", b"*")
    assert parse_head(b"OPTIONS http://y:8/ HTTP/1.1\r\nHost: x").target == b"/"
    assert parse_head(b"OPTIONS http://y:8?a HTTP/1.1\r\nHost: x").target == b"/?a"


def test_a_head_met_before_knows_the_requests_that_begin_with_it():
    block = POST + b"\r\nContent-Length: 5"
    assert not parse_head(block + b"\r\nX-Request-ID: 1").begins(block + b"\r\nX-Request-ID: 1\r\n\r\nhello")
    for _ in range(2):  # its lines first, then itself
        head = parse_head(block)
    assert head.begins(block + b"\r\n\r\nhello")
    assert head.begins(block + b"\r\n\r\nworld")
    for other in (
        b"",
        block,
        block + b"\r\n\r\nhell",
        block + b"\r\n\r\nhello!",
        block + b"\r\nA: b\r\n\r\n",
    ):
        assert not head.begins(other)


def test_a_head_does_not_know_requests_in_chunks():
    block = POST + b"\r\nTransfer-Encoding: chunked"
    for _ in range(2):
        head = parse_head(block)
    assert not head.begins(block + b"\r\n\r\n0\r\n\r\n")
    assert not head.begins(block + b"\r\n\r\n")


def test_lines_go_on_as_they_came_and_in_order():
    head = parse_head(b"OPTIONS * HTTP/1.1\r\nB: 2\r\nhost:  x \r\nA:\t\xe4\xff")
    assert head.forwarded == b"OPTIONS * HTTP/1.1\r\nB: 2\r\nhost:  x \r\nA:\t\xe4\xff"


def test_lengths_codings_and_expectations_are_read():
    assert parse_head(POST + b"\r\nContent-Length:  007 ").length == 7
    assert parse_head(POST + b"\r\nTransfer-encoding: Chunked").length == CHUNKED
    assert parse_head(POST + b"\r\nExpect: 100-Continue").expects_continue
    assert not parse_head(b"POST / HTTP/1.0\r\nExpect: 100-continue").expects_continue
    assert parse_head(H).length == 0


def test_what_a_balancer_adds_to_is_told_apart():
    head = parse_head(
        H + b"\r\nX-Forwarded-For: a\r\nX-FORWARDED-FOR: b\r\nX-Request-Id: i\r\nX-Request-Deadline-Ms: 250"
    )
    assert (head.forwarded_for, head.request_id, head.deadline_ms) == (b"a, b", b"i", 250)
    assert names(head) == [b"host"]


def test_a_deadline_that_is_no_number_is_dropped():
    head = parse_head(H + b"\r\nX-Request-Deadline-Ms: soon")
    assert head.deadline_ms is None
    assert names(head) == [b"host"]


@given(st.binary(max_size=300))
def test_any_bytes_are_a_head_or_a_refusal(block):
    try:
        head = parse_head(block)
    except Refusal:
        return
    assert head.target.startswith(b"/") or head.target == b"*"


SEEDS = (
    H,
    POST + b"\r\nContent-Length: 5\r\nAccept: */*",
    POST + b"\r\nTransfer-Encoding: chunked\r\nX-A: b",
    b"GET http://y/ HTTP/1.1\r\nHost: x\r\nConnection: close, X-A\r\nX-A: 1",
    b"POST /p HTTP/1.0\r\nContent-Length: 5\r\nX-Forwarded-For: a",
)
SPICES = (
    b"\r",
    b"\n",
    b"\r\n",
    b"\r\n ",
    b"\0",
    b"\t",
    b" ",
    b":",
    b",",
    b"Content-Length: 6\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: gzip\r\n",
    b"Host: y\r\n",
    b"chunked",
    b"\x0b",
    b"\xff",
    b"HTTP/1.1",
    b"+",
)


def mutated(rng):
    """A well-formed head with one to three things wrong with it."""
    block = bytearray(rng.choice(SEEDS))
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(block) + 1)
        match rng.randrange(4):
            case 0:
                block[at:at] = rng.choice(SPICES)
            case 1:
                del block[at : at + rng.randint(1, 4)]
            case 2:
                block[at : at + 1] = bytes([rng.randrange(256)])
            case _:
                end = min(len(block), at + rng.randint(1, 12))
                block[at:at] = block[at:end]
    return bytes(block)


class SecondOpinion:
    """Read the bytes with llhttp, another parser."""

    def __init__(self, data):
        self.url, self.headers, self.messages, self.body, self.error = b"", [], 0, b"", False
        parser = HttpRequestParser(self)
        try:
            parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade):
            self.error = True

    def on_url(self, url):
        self.url += url

    def on_header(self, name, value):
        self.headers.append((name.lower(), value.strip(b" \t")))

    def on_body(self, body):
        self.body += body

    def on_message_complete(self):
        self.messages += 1


def test_a_hundred_thousand_mutations_go_on_only_as_one_request_that_another_parser_reads_alike():
    rng = random.Random(4)
    passed = 0
    for _ in range(100_000):
        try:
            head = parse_head(mutated(rng))
        except Refusal:
            continue
        passed += 1
        body = (
            b"x" * head.length
            if head.length > 0
            else b"1\r\nx\r\n0\r\n\r\n"
            if head.length == CHUNKED
            else b""
        )
        if len(body) > 10_000:
            continue
        second = SecondOpinion(head.forwarded + head.framing + body)
        if head.method not in (b"GET", b"POST"):
            continue  # llhttp knows a fixed set of methods
        assert not second.error, head.forwarded
        assert second.messages == 1, head.forwarded
        assert second.url == head.target
        assert len(second.headers) == len(head.lines) - 1 + head.sized, head.forwarded
        assert len(second.body) == (1 if head.length == CHUNKED else head.length)
    assert passed > 1_000


BODY = b"5\r\nhello\r\n6;a=b\r\n world\r\n0\r\n\r\n"


@given(st.lists(st.integers(0, len(BODY) + 4), max_size=8))
def test_a_chunked_body_is_the_same_however_it_is_cut(cuts):
    data = BODY + b"NEXT"
    decoder, out, start = ChunkDecoder(), b"", 0
    for cut in [*sorted(cuts), len(data)]:
        if decoder.done:
            break
        out += decoder.feed(data[start:cut])
        start = cut
    assert (out, decoder.done) == (b"hello world", True)
    assert decoder.rest + data[start:] == b"NEXT"


@given(st.lists(st.binary(min_size=1, max_size=50), max_size=10))
def test_what_was_chunked_is_unchunked(pieces):
    body = b"".join(b"%X\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"00\r\nX-T: 1\r\n\r\n"
    decoder = ChunkDecoder()
    assert decoder.feed(body) == b"".join(pieces)
    assert decoder.done


@pytest.mark.parametrize(
    "body",
    [
        b"x\r\n",
        b"-1\r\n",
        b"+5\r\nhello",
        b"0x5\r\nhello",
        b" 5\r\nhello",
        b"5 \r\nhello",
        b"\r\n5\r\nhello",
        b"5\nhello",
        b"5\rhello\r\n",
        b"5\r\nhelloo\r\n",
        b"5\r\nhello\n",
        b"5\r\nhello\r0",
        b"5\r\nhello0\r\n",
        b"F" * 16 + b"\r\n",
        b"5;a=\x00\r\nhello",
        b"5;a=\nb\r\nhello",
        b"0\r\nno trailer\r\n",
        b"0\r\n folded: x\r\n",
        b"0\r\nA : x\r\n",
        b"0\r\nA: \0\r\n",
        b"0\r\nA: b\nC: d\r\n",
        b"1" * 5000,
    ],
)
def test_a_badly_chunked_body_is_refused(body):
    with pytest.raises(Refusal):
        ChunkDecoder().feed(body)


def test_trailers_without_end_are_refused():
    decoder = ChunkDecoder()
    decoder.feed(b"0\r\n")
    for _ in range(16):
        decoder.feed(b"A: " + b"b" * 1000 + b"\r\n")
    with pytest.raises(Refusal) as caught:
        decoder.feed(b"A: " + b"b" * 1000 + b"\r\n")
    assert caught.value.status == 431


@given(st.binary(max_size=200))
def test_any_bytes_are_chunks_or_a_refusal(data):
    decoder = ChunkDecoder()
    try:
        out = decoder.feed(data)
    except Refusal:
        return
    assert len(out) + len(decoder.rest) <= len(data)


def test_a_body_in_tiny_chunks_costs_about_the_same_in_one_piece_as_in_many():
    """Else one client could keep all others waiting."""
    body = b"1\r\nx\r\n" * 80_000

    def cost(length):
        """Return the CPU time in seconds, fed `length` bytes at a time."""
        decoder, out, begun = ChunkDecoder(), [], time.process_time()
        for at in range(0, len(body), length):
            out.append(decoder.feed(body[at : at + length]))
            while decoder.rest:
                out.append(decoder.feed(decoder.rest))
        assert b"".join(out) == b"x" * 80_000
        return time.process_time() - begun

    at_once, in_pieces = (min(cost(length) for _ in range(3)) for length in (len(body), 6_000))
    assert at_once < 5 * in_pieces


def test_a_cache_keeps_no_more_than_its_limit():
    cache = BoundedCache(10)
    for i in range(100):
        assert cache.keep(i, -i) == -i
        assert cache.get(i) == -i
        assert len(cache) <= 10


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
        for cache in (request._heads, request._lines, request._request_lines):
            cache.clear()
        fresh = read(block)
        assert read(block) == fresh
        assert read(block) == fresh


@pytest.mark.parametrize(
    ("chunk", "number"),
    [
        (b"1\r\nx\r\n", 50_000),
        (b"1;a=b\r\nx\r\n", 50_000),
        (b"0000001\r\nx\r\n", 20_000),
        (b"400;" + b"e" * 2000 + b"\r\n" + b"x" * 1024 + b"\r\n", 100),
    ],
)
def test_small_chunks_and_modest_extensions_are_taken(chunk, number):
    decoder, out = ChunkDecoder(), 0
    for _ in range(number):
        out += len(decoder.feed(chunk))
    assert out == number * (1024 if chunk.startswith(b"400") else 1)


def test_what_chunks_have_around_them_may_not_outgrow_what_is_in_them():
    """80 MB of extensions for a body of 20 kB would cost as much as a body of 80 MB, and escape its limit."""
    decoder = ChunkDecoder()
    for _ in range(4):
        decoder.feed(b"1;" + b"e" * 4000 + b"\r\nx\r\n")
    with pytest.raises(Refusal) as caught:
        decoder.feed(b"1;" + b"e" * 4000 + b"\r\nx\r\n")
    assert caught.value.status == 400


def test_a_decoder_takes_so_many_chunks_a_turn_and_leaves_the_rest():
    decoder = ChunkDecoder()
    body = b"1\r\nx\r\n" * 1000 + b"0\r\n\r\nNEXT"
    out = [decoder.feed(body)]
    while not decoder.done:
        assert decoder.rest
        out.append(decoder.feed(decoder.rest))
    assert b"".join(out) == b"x" * 1000
    assert max(map(len, out)) == STEPS
    assert decoder.rest == b"NEXT"


@pytest.mark.parametrize(
    ("values", "deadline"),
    [
        (("100", "50"), 50),
        (("50", "100"), 50),
        (("no", "70"), 70),
        (("90", "no"), 90),
        (("80, 60",), 60),
        (("0", "5"), 0),
    ],
)
def test_of_several_deadlines_the_smaller_holds(values, deadline):
    lines = "".join(f"X-Request-Deadline-Ms: {value}\r\n" for value in values)
    head = parse_head(f"GET / HTTP/1.1\r\nHost: x\r\n{lines}A: b".encode())
    assert head.deadline_ms == deadline
