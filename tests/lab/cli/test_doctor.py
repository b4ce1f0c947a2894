"""`lab doctor` on this machine: facts with remedies, and the cost of a start."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lab.cli import doctor
from lab.placement import PlacementName
from tests.support.command_line import CommandLine


def test_the_doctor_tells_every_fact_with_ok_or_a_remedy(lab: CommandLine) -> None:
    done = lab("doctor", "--json")
    assert done.returncode == 0
    facts = {fact["name"]: fact for fact in json.loads(done.stdout)}
    assert {"cores", "load average", "event loop", "timer", "open files", "packages"} <= set(facts)
    assert all(fact["ok"] == (fact["remedy"] is None) for fact in facts.values())
    assert "event loop" in lab("doctor").stdout


def test_the_doctor_can_start_each_topology_and_say_what_that_costs_whatever_folder_it_runs_in(
    lab: CommandLine, hiding_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "LIMITS", {PlacementName.IN_PROCESS: (60_000, 1_000)})
    monkeypatch.chdir(hiding_folder)
    monkeypatch.setenv("PYTHONPATH", str(hiding_folder))
    done = lab("doctor", "--startup", "--json")
    assert done.returncode == 0, done.stderr
    facts = {fact["name"]: fact for fact in json.loads(done.stdout)}
    assert facts["starting sequential (in-process)"]["value"].startswith("4 servers in ")
    assert facts["starting parallel (in-process)"]["ok"]
