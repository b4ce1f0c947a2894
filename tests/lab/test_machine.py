"""What `lab doctor` says of this machine can be relied on, and says what to do."""

from __future__ import annotations

import os

import psutil
import pytest

from lab import machine
from lab.machine import busy_programs, program_times


def remedy(name: str) -> str | None:
    (fact,) = (fact for fact in machine.facts() if fact.name == name)
    return fact.remedy


def test_every_fact_has_a_name_of_its_own_and_a_value() -> None:
    facts = machine.facts()
    assert len({fact.name for fact in facts}) == len(facts)
    assert all(fact.value for fact in facts)


def test_a_fact_is_in_order_where_there_is_nothing_to_do() -> None:
    assert machine.Fact("loop", "uvloop").ok
    assert not machine.Fact("loop", "asyncio", "install uvloop").ok


def test_a_machine_that_others_load_is_pointed_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getloadavg", lambda: (0.0, 0.0, 0.0))
    assert remedy("load average") is None
    monkeypatch.setattr(os, "getloadavg", lambda: (100.0, 100.0, 100.0))
    assert "wait" in str(remedy("load average"))


def test_a_plain_loop_is_pointed_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "loop_name", lambda: "asyncio")
    assert "uvloop" in str(remedy("event loop"))


@pytest.mark.parametrize(("granted", "cores"), [("max 100000", 4.0), ("150000 100000", 1.5), (None, 4.0)])
def test_a_quota_of_cpu_time_counts_as_fewer_cores(
    monkeypatch: pytest.MonkeyPatch, granted: str | None, cores: float
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3}, raising=False)
    monkeypatch.setattr(machine, "_read", lambda _: granted)
    assert machine.usable_cores() == cores


def test_a_single_core_is_pointed_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "usable_cores", lambda: 1.0)
    assert "share one core" in str(remedy("cores"))


def test_programs_that_compute_are_named_with_their_cores_and_those_of_the_trial_are_not() -> None:
    before = {(1, 0.0): ("idle", 5.0), (2, 0.0): ("loop", 1.0), (3, 0.0): ("server", 0.0)}
    after = {
        (1, 0.0): ("idle", 5.01),
        (2, 0.0): ("loop", 3.0),
        (3, 0.0): ("server", 2.0),
        (4, 9.0): ("loop", 1.0),
        (2, 9.0): ("cc", 0.5),
    }
    assert busy_programs(before, after, 2.0, own={3}) == ["loop (1.5 cores)", "cc (0.25 cores)"]


def test_a_process_is_seen_with_what_it_has_used() -> None:
    before = program_times()
    assert (os.getpid(), psutil.Process().create_time()) in before
    assert before[os.getpid(), psutil.Process().create_time()][1] > 0
