"""What was checked is what is loaded: a name is looked up once, and https holds the server to that name."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from lab.arrivals import Closed, Constant, Load
from lab.errors import BadParameter, RemoteRefused
from lab.load.run import run
from lab.load.spec import LoadSpec
from tests.support.generating import generate
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
