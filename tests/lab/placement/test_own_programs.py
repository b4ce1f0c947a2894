"""Programs of one's own come alive, are found, hurt and ended, whatever they are written in."""

from __future__ import annotations

import http.client
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

import lab
from lab.errors import NotSupported, StartFailed
from lab.pipeline import Entry, OwnService, Pipeline
from lab.pipeline.wiring import topology_of
from lab.topology import Topology
from tests.support.placing import claimed, descendants, get
from tests.support.waiting import wait_until

SERVER = """
import http.server, json, os, socket, sys, urllib.request

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        found = {"name": sys.argv[1], "pid": os.getpid(), "mode": os.environ.get("MODE")}
        if "BACK_URL" in os.environ:
            with urllib.request.urlopen(os.environ["BACK_URL"] + "/") as answer:
                found["back"] = json.load(answer)
        body = json.dumps(found).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass

class Server(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6 if ":" in os.environ["AT"] else socket.AF_INET

print("begins", flush=True)
Server((os.environ["AT"], int(os.environ["PORT"])), Handler).serve_forever()
"""


def python(code: str, *arguments: str) -> list[str]:
    return [sys.executable, "-c", code, *arguments]


def server(**keys: Any) -> OwnService:
    return OwnService(
        command=python(SERVER, "{name}"), **{"env": {"AT": "127.0.0.1", "MODE": "{{port}}"}, **keys}
    )


def pipeline(folder: Path, **services: OwnService) -> Topology:
    entry = Entry(service=next(iter(services)))
    return topology_of(Pipeline(name="own", entry=entry, services=services, folder=folder))


def asked(url: str) -> Any:
    return json.loads(get(url))


@pytest.fixture
def nothing_left() -> Iterator[None]:
    """Fails a test that leaves a process behind."""
    before = descendants()
    yield
    wait_until(lambda: descendants() <= before)


@pytest.fixture
def running(tmp_path: Path) -> Iterator[lab.Running]:
    services = {"front": server(calls=["back"]), "back": server(replicas=2)}
    with claimed(pipeline(tmp_path, **services)) as topology, lab.start(topology) as started:
        yield started


def test_services_find_each_other_and_a_killed_instance_costs_nothing(running: lab.Running) -> None:
    first, second = asked(running.entry_url), asked(running.entry_url)
    assert {first["back"]["name"], second["back"]["name"]} == {"back-a", "back-b"}
    assert first["mode"] == f"{{{running.topology.entry.port}}}"
    running.kill("back-a")
    assert [asked(running.entry_url)["back"]["name"] for _ in range(3)] == ["back-b"] * 3
    running.restart("back-a")
    running.add_instance("back")
    seen: set[str] = set()

    def all_seen() -> bool:
        """Ask once more: an instance that was killed is tried again only after a while."""
        seen.add(asked(running.entry_url)["back"]["name"])
        return seen == {"back-a", "back-b", "back-c"}

    wait_until(all_seen)
    assert "begins" in running.logs("back-a")
    assert running.cpu_seconds().servers_s > 0
    assert (running.rss_mb() or 0) > 10


def test_a_frozen_program_answers_once_it_is_thawed(running: lab.Running) -> None:
    running.freeze("front")
    address = running.entry_url.removeprefix("http://").rstrip("/")
    connection = http.client.HTTPConnection(address, timeout=0.2)
    connection.request("GET", "/")
    with pytest.raises(TimeoutError):
        connection.getresponse()
    connection.close()
    running.thaw("front")
    assert asked(running.entry_url)["name"] == "front"


@pytest.mark.usefixtures("nothing_left")
def test_one_that_listens_on_the_other_loopback_is_reached_there(tmp_path: Path) -> None:
    services = {"front": server(calls=["back"]), "back": server(env={"AT": "::1"}, replicas=2)}
    with claimed(pipeline(tmp_path, **services)) as topology, lab.start(topology) as running:
        assert asked(running.entry_url)["back"]["name"].startswith("back-")


@pytest.mark.usefixtures("nothing_left")
def test_what_runs_already_is_called_and_never_touched(tmp_path: Path) -> None:
    with claimed(pipeline(tmp_path, back=server())) as there, lab.start(there) as other:
        own = pipeline(tmp_path, front=server(calls=["back"]), back=OwnService(url=other.topology.entry.url))
        with claimed(own) as topology, lab.start(topology) as running:
            assert asked(running.entry_url)["back"]["name"] == "back"
            with pytest.raises(NotSupported, match="called and never touched"):
                running.kill("back")
        assert asked(other.entry_url)["name"] == "back"


CHILD = f"""
import os, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", {SERVER!r}, "child"])
import signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child.wait()
"""


@pytest.mark.usefixtures("nothing_left")
def test_a_program_that_ignores_its_end_is_ended_with_its_children(tmp_path: Path) -> None:
    service = OwnService(command=python(CHILD), env={"AT": "127.0.0.1"})
    with claimed(pipeline(tmp_path, one=service)) as topology, lab.start(topology) as running:
        pid = asked(running.entry_url)["pid"]
        running.kill("one")
        assert not psutil.pid_exists(pid)
        running.restart("one")
        assert asked(running.entry_url)["name"] == "child"


@pytest.mark.parametrize(
    ("command", "keys", "said"),
    [
        (python("import sys; print('bad day'); sys.exit(3)"), {}, "with status 3: its log ends with 'bad d"),
        (python("import sys; sys.exit(3)"), {}, "with status 3, and its log is empty"),
        (python("pass"), {}, "ended in good order: does it go to the background? Run it in the foreground"),
        (["no-such-program", "x"], {}, "one could not be started: no-such-program cannot be run: "),
        (python("import os; os.kill(os.getpid(), 9)"), {}, "with status 247"),
        (python("import time; time.sleep(60)"), {"ready_within": 0.3}, "within 0.3 s: it listens nowhere"),
        (
            python(SERVER.replace('int(os.environ["PORT"])', "0"), "x"),
            {"ready_within": 2},
            "let it read {port} or $PORT, or give it `port: ",
        ),
        (python(SERVER.replace("200", "503"), "x"), {"ready": "/up", "ready_within": 2}, "good to GET /up"),
    ],
)
@pytest.mark.usefixtures("nothing_left")
def test_a_program_that_does_not_come_alive_is_named_with_the_reason(
    tmp_path: Path, command: list[str], keys: dict[str, Any], said: str
) -> None:
    service = OwnService(command=command, env={"AT": "127.0.0.1"}, **keys)
    with claimed(pipeline(tmp_path, one=service)) as topology, pytest.raises(StartFailed) as failed:
        lab.start(topology).__enter__()
    assert str(failed.value).startswith("one ")
    assert said in str(failed.value)
    assert "\n" not in str(failed.value)


@pytest.mark.usefixtures("nothing_left")
def test_an_app_that_raises_on_import_is_told_with_its_own_line(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text("import os\n\napp = os.environ['NO_SUCH_VARIABLE']\n")
    service = OwnService(app="shop:app")
    with claimed(pipeline(tmp_path, one=service)) as topology, pytest.raises(StartFailed) as failed:
        lab.start(topology).__enter__()
    assert "(shop.py, line 3): its log ends with \"KeyError: 'NO_SUCH_VARIABLE'\"" in str(failed.value)


@pytest.mark.usefixtures("nothing_left")
def test_an_app_is_ready_once_its_start_up_is_complete(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(
        """
import asyncio

state = {}

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        await asyncio.sleep(0.3)
        state["begun"] = True
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    body = str(state).encode()
    headers = [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
"""
    )
    with claimed(pipeline(tmp_path, one=OwnService(app="shop:app"))) as topology, lab.start(topology) as up:
        assert get(up.entry_url) == "{'begun': True}"


def test_programs_of_ones_own_do_not_run_in_process(tmp_path: Path) -> None:
    with pytest.raises(NotSupported, match="take the placement processes"):
        lab.start(pipeline(tmp_path, one=server()), placement=lab.PlacementName.IN_PROCESS)


@pytest.mark.usefixtures("nothing_left")
def test_a_service_starts_after_those_that_it_calls(tmp_path: Path) -> None:
    needs = "import os, urllib.request\nurllib.request.urlopen(os.environ['BACK_URL'] + '/').read()\n"
    services = {
        "front": OwnService(command=python(needs + SERVER, "front"), env={"AT": "127.0.0.1"}, calls=["back"]),
        "back": server(replicas=2),
    }
    with claimed(pipeline(tmp_path, **services)) as topology, lab.start(topology) as running:
        assert asked(running.entry_url)["name"] == "front"
