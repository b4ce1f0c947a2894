"""The generator's process gives whole results, dies with its parent, and never leaves anyone waiting."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from lab.arrivals import Closed, Constant, Load, Poisson
from lab.errors import BadParameter, CorpusError, GeneratorFailed, RemoteRefused
from lab.load import run as generators
from lab.load.result import Progress
from lab.load.run import run
from lab.load.spec import LoadSpec, PipelineBody, WarmupMode
from tests.support.scripted_server import Manner, ScriptedServer, serving


def test_a_run_accounts_for_every_request(server: ScriptedServer) -> None:
    spec = LoadSpec(url=server.url, load=Poisson(200), duration_s=0.5, warmup_s=0.2, seed=3)
    result = run(spec)
    assert result.sent_in_all == sum(result.totals.values()) == len(server.requests)
    assert len(server.requests) + result.dropped_in_all == len(spec.schedule())
    assert result.schedule_hash == spec.schedule().digest
    assert result.requests == result.succeeded == len(result.window.response_time)
    assert (result.warmup_s, result.window_s) == (pytest.approx(0.2), pytest.approx(0.5))
    assert result.achieved_rate == pytest.approx(result.requests / 0.5)
    assert result.stages_ms == {"a": pytest.approx(0.5), "b": pytest.approx(2.0)}
    assert 0 < result.generators[0].cpu_cores < 2


def test_the_request_log_holds_every_request_with_its_times_and_outcome(server: ScriptedServer) -> None:
    spec = LoadSpec(url=server.url, load=Constant(100), duration_s=0.3, warmup_s=0.1, journal=True)
    result = run(spec)
    schedule = spec.schedule()
    intended = [record.intended_ns - result.journal[0].intended_ns for record in result.journal]
    assert intended == schedule.intended_ns[: len(intended)].tolist()  # only the last may be dropped
    assert len(intended) + result.dropped_in_all == len(schedule)
    assert Counter(record.outcome for record in result.journal) == result.totals
    assert all(record.succeeded and record.response_time_s > 0 for record in result.journal)
    assert all(record.intended_ns <= record.sent_ns <= record.ended_ns for record in result.journal)


def test_every_request_of_a_closed_loop_carries_an_id_of_its_own(server: ScriptedServer) -> None:
    body = PipelineBody(payload_bytes=300)
    result = run(
        LoadSpec(url=server.url, load=Closed(3), duration_s=0.2, warmup_s=0.1, method="POST", body=body)
    )
    messages = [json.loads(request.partition(b"\r\n\r\n")[2]) for request in server.requests]
    assert {len(message["text"].encode()) for message in messages} <= {298, 299, 300}
    assert len({message["request_id"] for message in messages}) == len(messages) == result.sent_in_all


def test_several_generators_together_send_the_one_schedule(server: ScriptedServer) -> None:
    spec = LoadSpec(url=server.url, load=Constant(200), duration_s=0.5, warmup_s=0.0, processes=2)
    result = run(spec)
    assert result.totals == {"http_200": len(server.requests)}
    assert result.requests == len(result.window.response_time) == len(server.requests)
    assert result.requests + result.dropped_in_all == 100
    assert len(result.generators) == 2


def test_several_generators_share_the_users_of_a_closed_loop(server: ScriptedServer) -> None:
    result = run(LoadSpec(url=server.url, load=Closed(5), duration_s=0.3, warmup_s=0.1, processes=2))
    assert [generator.connections for generator in result.generators] == [3, 2]
    assert result.in_flight_mean == pytest.approx(5)
    assert result.sent_in_all == len(server.requests)


def test_generators_of_a_closed_loop_have_one_window_however_late_a_first_answer_comes() -> None:
    with serving(lambda n: Manner.SILENCE if n == 0 else Manner.ANSWER) as server:
        spec = LoadSpec(
            url=server.url, load=Closed(4), duration_s=0.4, warmup_s=0.0, processes=2, read_timeout_s=1.0
        )
        result = run(spec)
    assert result.window_s == pytest.approx(0.4)
    assert result.warmup_s >= 0.99  # a loop's clock counts in milliseconds
    assert result.in_flight_mean == pytest.approx(4, rel=0.05)


def test_an_automatic_warmup_ends_at_the_latest_after_what_was_given(server: ScriptedServer) -> None:
    mode = WarmupMode.AUTO
    result = run(LoadSpec(url=server.url, load=Constant(200), duration_s=0.4, warmup_s=0.4, warmup_mode=mode))
    assert 0 <= result.warmup_s <= 0.4
    assert result.warmup_s + result.window_s == pytest.approx(0.8)


def test_progress_is_told_while_it_runs(server: ScriptedServer) -> None:
    told: list[Progress] = []
    spec = LoadSpec(url=server.url, load=Constant(50), duration_s=0.8, warmup_s=0.0)
    result = run(spec, on_progress=told.append)
    assert told[-1].succeeded == result.succeeded
    assert [progress.succeeded for progress in told] == sorted(progress.succeeded for progress in told)
    assert told[-1].total_s == pytest.approx(0.8)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity here")
@pytest.mark.parametrize("core", [999, -1, 1 << 40])
def test_a_core_that_is_not_there_is_named(server: ScriptedServer, core: int) -> None:
    with pytest.raises(BadParameter, match=f"cpu {core}"):
        run(LoadSpec(url=server.url, load=Closed(1), cpus=(core,)))


def test_a_corpus_at_fault_is_named_as_if_there_were_no_other_process(server: ScriptedServer) -> None:
    body = PipelineBody(corpus="/no/such/file.txt")
    with pytest.raises(CorpusError, match=r"/no/such/file\.txt"):
        run(LoadSpec(url=server.url, load=Closed(1), body=body))


def test_another_machine_is_not_loaded() -> None:
    with pytest.raises(RemoteRefused):
        run(LoadSpec(url="http://192.0.2.1/", load=Closed(1)))


LIMITED = """
    import resource
    resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))
    from lab.load.child import main
    main()
"""


@pytest.fixture
def other_child(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Have another program in place of the generator: `other_child('import sys; …')`."""

    def replace(program: str) -> None:
        script = tmp_path / "child.py"
        script.write_text(textwrap.dedent(program))
        monkeypatch.setattr(generators, "COMMAND", (sys.executable, str(script)))

    return replace


def test_a_generator_that_may_open_few_files_raises_its_limit(other_child, server: ScriptedServer) -> None:
    other_child(LIMITED.format(soft=40, hard=400))
    result = run(LoadSpec(url=server.url, load=Closed(80), duration_s=0.2, warmup_s=0.0))
    assert set(result.totals) == {"http_200"}


def test_connections_beyond_what_the_system_allows_are_refused_and_not_called_failures(
    other_child, server: ScriptedServer
) -> None:
    other_child(LIMITED.format(soft=40, hard=90))
    with pytest.raises(BadParameter, match="80 connections cannot be had: a process may open 90 files"):
        run(LoadSpec(url=server.url, load=Closed(80), duration_s=0.2, warmup_s=0.0))
    assert not server.requests


def test_a_crash_of_the_generator_is_told_with_its_last_words(other_child, server: ScriptedServer) -> None:
    other_child("raise SystemError('the roof is on fire')")
    with pytest.raises(
        GeneratorFailed, match=r"(?s)load generator 1 died \(exit status 1\).*roof is on fire"
    ):
        run(LoadSpec(url=server.url, load=Closed(1)))


def test_a_generator_that_says_nothing_is_given_up_and_killed(
    other_child,
    server: ScriptedServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("lab.load.run._START_S", 1.0)
    before = set(psutil.Process().children())
    other_child("import time; time.sleep(600)")
    with pytest.raises(GeneratorFailed, match="hung: no ready within 1 s"):
        run(LoadSpec(url=server.url, load=Closed(1)))
    assert set(psutil.Process().children()) <= before


def test_a_generator_that_was_not_let_run_starved(
    other_child, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lab.load.run._START_S", 0.5)
    monkeypatch.setattr("lab.load.run._starved", lambda *_: True)
    other_child("import time; time.sleep(600)")
    with pytest.raises(GeneratorFailed, match=r"starved: no ready within 0\.5 s"):
        run(LoadSpec(url=server.url, load=Closed(1)))


def test_a_process_that_sleeps_does_not_starve() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        assert _comes_true(lambda: psutil.Process(process.pid).status() == psutil.STATUS_SLEEPING)
        assert not generators._starved(process.pid, 600.0)
        process.kill()


@pytest.mark.parametrize("death", [signal.SIGKILL, signal.SIGTERM])
def test_the_generator_dies_with_its_parent_whatever_it_dies_of(death: signal.Signals) -> None:
    with serving(lambda _: Manner.ANSWER) as server:
        program = f"""
            from lab.arrivals import Constant
            from lab.load.run import run
            from lab.load.spec import LoadSpec
            run(LoadSpec(url={server.url!r}, load=Constant(50), duration_s=60.0))
        """
        parent = subprocess.Popen([sys.executable, "-c", textwrap.dedent(program)])
        assert _comes_true(lambda: len(server.requests) > 3)
        (child,) = psutil.Process(parent.pid).children()
        parent.send_signal(death)
        parent.wait()
        assert _comes_true(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)


def _comes_true(condition: Callable[[], bool]) -> bool:
    """Whether it holds soon."""
    until = time.monotonic() + 20
    while not condition() and time.monotonic() < until:
        time.sleep(0.01)
    return condition()


@pytest.mark.parametrize("processes", [1, 2])
def test_a_run_that_is_stopped_ends_with_what_came_before(server: ScriptedServer, processes: int) -> None:
    seen: list[Progress] = []
    spec = LoadSpec(url=server.url, load=Constant(100), duration_s=600, warmup_s=0.0, processes=processes)
    result = run(
        spec, on_progress=seen.append, stop=lambda: seen[-1].succeeded > 20 and seen[-1].elapsed_s > 1
    )
    assert result.interrupted
    assert 0 < result.window_s < 600
    assert result.succeeded > 20
    assert result.failed == 0
    assert result.throughput_rps > 0


@pytest.mark.parametrize("load", [Constant(100), Closed(3, think_time_s=0.01)])
def test_a_run_that_is_stopped_in_its_warm_up_gives_what_was_seen_of_that(
    server: ScriptedServer, load: Load
) -> None:
    seen: list[Progress] = []
    spec = LoadSpec(url=server.url, load=load, warmup_s=600, processes=2)
    result = run(spec, on_progress=seen.append, stop=lambda: seen[-1].succeeded > 20)
    assert result.interrupted
    assert result.before_window
    assert (result.warmup_s, result.failed) == (0, 0)
    assert result.succeeded > 20
    assert result.throughput_rps > 0


def test_a_run_that_is_stopped_before_its_users_were_answered_ends_with_what_was_seen() -> None:
    with serving(lambda _: Manner.SILENCE) as server:
        spec = LoadSpec(url=server.url, load=Closed(3), warmup_s=0, processes=2)
        result = run(spec, stop=lambda: True)
    assert (result.interrupted, result.requests) == (True, 0)


def test_a_run_that_nobody_stops_is_whole(server: ScriptedServer) -> None:
    spec = LoadSpec(url=server.url, load=Constant(50), duration_s=0.5, warmup_s=0.1)
    result = run(spec, stop=lambda: False)
    assert not result.interrupted
    assert result.window_s == pytest.approx(0.5)
