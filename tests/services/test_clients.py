from __future__ import annotations

import asyncio
import socket
import ssl
import sys
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import pytest

from services.clients import (
    Client,
    HopAnswer,
    HopBrokenError,
    HopError,
    HopTimeoutError,
    HopUnreachableError,
    open_client,
    require,
)
from services.environment import SettingsError
from services.loops import new_event_loop
from services.names import ClientName
from tests.support.serving import NextHop, ServerThread
from tests.support.waiting import eventually

T = TypeVar("T")
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

every_client = pytest.mark.parametrize("name", list(ClientName))
every_kept_client = pytest.mark.parametrize(
    "name", [name for name in ClientName if name is not ClientName.HTTPX_PER_REQUEST]
)
every_loop = pytest.mark.parametrize("loop_factory", [asyncio.new_event_loop, new_event_loop])


def using(
    name: ClientName, work: Callable[[Client], Awaitable[T]], loop_factory: Any = asyncio.new_event_loop
) -> T:
    async def main() -> T:
        require(name)  # as a service does, before it opens one
        async with open_client(name) as client:
            return await work(client)

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        return runner.run(main())


def post(
    name: ClientName, url: str, *, times: int = 1, timeout_s: float = 30, **options: Any
) -> list[HopAnswer]:
    async def work(client: Client) -> list[HopAnswer]:
        return [await client.post(url, b"body", {"X-A": "b"}, timeout_s) for _ in range(times)]

    return using(name, work, **options)


@every_client
@every_loop
def test_a_post_brings_its_body_and_headers_there_and_the_answer_back(
    name: ClientName, loop_factory: Any, next_hop: NextHop
) -> None:
    next_hop.answer = b"HTTP/1.1 418 Teapot\r\nContent-Length: 3\r\nX-Twice: a\r\nx-twice: b\r\n\r\npot"
    (answer,) = post(name, next_hop.url, loop_factory=loop_factory)
    assert (answer.status, answer.body) == (418, b"pot")
    assert answer.headers["x-twice"] == "a, b"
    assert next_hop.bodies == [b"body"]
    assert next_hop.heads[0].startswith("POST /there HTTP/1.1\r\n")
    assert "x-a: b" in next_hop.heads[0].lower()


@every_client
def test_a_chunked_answer_is_put_together(name: ClientName, next_hop: NextHop) -> None:
    next_hop.answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"
    assert post(name, next_hop.url)[0].body == b"abc"


@every_kept_client
def test_one_connection_is_kept_for_one_request_after_another(name: ClientName, next_hop: NextHop) -> None:
    next_hop.answer = OK
    post(name, next_hop.url, times=3)
    assert (next_hop.connections, len(next_hop.bodies)) == (1, 3)


def test_a_client_per_request_connects_and_sets_tls_up_for_each(
    next_hop: NextHop, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Any] = []
    load = ssl.SSLContext.load_verify_locations

    def counted(self: ssl.SSLContext, *args: Any, **kwargs: Any) -> None:
        read.append(self)
        load(self, *args, **kwargs)

    monkeypatch.setattr(ssl.SSLContext, "load_verify_locations", counted)
    next_hop.answer = OK
    post(ClientName.HTTPX_PER_REQUEST, next_hop.url, times=3)
    assert next_hop.connections == 3
    assert len({id(context) for context in read}) == 3


@every_client
@every_loop
def test_a_port_that_is_closed_is_unreachable(name: ClientName, loop_factory: Any) -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        with pytest.raises(HopUnreachableError):
            post(name, f"http://127.0.0.1:{sock.getsockname()[1]}/there", loop_factory=loop_factory)


def post_late(name: ClientName, next_hop: NextHop, **options: Any) -> None:
    """Post until the next hop has seen a request, with an ever later limit; each post must be late.

    A limit may pass before the request is sent: on a busy machine no limit is long enough to be sure of.
    """
    timeout_s, posts = 0.1, 0
    while not next_hop.bodies:
        with pytest.raises(HopTimeoutError):
            post(name, next_hop.url, timeout_s=timeout_s, **options)
        timeout_s, posts = 2 * timeout_s, posts + 1
    assert len(next_hop.bodies) <= posts


@every_client
@every_loop
def test_an_answer_that_does_not_come_in_time_is_late(
    name: ClientName, loop_factory: Any, next_hop: NextHop
) -> None:
    next_hop.answers = False
    post_late(name, next_hop, loop_factory=loop_factory)


@every_client
@pytest.mark.parametrize("begun", [b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", b"HTTP/1.1 2"])
def test_an_answer_that_begins_and_does_not_end_in_time_is_late(
    name: ClientName, begun: bytes, next_hop: NextHop
) -> None:
    next_hop.answer = begun
    post_late(name, next_hop)


@every_client
@every_loop
@pytest.mark.parametrize(
    "answer",
    [b"", b"HTTP/1.1 200", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok", b"SSH-2.0-OpenSSH_9.2\r\n\r\n"],
    ids=["nothing", "half a head", "half a body", "garbage"],
)
def test_a_connection_that_breaks_is_broken_and_the_request_is_not_repeated(
    name: ClientName, loop_factory: Any, answer: bytes, next_hop: NextHop
) -> None:
    next_hop.answer, next_hop.closes = answer, True
    with pytest.raises(HopBrokenError):
        post(name, next_hop.url, loop_factory=loop_factory)
    assert len(next_hop.bodies) == 1


@every_kept_client
def test_a_request_on_a_connection_that_breaks_at_its_second_request_is_not_repeated(
    name: ClientName, servers: ServerThread
) -> None:
    seen: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in (OK, b""):
            head = await reader.readuntil(b"\r\n\r\n")
            seen.append(head + await reader.readexactly(4))
            writer.write(answer)

    url = f"http://127.0.0.1:{servers.listen(serve)}/there"
    with pytest.raises(HopBrokenError):
        post(name, url, times=2)
    assert len(seen) == 2


@every_client
def test_an_idle_connection_that_the_peer_closed_is_not_used_again(
    name: ClientName, next_hop: NextHop
) -> None:
    next_hop.answer, next_hop.closes = OK, True

    async def work(client: Client) -> None:
        for done in range(1, 4):
            await client.post(next_hop.url, b"body", {}, 30)
            await eventually(lambda done=done: next_hop.closed == done)
            await asyncio.sleep(0.01)  # one turn of the loop reads what has come: the end of the connection

    using(name, work)
    assert next_hop.connections == 3


@every_client
def test_a_redirect_is_an_answer_like_any_other(name: ClientName, next_hop: NextHop) -> None:
    next_hop.answer = b"HTTP/1.1 307 Temporary Redirect\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n"
    assert post(name, next_hop.url)[0].status == 307
    assert len(next_hop.bodies) == 1


@every_client
def test_cookies_are_not_kept(name: ClientName, next_hop: NextHop) -> None:
    next_hop.answer = b"HTTP/1.1 200 OK\r\nSet-Cookie: who=me; Path=/\r\nContent-Length: 0\r\n\r\n"
    post(name, next_hop.url.replace("127.0.0.1", "localhost"), times=2)
    assert len(next_hop.heads) == 2
    assert "cookie" not in "".join(next_hop.heads).lower()


@every_client
def test_proxies_of_the_environment_are_not_asked(
    name: ClientName, next_hop: NextHop, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    next_hop.answer = OK
    assert post(name, next_hop.url)[0].status == 200


@every_client
@every_loop
def test_many_requests_at_once_each_get_their_answer(
    name: ClientName, loop_factory: Any, servers: ServerThread
) -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n" + await reader.readexactly(4))

    url = f"http://127.0.0.1:{servers.listen(echo)}/"

    async def work(client: Client) -> list[bytes]:
        bodies = [b"%04d" % number for number in range(12)]
        answers = await asyncio.gather(*(client.post(url, body, {}, 20) for body in bodies))
        return [answer.body for answer in answers]

    assert using(name, work, loop_factory) == [b"%04d" % number for number in range(12)]


@every_client
@every_loop
def test_a_client_serves_on_after_requests_that_were_given_up(
    name: ClientName, loop_factory: Any, next_hop: NextHop
) -> None:
    next_hop.answer, next_hop.answers = OK, False

    async def work(client: Client) -> int:
        tasks = [asyncio.ensure_future(client.post(next_hop.url, b"body", {}, 30)) for _ in range(8)]
        await eventually(lambda: len(next_hop.bodies) == len(tasks))
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        next_hop.answers = True
        return (await client.post(next_hop.url, b"body", {}, 30)).status

    assert using(name, work, loop_factory) == 200


@pytest.mark.parametrize(
    ("name", "package"), [(ClientName.AIOHTTP, "aiohttp"), (ClientName.HTTPX_AIOHTTP, "httpx_aiohttp")]
)
def test_a_client_that_is_not_installed_is_refused_with_the_remedy(
    name: ClientName, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(
        SettingsError, match=rf"{name}.*{package} is not installed: .* install .*pipeline-lab\[clients\]"
    ):
        require(name)


@pytest.mark.parametrize("error", [HopUnreachableError, HopTimeoutError, HopBrokenError])
def test_every_failure_of_a_hop_is_a_hop_error(error: type[Exception]) -> None:
    assert issubclass(error, HopError)
