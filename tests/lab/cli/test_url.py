"""`lab load` and `lab saturate`: what they say, and how they exit."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import ThreadingUnixStreamServer
from types import FrameType
from typing import Any

import pytest

from lab import cli
from lab.cli.saturation_run import probe_line
from lab.results.csv_file import Results, read_measurements
from tests.support.command_line import CommandLine
from tests.support.measurements import make_measurement
from tests.support.scripted_server import Manner, serving


class Hello(BaseHTTPRequestHandler):
    """Answers at once but for /slow, and notes what it was asked."""

    protocol_version = "HTTP/1.1"
    seen: list[tuple[str, str | None, bytes]]

    def do_GET(self) -> None:
        length = int(self.headers["content-length"] or 0)
        self.seen.append((self.command, self.headers["x-colour"], self.rfile.read(length)))
        if self.path == "/slow":
            time.sleep(0.1)
        status = self.path.strip("/")
        self.send_response(int(status) if status.isdigit() else 200)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    do_PUT = do_POST = do_GET  # noqa: N815 (http.server's names)

    def log_message(self, *args: object) -> None: ...


@pytest.fixture
def seen() -> list[tuple[str, str | None, bytes]]:
    return []


@pytest.fixture
def url(seen: list[tuple[str, str | None, bytes]]) -> Iterator[str]:
    """Serve Hello on a free port."""
    with ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (Hello,), {"seen": seen})) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def short(*arguments: str | int) -> tuple[str | int, ...]:
    return ("--duration", "0.5", "--warmup", "0.1", *arguments)


def test_a_load_walks_through_five_files_of_the_command_line(lab: CommandLine, url: str) -> None:
    importlib.import_module("lab.cli.app")  # as long as that takes, classes are made in many files
    folder, walked = str(Path(cli.__file__).parent), set()

    def note(frame: FrameType, event: str, _: object) -> None:
        code = frame.f_code
        if event == "call" and code.co_name != "<module>" and code.co_filename.startswith(folder):
            walked.add(Path(code.co_filename).name)

    sys.setprofile(note)
    try:
        lab("load", url, *short())
    finally:
        sys.setprofile(None)
    assert walked == {"__init__.py", "app.py", "url.py", "load_run.py", "load_report.py"}


def test_load_prints_one_object_with_the_columns_of_a_row(lab: CommandLine, url: str) -> None:
    done = lab("load", url, *short("--rate", 50, "--arrivals", "poisson", "--json"))
    row = json.loads(done.stdout)
    assert done.returncode == 0
    assert (row["load_model"], row["requested_rate"]) == ("poisson", 50)
    assert row["requests"] == row["succeeded"] > 0
    assert "response_time_p99_ms" in row
    assert datetime.fromisoformat(row["started_at"]).isoformat() == row["started_at"]


def test_load_says_how_sure_it_is_of_its_percentiles_where_they_can_be_believed(
    lab: CommandLine, url: str
) -> None:
    said = lab("load", url, *short("--rate", 200)).stdout
    assert ("\n95 % interval p50 " in said) == ("\nverdict       valid" in said)


def test_load_sends_method_headers_and_body_as_told(
    lab: CommandLine, url: str, seen: list[Any], tmp_path: Path
) -> None:
    (tmp_path / "body").write_bytes(b"\x00 as it is")
    told = ("--method", "put", "--header", "X-Colour: green", "--body", tmp_path / "body")
    assert lab("load", url, *short(*told)).returncode == 0
    assert set(seen) == {("PUT", "green", b"\x00 as it is")}


def test_load_sends_a_text_that_was_typed(lab: CommandLine, url: str, seen: list[Any]) -> None:
    assert lab("load", url, *short("--body-text", '{"a": "é"}')).returncode == 0
    assert {(method, body) for method, _, body in seen} == {("POST", '{"a": "é"}'.encode())}


def test_a_time_has_a_unit_in_every_option_that_takes_one(lab: CommandLine, url: str) -> None:
    times = ("--duration", "500ms", "--warmup", "0.1s", "--think-time", "0.01s", "--timeout", "1min")
    row = json.loads(lab("load", url, *times, "--json").stdout)
    assert (row["duration_s"], row["warmup_s"], row["think_time_ms"]) == (0.5, 0.1, 10)


def test_load_sends_the_pipelines_own_body_with_a_request_id_of_its_own_each(
    lab: CommandLine, url: str, seen: list[Any]
) -> None:
    assert lab("load", url, *short("--payload-bytes", 100)).returncode == 0
    bodies = [json.loads(body) for _, _, body in seen]
    assert {len(body["text"]) for body in bodies} == {100}
    assert len({body["request_id"] for body in bodies}) == len(bodies)


def test_a_condition_that_holds_makes_load_exit_with_1(lab: CommandLine, url: str) -> None:
    done = lab("load", url, *short("--fail-if", "errors<1", "--fail-if", "errors>0"))
    assert done.returncode == 1
    assert "errors < 1: holds, so the run fails" in done.stderr
    assert "errors > 0: does not hold" in done.stderr


def test_a_condition_that_cannot_be_told_makes_load_exit_with_1(lab: CommandLine, url: str) -> None:
    done = lab("load", url, *short("--rate", 30, "--fail-if", "p99>1s"))
    assert done.returncode == 1
    assert "p99 > 1000 ms: cannot be told, so the run fails" in done.stderr


def test_a_target_that_answers_nothing_makes_load_exit_with_1_and_say_why(lab: CommandLine) -> None:
    done = lab("load", "http://127.0.0.1:9/", *short())
    assert done.returncode == 1
    assert "nothing succeeded: refused ×" in done.stdout.splitlines()[0]
    assert "refused: 127.0.0.1:9: nothing listens there" in done.stdout
    assert "measure longer" not in done.stdout
    assert "generator_bound" not in done.stdout


def test_a_unix_socket_is_loaded(lab: CommandLine, tmp_path: Path, seen: list[Any]) -> None:
    handler = type("Handler", (Hello,), {"seen": seen, "address_string": lambda _: "-"})
    with ThreadingUnixStreamServer(str(tmp_path / "app.sock"), handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        done = lab("load", f"unix:{tmp_path}/app.sock:/path", *short())
        server.shutdown()
        thread.join()
    assert done.returncode == 0
    assert seen


def test_answers_that_are_no_plain_success_are_told_apart(lab: CommandLine, url: str) -> None:
    done = lab("load", f"{url}302", *short())
    assert done.returncode == 0
    assert "statuses      http_302=" in done.stdout
    assert "redirects are not followed" in done.stdout
    refused = lab("load", f"{url}405", *short("--json"))
    assert refused.returncode == 1
    assert json.loads(refused.stdout)["failures"].startswith("http_405=")


def test_a_search_on_a_target_that_answers_nothing_says_so(lab: CommandLine) -> None:
    done = lab("saturate", "http://127.0.0.1:9/", "--duration", 0.5)
    assert done.returncode == 1
    assert "Nothing succeeded: refused ×" in done.stdout.splitlines()[-1]


def test_rows_of_one_target_gather_in_a_csv_as_trials(lab: CommandLine, url: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    for rate in (40, 40, 80):
        assert lab("load", url, *short("--rate", rate, "--csv", path)).returncode == 0
    rows = read_measurements(path)
    assert [(row.what.trial, row.factors.requested_rate) for row in rows] == [(1, 40), (2, 40), (1, 80)]
    assert lab("check", path).returncode == 0
    other = lab("load", url + "elsewhere", *short("--csv", path))
    assert other.returncode == 1
    assert "other parameters" in other.stderr


def test_the_concurrency_of_an_open_loop_bounds_what_is_in_flight_at_once(lab: CommandLine, url: str) -> None:
    done = lab("load", f"{url}slow", *short("--rate", 100, "--concurrency", 2, "--json"))
    row = json.loads(done.stdout)
    assert row["dropped"] > 0
    assert row["in_flight_mean"] <= 2
    assert "rate_not_achieved" in row["invalid_reason"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--arrivals", "poisson"), "needs a --rate"),
        (("--rate", "5", "--think-time", 1), "--think-time does not go with"),
        (("--arrivals", "closed", "--rate", "5"), "--rate does not go with a closed loop"),
        (("--arrivals", "ramp", "--rate", "5"), "two rates"),
        (("--rate", "5,6"), "one rate"),
        (("--rate", "fast"), "--rate is 'fast'"),
        (("--header", "nonsense"), "Name: value"),
        (("--body", "/nowhere"), "cannot be read"),
        (("--cpu", "all"), "numbers of cores"),
        (("--cpu", "-1"), "numbers of cores"),
        (("--cpu", 10**20), "numbers of cores"),
        (("--cpu", ""), "numbers of cores"),
        (("--method", ""), "method ''"),
        (("--fail-if", "p99"), "is no condition"),
        (("--fail-if", "errors=0"), "write errors>0"),
        (("--fail-if", "p99=200ms"), "write p99>200ms"),
        (("--fail-if", "p99>nan"), "'nan' is no time"),
        (("--fail-if", "latency>200ms"), "the quantities are mean, p50"),
        (("--think-time", "inf"), "--think-time is 'inf': give a time from 0 s to a week, as in 500ms"),
        (("--think-time", "-1"), "--think-time is '-1'"),
        (("--timeout", "1e300"), "--timeout is '1e300': give a time from 0.1 s to a week"),
        (("--timeout", "nan"), "--timeout is 'nan'"),
        (("--timeout", "0"), "--timeout is '0'"),
        (("--duration", "1e300"), "--duration is '1e300'"),
        (("--duration", "5 minutes"), "--duration is '5 minutes'"),
        (("--duration", "0.1s"), "from 0.5 s"),
        (("--warmup", "-inf"), "--warmup is '-inf'"),
        (("--rate", "nan"), "rate is nan"),
        (("--rate", "inf"), "rate is inf"),
        (("--rate", "1e300"), "rate is 1e+300"),
        (("--rate", "-5"), "rate is -5"),
        (("--rate", "5", "--duration", "2s"), "Take 11 / 5 = 2.2 or more, or a higher --rate"),
        (
            ("--arrivals", "ramp", "--rate", "1,3", "--duration", "5s"),
            "at 2 answers a second it holds 10, and a median needs 11",
        ),
        (("--rate", ""), "--rate is ''"),
        (("--concurrency", "1e300"), "Invalid value for '--concurrency'"),
        (("--concurrency", 0), "Invalid value for '--concurrency'"),
        (("--concurrency", 10**9), "Invalid value for '--concurrency'"),
        (("--processes", 10**6), "Invalid value for '--processes'"),
        (("--payload-bytes", 10**15), "Invalid value for '--payload-bytes'"),
        (("--seed", -1), "Invalid value for '--seed'"),
        (("--seed", 10**30), "Invalid value for '--seed'"),
        (("--body", '{"a":1}'), "send a text itself with --body-text"),
        (("--body", "a=1&b=2"), "send a text itself with --body-text"),
        (("--body", "@order.json"), "write order.json, without the @"),
        (("--body", "/dev/zero"), "is a device"),
        (("--body", "/"), "Is a directory"),
        (("--body-text", "a", "--payload-bytes", 5), "--body-text and --payload-bytes exclude each other"),
        (("--csv", "/dev/null"), "is no regular file"),
        (("--key", "/nowhere"), "cert"),
        (("--no-such-option",), "No such option"),
        (("--csv", "/nonexistent/dir/x.csv"), "make the directory /nonexistent/dir"),
        (("--csv", "/nonexistent/rows.json"), "name the CSV /nonexistent/rows.csv"),
        (("--csv", "/"), "is a directory"),
        (("--csv", "/dev/full"), "is no regular file"),
        (("--csv", "/proc/mine.csv"), "cannot be written"),
        (("--csv", "x" * 300), "File name too long"),
        (("--processes", 2), "processes is 2: it must be no more than may be in flight"),
        (("--rate", "5", "--concurrency", 2, "--processes", 3), "no more than may be in flight"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line_and_nothing_is_sent(
    lab: CommandLine, url: str, seen: list[Any], arguments: tuple[str | int, ...], said: str
) -> None:
    done = lab("load", url, *arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not seen


def test_a_file_that_holds_no_rows_is_refused_before_anything_is_sent(
    lab: CommandLine, url: str, seen: list[Any], tmp_path: Path
) -> None:
    (tmp_path / "README.md").write_text("# Not rows\n")
    for command in ("load", "saturate"):
        done = lab(command, url, "--csv", tmp_path / "README.md")
        assert done.returncode == 1
        assert done.stderr.splitlines()[-1].startswith("lab: ")  # it may say before who computes here
    assert not seen
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["README.md"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("--precision", -1),
        ("--precision", "nan"),
        ("--precision", "1e300"),
        ("--precision", 0),
        ("--csv", "/dev/full"),
        ("--cpu", -1),
        ("--guess", 0),
        ("--guess", "nan"),
        ("--guess", "1e300"),
        ("--guess", "1e300", "--arrivals", "closed"),
        ("--duration", "1e300"),
        ("--duration", "nan"),
        ("--slo", "p99==200ms"),
        ("--slo", "p99=nan"),
        ("--slo", "p99>200ms"),
        ("--slo", "errors>0"),
        ("--concurrency", 64, "--arrivals", "closed"),
        ("--concurrency", 0),
        ("--timeout", "inf"),
        ("--probes", 1),
        ("--probes", 10**9),
    ],
)
def test_what_makes_no_search_is_refused_in_a_line_before_anything_is_sent(
    lab: CommandLine, url: str, seen: list[Any], arguments: tuple[str | int, ...]
) -> None:
    done = lab("saturate", url, *arguments)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert not seen


def test_no_bar_is_drawn_outside_a_terminal(lab: CommandLine, url: str) -> None:
    done = lab("load", url, *short())
    assert "\r" not in done.stderr
    assert [line.split(" ")[1] for line in done.stderr.splitlines()] == ["answered,"]


def test_a_host_that_is_not_loopback_is_refused_unless_allowed(lab: CommandLine) -> None:
    done = lab("load", "http://192.0.2.1/", *short())
    assert done.returncode == 1
    assert "--remote" in done.stderr


def test_saturate_keeps_every_probe_and_says_what_it_found(
    lab: CommandLine, url: str, tmp_path: Path
) -> None:
    path = tmp_path / "probes.csv"
    asked = ("--slo", "throughput>=0.001", "--arrivals", "closed", "--guess", 1, "--probes", 2)
    asked += ("--processes", 2)
    done = lab("saturate", url, *asked, "--duration", 0.5, "--csv", path)
    assert len(read_measurements(path)) == 2
    assert len(done.stdout.splitlines()) == 3
    again = lab("saturate", url, *asked, "--csv", path)
    assert again.returncode == 2
    assert "exists, and a search starts anew" in again.stderr


def test_a_search_that_was_interrupted_before_its_first_row_can_be_made_again(
    lab: CommandLine, url: str, tmp_path: Path
) -> None:
    path = tmp_path / "probes.csv"
    Results(path, {"url": url, "slo": ["another one"]}).close()
    asked = ("--slo", "throughput>=0.001", "--arrivals", "closed", "--guess", 1, "--probes", 2)
    lab("saturate", url, *asked, "--duration", 0.5, "--csv", path)
    assert len(read_measurements(path)) == 2


def test_a_probe_calls_what_was_dropped_dropped() -> None:
    row = make_measurement()
    outcome = replace(row.outcome, failed=0, dropped=7)
    assert probe_line(replace(row, outcome=outcome)).endswith("0 failed, 7 dropped")


def test_a_probe_whose_every_answer_is_an_error_has_no_rate() -> None:
    row = make_measurement()
    outcome = replace(row.outcome, requests=5, succeeded=0, failed=5, failures="http_500=5")
    said = probe_line(replace(row, outcome=outcome))
    assert "nothing succeeded: http_500 ×5" in said
    assert "req/s answered" not in said


@pytest.mark.parametrize("bytes_left", [100, 1100], ids=["for no header", "for no sidecar"])
def test_a_row_that_the_disk_has_no_room_for_is_printed_all_the_same(
    url: str, tmp_path: Path, bytes_left: int
) -> None:
    path = tmp_path / "mine.csv"
    limits = (bytes_left, bytes_left)
    no_room = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, {limits});"
    code = f"{no_room} import sys; from lab.cli import main; sys.argv[0] = 'lab'; main()"
    command = [sys.executable, "-P", "-c", code, "load", url, *map(str, short("--csv", path))]
    env = {**os.environ, "GIT_OPTIONAL_LOCKS": "0"}  # git, asked for the commit, is not to leave half a file
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
    assert done.returncode == 1
    assert "succeeded, 0 failed" in done.stdout
    assert "mine.csv" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def interrupted(when_s: float, url: str, *arguments: str | int | Path) -> subprocess.CompletedProcess[str]:
    """Run `lab load`, for an hour if nobody stopped it; Ctrl-C comes when it has run for so long."""
    code = (
        "import os, signal, sys, lab.cli.load_run as load_run; from lab.cli import main\n"
        "def show(bar, so_far, planned_s):\n"
        f"    if so_far.elapsed_s > {when_s}:\n"
        "        load_run.show_progress = lambda *_: None\n"
        "        os.kill(os.getpid(), signal.SIGINT)\n"
        "load_run.show_progress = show; sys.argv[0] = 'lab'; main()"
    )
    command = [sys.executable, "-P", "-c", code, "load", url, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def silent_url() -> Iterator[str]:
    with serving(lambda _: Manner.SILENCE) as server:
        yield server.url


def test_ctrl_c_prints_what_there_is_marked_and_writes_no_row(url: str, tmp_path: Path) -> None:
    times = ("--duration", "5min", "--warmup", 0)
    done = interrupted(1.5, url, *times, "--csv", tmp_path / "mine.csv")
    assert done.returncode == 130
    assert done.stdout.startswith("interrupted ")
    assert "0 failed, 0 dropped" in done.stdout
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


def test_the_row_of_an_interrupted_run_is_kept_when_asked_for(url: str, tmp_path: Path) -> None:
    asked = ("--csv", tmp_path / "mine.csv", "--keep-interrupted", "--json", "--rate", 50)
    done = interrupted(1.5, f"{url}slow", "--duration", "1min", "--warmup", 0, *asked)
    assert done.returncode == 130
    row = json.loads(done.stdout)
    assert row["interrupted"] is True
    assert 0 < row["duration_s"] < 60
    assert row["failed"] == 0
    (kept,) = read_measurements(tmp_path / "mine.csv")
    assert kept.outcome.requests == row["requests"]


def test_ctrl_c_in_the_warm_up_prints_what_was_seen_of_it_and_keeps_no_row(url: str, tmp_path: Path) -> None:
    asked = ("--keep-interrupted", "--csv", tmp_path / "mine.csv")
    done = interrupted(0.2, url, "--duration", "5s", "--warmup", "1h", *asked)
    assert done.returncode == 130
    assert done.stdout.startswith("interrupted   so all figures are of the warm-up")
    assert " req/s\n" in done.stdout
    assert done.stderr.splitlines()[-1].endswith("gets no row: Ctrl-C came before the measurement began")
    assert not list(tmp_path.iterdir())


def test_ctrl_c_before_the_first_answer_says_so(silent_url: str) -> None:
    done = interrupted(0.2, silent_url, "--warmup", 0)
    assert done.returncode == 130
    assert done.stdout.startswith("interrupted ")
    assert "0 succeeded, 0 failed" in done.stdout
