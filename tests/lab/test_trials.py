"""Trials that others spoilt are made up for within bounds, and what keeps going wrong is said at once."""

from __future__ import annotations

from typing import Any

import pytest

from lab import trials
from lab.errors import BadParameter
from lab.trials import most_redone, run_trials, say_who_computes


def ran(planned: list[int], verdicts: list[str | None], most: int) -> list[int]:
    """Return which trials were run, where these are the verdicts in turn; a further one is ten more."""
    found: list[int] = []

    def run_one(number: int) -> str | None:
        found.append(number)
        return verdicts[len(found) - 1]

    run_trials(planned, run_one, most, lambda number: number + 10)
    return found


def test_spoilt_trials_are_made_up_for_after_all_others_and_again_where_those_are_spoilt_too() -> None:
    busy = "machine_busy"
    assert ran([1, 2, 3], [busy, None, busy, None, busy, None], 9) == [1, 2, 3, 11, 13, 23]


def test_no_more_are_made_up_for_than_the_bound_and_what_is_left_is_said(
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert ran([1, 2, 3], ["machine_busy", "not_steady", "machine_busy", None], 1) == [1, 2, 3, 11]
    said = capfd.readouterr().err
    assert "1 more trials make up for invalid ones (redo_invalid 1)" in said
    assert "2 trials stay invalid" in said


def test_what_a_further_trial_would_suffer_from_too_is_run_once() -> None:
    assert ran([1, 2], ["generator_bound", "too_few_samples"], 9) == [1, 2]


def test_two_of_a_kind_are_said_at_once_and_once(capfd: pytest.CaptureFixture[str]) -> None:
    ran([1, 2, 3], ["machine_busy not_steady", "machine_busy", "machine_busy"], 0)
    said = capfd.readouterr().err
    assert said.count("2 trials are machine_busy so far: other programs kept") == 1
    assert "not_steady so far" not in said


@pytest.mark.parametrize(("asked", "most"), [(True, 3), (False, 0), (0, 0), (5, 5)])
def test_a_third_of_the_trials_none_or_a_number_are_made_up_for(asked: bool | int, most: int) -> None:
    assert most_redone(asked, 7) == most


@pytest.mark.parametrize("asked", [-1, "often", 0.5])
def test_no_other_number_is_taken(asked: Any) -> None:
    with pytest.raises(BadParameter, match="redo_invalid"):
        most_redone(asked, 7)


def test_who_computes_is_named_with_what_to_do_and_what_comes_then(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(trials, "busy_programs", lambda *_: ["mprime (1.9 cores)"])
    say_who_computes("up to 3 are made up for")
    said = capfd.readouterr().err
    assert "mprime (1.9 cores). End them, or some trials may not count: up to 3 are made up for" in said


def test_a_system_that_tells_of_no_waits_is_said_to(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(trials, "tells_waits", lambda: False)
    say_who_computes()
    assert "does not tell who waits" in capfd.readouterr().err


def test_a_server_that_is_hidden_is_said_to_be(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(trials, "hides", lambda _: True)
    say_who_computes("", "http://127.0.0.1:80/")
    assert "who serves http://127.0.0.1:80/ is hidden" in capfd.readouterr().err
