"""What was checked is what is loaded: a name is looked up once, and https holds the server to that name."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from lab.arrivals import Closed, Constant, Load
from lab.errors import BadParameter, RemoteRefused
from lab.load.run import run
from lab.load.spec import LoadSpec
from tests.support.generating import generate
from tests.support.raw_server import answer, close, raw_serving
from tests.support.scripted_server import Manner, ScriptedServer, serving

NAME = "pipeline.test"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A self-signed certificate for 127.0.0.1 and the name, and its key."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl makes the certificate, and it is not here")
    folder = tmp_path_factory.mktemp("tls")
    made, key = folder / "certificate.pem", folder / "key.pem"
    kind = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"]
    names = ["-addext", f"subjectAltName=IP:127.0.0.1,DNS:{NAME}", "-keyout", str(key), "-out", str(made)]
    subprocess.run([openssl, *kind, *names], check=True, capture_output=True)
    return made, key


@pytest.fixture(scope="module")
def server_context(certificate: tuple[Path, Path]) -> ssl.SSLContext:
    """What a server needs to show the certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    return context


def spec_for(server: ScriptedServer, host: str = NAME) -> LoadSpec:
    """A little load on the server, by a name of that host."""
    url = server.url.replace("127.0.0.1", host)
    return LoadSpec(url=url, load=Closed(2), duration_s=0.2, warmup_s=0.0)


def test_the_generator_looks_no_name_up_and_says_it_as_the_host(
    server: ScriptedServer, name_here: Callable[..., None]
) -> None:
    name_here(NAME)  # of which the generator's own process knows nothing
    result = run(spec_for(server))
    assert result.totals == {"http_200": len(server.requests)}
    port = server.url.rpartition(":")[2].rstrip("/")
    assert all(f"Host: {NAME}:{port}\r\n".encode() in request for request in server.requests)


def test_of_several_addresses_the_first_that_takes_a_connection_is_loaded(
    server: ScriptedServer, name_here: Callable[..., None]
) -> None:
    name_here(NAME, "::1", "127.0.0.1")  # the server listens on the second alone
    assert set(generate(spec_for(server)).recorder.totals) == {"http_200"}


def test_where_no_address_takes_a_connection_requests_are_refused(name_here: Callable[..., None]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
    name_here(NAME, "::1", "127.0.0.1")
    spec = LoadSpec(url=f"http://{NAME}:{port}/", load=Closed(2), duration_s=0.2, warmup_s=0.0)
    assert set(generate(spec).recorder.totals) == {"refused"}


def test_one_address_that_is_not_loopback_among_several_is_refused(name_here: Callable[..., None]) -> None:
    name_here(NAME, "127.0.0.1", "192.0.2.1")
    with pytest.raises(RemoteRefused, match=NAME):
        LoadSpec(url=f"http://{NAME}/", load=Closed(1)).check()


@pytest.mark.parametrize("load", [Closed(2), Constant(30)], ids=["closed", "open"])
def test_a_server_whose_certificate_is_trusted_is_loaded(
    server_context: ssl.SSLContext, certificate: tuple[Path, Path], load: Load
) -> None:
    with serving(lambda _: Manner.ANSWER, server_context) as server:
        spec = LoadSpec(url=server.url, load=load, duration_s=0.2, warmup_s=0.0, ca_file=str(certificate[0]))
        totals = generate(spec).recorder.totals
        assert set(totals) == {"http_200"}
        assert totals.total() == len(server.requests)


def test_a_certificate_that_is_not_trusted_fails_without_a_request(
    server_context: ssl.SSLContext,
) -> None:
    with serving(lambda _: Manner.ANSWER, server_context) as server:
        spec = LoadSpec(url=server.url, load=Closed(2), duration_s=0.2, warmup_s=0.0)
        assert set(generate(spec).recorder.totals) == {"tls"}
        assert server.requests == []


def test_a_server_is_held_to_its_name_though_it_is_reached_at_an_address(
    server_context: ssl.SSLContext, certificate: tuple[Path, Path], name_here: Callable[[str], None]
) -> None:
    with serving(lambda _: Manner.ANSWER, server_context) as server:
        outcomes = {}
        for name in (NAME, "another.test"):
            name_here(name)
            url = server.url.replace("127.0.0.1", name)
            spec = LoadSpec(
                url=url, load=Closed(1), duration_s=0.2, warmup_s=0.0, ca_file=str(certificate[0])
            )
            outcomes[name] = set(generate(spec).recorder.totals)
        assert outcomes == {NAME: {"http_200"}, "another.test": {"tls"}}


def test_a_ca_file_that_is_none_is_named(tmp_path: Path) -> None:
    nonsense = tmp_path / "nonsense.pem"
    nonsense.write_text("nonsense")
    for file in (nonsense, tmp_path / "missing.pem"):
        with pytest.raises(BadParameter, match=file.name):
            run(LoadSpec(url="https://127.0.0.1:1/", load=Closed(1), ca_file=str(file)))


def test_a_unix_socket_is_loaded_and_asked_for_the_path_after_it(tmp_path: Path) -> None:
    with serving(lambda _: Manner.ANSWER, path=str(tmp_path / "app.sock")) as server:
        result = run(LoadSpec(url=f"{server.url}a?b=", load=Closed(2), duration_s=0.2, warmup_s=0.0))
        assert result.totals == {"http_200": len(server.requests)}
        assert all(
            request.startswith(b"GET /a?b= HTTP/1.1\r\nHost: localhost\r\n") for request in server.requests
        )


def test_a_unix_socket_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for name in ("file", "missing"):
        with pytest.raises(BadParameter, match=name):
            run(LoadSpec(url=f"unix:{tmp_path / name}:/", load=Closed(1)))
    with pytest.raises(BadParameter, match="unix:/run"):
        run(LoadSpec(url="unix::/", load=Closed(1)))


def test_a_server_that_wants_a_certificate_gets_the_clients(certificate: tuple[Path, Path]) -> None:
    made, key = map(str, certificate)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made, key)
    context.load_verify_locations(made)
    context.verify_mode = ssl.CERT_REQUIRED

    def shake_hands(sock: socket.socket, number: int) -> None:
        with context.wrap_socket(sock, server_side=True) as secure:
            answer(secure, number)

    with raw_serving(shake_hands) as port:
        url = f"https://127.0.0.1:{port}/"
        spec = LoadSpec(url=url, load=Closed(2), duration_s=0.2, warmup_s=0.0, ca_file=made)
        assert set(run(replace(spec, cert_file=made, key_file=key)).totals) == {"http_200"}
        refused = run(spec)
    assert set(refused.totals) == set(refused.errors) == {"tls"}
    assert "wants a client certificate" in refused.errors["tls"]


def test_a_client_certificate_that_cannot_be_shown_is_named(tmp_path: Path) -> None:
    nonsense = tmp_path / "nonsense.pem"
    nonsense.write_text("nonsense")
    url, file = "https://127.0.0.1:1/", str(nonsense)
    for more in ({"cert_file": file}, {"key_file": file}, {"cert_file": file, "key_file": "missing.pem"}):
        with pytest.raises(BadParameter, match=r"nonsense\.pem"):
            run(LoadSpec(url=url, load=Closed(1), **more))
    with pytest.raises(BadParameter, match="https"):
        run(LoadSpec(url="http://127.0.0.1:1/", load=Closed(1), cert_file=file))


def test_one_silent_address_of_two_costs_no_request(
    server: ScriptedServer, name_here: Callable[..., None]
) -> None:
    """The silent one takes connections into a full backlog, and drops what follows."""
    port = int(server.url.rpartition(":")[2].rstrip("/"))
    with socket.socket(socket.AF_INET6) as silent, ExitStack() as stack:
        silent.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        silent.bind(("::1", port))
        silent.listen(0)
        for _ in range(3):
            filling = stack.enter_context(socket.socket(socket.AF_INET6))
            filling.setblocking(False)
            filling.connect_ex(("::1", port))
        name_here(NAME, "::1", "127.0.0.1")
        generator = generate(replace(spec_for(server), load=Closed(4), duration_s=0.5))
    assert set(generator.recorder.totals) == {"http_200"}


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_localhost_is_both_loopbacks_whatever_the_resolver_says(
    host: str, name_here: Callable[..., None]
) -> None:
    name_here("localhost", "127.0.0.1" if host == "::1" else "::1")
    with raw_serving(answer, host) as port:
        spec = LoadSpec(url=f"http://localhost:{port}/", load=Closed(2), duration_s=0.2, warmup_s=0.0)
        assert set(generate(spec).recorder.totals) == {"http_200"}


def test_a_server_that_closes_after_the_handshake_is_no_success(
    server_context: ssl.SSLContext, certificate: tuple[Path, Path]
) -> None:
    def shake_hands(sock: socket.socket, number: int) -> None:
        with server_context.wrap_socket(sock, server_side=True) as secure:
            close(secure, number)

    with raw_serving(shake_hands) as port:
        spec = LoadSpec(
            url=f"https://127.0.0.1:{port}/",
            load=Closed(4),
            duration_s=0.3,
            warmup_s=0.0,
            ca_file=str(certificate[0]),
        )
        totals = generate(spec).recorder.totals
    assert set(totals) <= {"closed_early", "reset"}
    assert totals.total() > 4
