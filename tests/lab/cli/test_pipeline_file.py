"""`lab init` and `lab show`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from lab.pipeline import read_pipeline
from lab.pipeline.wiring import topology_of
from lab.placement.ports import reserved_offset
from tests.support.command_line import CommandLine, connects


def test_init_writes_an_example_that_show_draws(lab: CommandLine, tmp_path: Path) -> None:
    file, picture = tmp_path / "shop.yml", tmp_path / "shop.svg"
    assert lab("init", file).returncode == 0
    assert json.loads((tmp_path / "shop.schema.json").read_text())["properties"]["services"]
    shown = lab("show", file, "--svg", picture)
    assert shown.returncode == 0
    assert shown.stdout.startswith("shop: POST http://127.0.0.1:8201/checkout\n")
    assert picture.read_text().startswith("<svg")


def test_init_overwrites_nothing(lab: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "shop.yml"
    file.write_text("mine")
    refused = lab("init", file)
    assert (refused.returncode, file.read_text()) == (2, "mine")
    assert refused.stderr == f"lab: {file} exists already: give another name, or remove it first\n"


def test_show_says_what_is_wrong_with_a_file_and_where(lab: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "shop.yml"
    file.write_text("name: shop\nentry: {service: a}\nservices:\n  a: {comand: x}\n")
    refused = lab("show", file)
    assert refused.returncode == 2
    assert refused.stderr == f"lab: {file}:4: services.a.comand: no such key: did you mean command?\n"
    assert "cannot be written" in lab("init", tmp_path / "no" / "shop.yml").stderr
    assert "end it in .yml" in lab("init", tmp_path / "shop.txt").stderr


SERVER = """
import http.server, os, socket, urllib.request

class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if os.environ.get("CALLS"):
            urllib.request.urlopen(os.environ["BACK_URL"] + "/", body).read()
        self.send_response(int(os.environ["STATUS"]))
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

print("begins", flush=True)
host = os.environ["AT"] or os.environ["HOST"]
http.server.HTTPServer.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
http.server.HTTPServer((host, int(os.environ["PORT"])), Handler).serve_forever()
"""
SHOP = """
name: shop
entry: {service: front, path: /in, body: {order: 17}}
services:
  front:
    command: &serve [PYTHON, server.py]
    calls: [back]
    env: {STATUS: "STATUS_", CALLS: "CALLS_", AT: "AT_"}
  back: {command: *serve, replicas: 2, env: {STATUS: "200", AT: ""}}
"""


def write_shop(folder: Path, *, status: int = 200, calls: bool = True, at: str = "") -> Path:
    (folder / "server.py").write_text(SERVER)
    text = SHOP.replace("PYTHON", sys.executable).replace("STATUS_", str(status)).replace("AT_", at)
    (folder / "shop.yml").write_text(text.replace("CALLS_", "1" if calls else ""))
    return folder / "shop.yml"


def test_a_pipeline_of_ones_own_is_brought_up_tested_hurt_and_taken_down(
    lab: CommandLine, tmp_path: Path
) -> None:
    file = write_shop(tmp_path)
    topology = topology_of(read_pipeline(file))
    with reserved_offset(topology) as offset:
        up = lab("up", file, "--detach", "--offset", offset)
        assert "shop is up (processes): 3 instances behind 1 balancers" in up.stdout, up.stderr
        tested = lab("test")
        assert "all as the file says" in tested.stdout
        assert "PASS back-loadbalancer sees requests" in tested.stdout
        assert lab("kill", "back-a").returncode == 0
        assert "FAIL back-a answers: nothing listens on 127.0.0.1:" in lab("test").stdout
        assert lab("restart", "back-a").returncode == 0
        assert "begins" in lab("logs", "front").stdout
        assert "back-b" in lab("stats").stdout
        assert lab("down").stdout == "shop is down\n"
        assert not connects(topology.entry.port + offset)


def test_test_tells_what_is_not_as_the_file_says(lab: CommandLine, tmp_path: Path) -> None:
    file = write_shop(tmp_path, status=500, calls=False)
    with reserved_offset(topology_of(read_pipeline(file))) as offset:
        up = lab("up", file, "--detach", "--offset", offset)
        assert up.returncode == 0, up.stderr
        tested = lab("test")
        assert tested.returncode == 1
        assert "FAIL POST" in tested.stdout
        assert "answers as expected: 500" in tested.stdout
        assert "FAIL back-loadbalancer sees requests: no request came" in tested.stdout
        assert lab("down").returncode == 0


def test_an_entry_on_the_other_loopback_is_tested_there(lab: CommandLine, tmp_path: Path) -> None:
    file = write_shop(tmp_path, at="::1")
    with reserved_offset(topology_of(read_pipeline(file))) as offset:
        up = lab("up", file, "--detach", "--offset", offset)
        assert up.returncode == 0, up.stderr
        assert "all as the file says" in lab("test").stdout
        assert lab("down").returncode == 0


def test_up_refuses_what_a_file_has_no_use_for(lab: CommandLine, tmp_path: Path) -> None:
    file = write_shop(tmp_path)
    for options, said in (
        (("--work-ms", "5"), "--work-ms set the lab's own services, and shop has others"),
        (("--replicas", "3"), "a pipeline file says `replicas` of each service"),
        (("--placement", "in-process"), "take the placement processes"),
    ):
        refused = lab("up", file, *options)
        assert refused.returncode, options
        assert said in refused.stderr
        assert len(refused.stderr.splitlines()) == 1
    assert "there is no topology 'paralel': did you mean parallel?" in lab("up", "paralel").stderr
    assert "nope.yml cannot be read: No such file" in lab("up", "nope.yml").stderr
