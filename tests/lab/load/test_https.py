"""https is loaded as http is, and a certificate that nobody vouches for is a failure of its own class."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from lab.arrivals import Closed, Constant, Load
from lab.errors import BadParameter
from lab.load.run import run
from lab.load.spec import LoadSpec
from tests.support.generating import generate
from tests.support.scripted_server import Manner, serving

NAME = "pipeline.test"
LOADS: dict[str, Load] = {"closed": Closed(2), "open": Constant(30)}


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A self-signed certificate for 127.0.0.1 and the name, and its key."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl makes the certificate, and it is not here")
    folder = tmp_path_factory.mktemp("tls")
    made, key = folder / "certificate.pem", folder / "key.pem"
    command = [
        openssl,
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=127.0.0.1",
    ]
    names = ["-addext", f"subjectAltName=IP:127.0.0.1,DNS:{NAME}", "-keyout", str(key), "-out", str(made)]
    subprocess.run([*command, *names], check=True, capture_output=True)
    return made, key


@pytest.fixture(scope="module")
def server_context(certificate: tuple[Path, Path]) -> ssl.SSLContext:
    """What a server needs to show the certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    return context


@pytest.mark.parametrize("load", LOADS.values(), ids=LOADS)
def test_a_server_whose_certificate_is_trusted_is_loaded(
    server_context: ssl.SSLContext, certificate: tuple[Path, Path], load: Load
) -> None:
    with serving(lambda _: Manner.ANSWER, server_context) as server:
        spec = LoadSpec(url=server.url, load=load, duration_s=0.2, warmup_s=0.0, ca_file=str(certificate[0]))
        totals = generate(spec).recorder.totals
        assert set(totals) == {"http_200"}
        assert totals.total() == len(server.requests)


def test_a_certificate_that_nobody_vouches_for_fails_without_a_request(
    server_context: ssl.SSLContext,
) -> None:
    with serving(lambda _: Manner.ANSWER, server_context) as server:
        spec = LoadSpec(url=server.url, load=Constant(30), duration_s=0.2, warmup_s=0.0)
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
