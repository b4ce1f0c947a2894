"""Every chart, table and answer counts valid rows, and of these the figures that are there; nothing else."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import pandas as pd
import pytest

from lab import charts
from lab.compare import compare
from lab.faults import FaultRun
from lab.measure.conditions import Condition
from lab.measure.statistics import Interval
from lab.measure.validity import MEANING, InvalidReason
from lab.policy_comparison import PolicyResult, Scenario
from lab.saturation import Ending, Saturation, SearchSpec
from services.names import PolicyName
from tests.lab.charts.test_balancers import run_behind
from tests.support.chart_rows import default_rows, frame, made_up_rows, repeat_by_level
from tests.support.measurements import make_measurement

Rows = list[dict[str, Any]]
POISON = 987654
"""A figure that no valid row has."""
LATENCIES = [f"response_time_{name}_ms" for name in ("mean", "p50", "p95", "p99")]
FIGURES = ["throughput_rps", *LATENCIES]
OF_NO_TRIALS = {"byte_table", "coding_table"}
TELLERS = [
    pytest.param(getattr(charts, name), id=name)
    for name in charts.__all__
    if inspect.isfunction(getattr(charts, name)) and name not in OF_NO_TRIALS
]


# --- what is wrong with the rows ---


def clean(made: Rows) -> Rows:
    return made


def all_invalid(made: Rows) -> Rows:
    return [row | spoiled() for row in made]


def one_invalid_in_each_cell(made: Rows) -> Rows:
    return [*made, *(row | spoiled() | {"trial": 9} for row in made if row["trial"] == 1)]


def all_invalid_and_throughput_blank(made: Rows) -> Rows:
    return [row | spoiled() | dict.fromkeys((*FIGURES, "overhead_ms"), "") for row in made]


def response_time_blank(made: Rows) -> Rows:
    return [row | dict.fromkeys((*LATENCIES, "overhead_ms"), "") for row in made]


def no_rows(_: Rows) -> Rows:
    return []


WRONG = [
    all_invalid,
    one_invalid_in_each_cell,
    all_invalid_and_throughput_blank,
    response_time_blank,
    no_rows,
]


def spoiled() -> dict[str, Any]:
    return dict.fromkeys(FIGURES, POISON) | {"valid": "false", "invalid_reason": "generator_bound"}


# --- what a function is fed, by the names of its parameters' types ---


def rows_for(teller: Callable[..., Any], wrong: Callable[[Rows], Rows]) -> pd.DataFrame:
    """Rows in which that varies which the function's module is about."""
    about = str(inspect.unwrap(teller).__module__).rpartition(".")[2]
    return _rows_about(about if about in _LEVELS else "clients", wrong)


_LEVELS: dict[str, tuple[str, dict[str, float]]] = {
    "balancers": ("balancer", {"builtin": 1.0, "nginx": 1.1}),
    "protocols": ("protocol", {"http": 1.0, "grpc": 2.0}),
    "clients": ("client", {"httpx": 1.0, "wire": 5.0}),
}


@cache
def _rows_about(about: str, wrong: Callable[[Rows], Rows]) -> pd.DataFrame:
    made = default_rows(concurrencies=(1, 3, 8, 32))
    repeat_by_level(made, *_LEVELS[about])
    return frame(wrong([row | dict.fromkeys(LATENCIES, row["response_time_mean_ms"]) for row in made]))


def saturation_for(wrong: Callable[[Rows], Rows]) -> Saturation:
    spec = SearchSpec(goal=(Condition.parse("p95=200ms"),))
    if "all_invalid" not in wrong.__name__:
        return Saturation(spec, 32.0, 33.0, Ending.SETTLED, ())
    probe = make_measurement().invalidated(["generator_bound"])
    return Saturation(spec, None, None, Ending.NOT_MEASURABLE, (probe,))


def runs_for(wrong: Callable[[Rows], Rows]) -> tuple[FaultRun, ...]:
    good = replace(run_behind("builtin", 2), measurement=make_measurement())
    bad = replace(run_behind("nginx", 9), measurement=good.measurement.invalidated(["generator_bound"]))
    if wrong is no_rows:
        return ()
    return (bad,) if "all_invalid" in wrong.__name__ else (good, bad) if "one_" in wrong.__name__ else (good,)


def policies_for(wrong: Callable[[Rows], Rows]) -> tuple[PolicyResult, ...]:
    def result(policy: PolicyName, ms: float, simulated: float) -> PolicyResult:
        measured = Interval(ms, ms - 2, ms + 2)
        return PolicyResult(Scenario.ONE_SLOW, policy, measured, ms, simulated, 3 * simulated, 0.25, 100, 0)

    good = result(PolicyName.PEAK_EWMA, 25, 24), result(PolicyName.ROUND_ROBIN, 70, 71)
    bad = replace(result(PolicyName.RANDOM, POISON, 71), invalid_reason="generator_bound")
    if wrong is no_rows:
        return ()
    return (bad,) if "all_invalid" in wrong.__name__ else (*good, bad) if "one_" in wrong.__name__ else good


def fed(teller: Callable[..., Any], wrong: Callable[[Rows], Rows]) -> Any:
    """Call the function with such rows, runs or results; a parameter of a new type fails here."""
    given: list[Any] = []
    for parameter in inspect.signature(teller).parameters.values():
        match str(parameter.annotation):
            case "pd.DataFrame" if parameter.name == "coding":
                given.append(coding())
            case "pd.DataFrame":
                given.append(rows_for(teller, wrong))
            case "Saturation" | "Saturation | None":
                given.append(saturation_for(wrong))
            case "FaultRun":
                given.extend(runs_for(wrong))
            case "Sequence[FaultRun]":
                given.append(runs_for(wrong))
            case "Sequence[PolicyResult]":
                given.append(policies_for(wrong))
            case "Comparison":
                given.append(compare(rows_for(teller, wrong), rows_for(teller, wrong)))
            case "Claim":
                given.append(charts.Claim.RATIO)
            case "float":
                given.append(2.0)
            case "str":
                given.append(parameter.default)
            case other:
                raise AssertionError(f"say here what {teller.__name__} gets as {other}")
    return teller(*given)


def coding() -> pd.DataFrame:
    costs = {"payload_bytes": 1, "coding_us": 1.0, "decoding_us": 2.0}
    return pd.DataFrame([costs | {"protocol": name} for name in ("http", "grpc")])


def words(told: Any) -> str:
    """All that is said, in words and in the figure."""
    if not isinstance(told, charts.Chart):
        return "\n".join(map(str, told)) if isinstance(told, list) else str(told)
    told.figure.draw_without_rendering()
    return f"{told.caption}\n{told.alternative}"


def figures_in(text: str) -> set[str]:
    return set(re.findall(r"\d[\d,.]*\d|\d", text.replace(" %", "")))


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.__name__)
@pytest.mark.parametrize("teller", TELLERS)
def test_what_does_not_count_is_neither_said_nor_passed_over(
    teller: Callable[..., Any], wrong: Callable[[Rows], Rows]
) -> None:
    if wrong is no_rows and "Comparison" in str(inspect.signature(teller)):
        pytest.skip("results without rows are refused before they are compared")
    told = fed(teller, wrong)
    said = words(told)
    assert str(POISON)[:3] not in said.replace(",", "")
    assert not re.search(r"\b(nan|inf|None)\b", said)
    if isinstance(told, charts.Answer) and "Comparison" not in str(inspect.signature(teller)):
        if "invalid" in wrong.__name__:
            assert "generator_bound" in said
        if wrong is no_rows:
            assert re.search(r"No \w+ was measured|Nothing", said) or "sustains" in said
    if isinstance(told, charts.Chart) and wrong is no_rows:
        assert said.startswith("Nothing was measured")


@pytest.mark.parametrize("teller", TELLERS)
def test_an_invalid_trial_beside_valid_ones_changes_no_figure(teller: Callable[..., Any]) -> None:
    counts = {str(count) for count in range(1000)}
    more = figures_in(words(fed(teller, one_invalid_in_each_cell))) - figures_in(words(fed(teller, clean)))
    assert more <= counts


@pytest.mark.parametrize("teller", TELLERS)
def test_where_nothing_counts_nothing_is_claimed_in_bold(teller: Callable[..., Any]) -> None:
    bold = re.findall(r"\*\*(.+?)\*\*", words(fed(teller, all_invalid)))
    denied = r"undecided|[Nn]othing|[Nn]o |[Ii]nvalid|^With|^W(ithout|hole)"
    assert [claim for claim in bold if not re.search(denied, claim)] == []


def of_balancers(counts: Sequence[int]) -> pd.DataFrame:
    """Rows of builtin and nginx, each with so many valid trials of three."""

    def change(made: Rows) -> None:
        made[:] = [row for row in made if row["topology"] == "parallel"]
        repeat_by_level(made, "balancer", {"builtin": 1.0, "nginx": 1.1})
        for row in made:
            if row["trial"] > counts[row["balancer"] == "nginx"]:
                row |= {"valid": "false", "invalid_reason": "machine_busy"}

    return made_up_rows(change, concurrencies=(1, 32))


def test_too_few_trials_are_not_called_too_close() -> None:
    said = str(charts.balancer_answer(of_balancers((3, 1))))
    assert "too few valid trials, 1 of nginx and 3 of builtin; it takes two of each" in said
    assert "too close" not in said


def test_a_balancer_without_a_valid_trial_is_named() -> None:
    said = str(charts.balancer_answer(of_balancers((3, 0))))
    assert said.startswith("**Nothing is shown**: fewer than two balancers have a valid trial.")
    assert "Nothing that counts was measured of nginx, 0 of 6 (machine_busy 6) trials valid." in said


def test_a_policy_whose_trial_is_invalid_wins_nothing_by_measurement() -> None:
    said = str(charts.policy_answer(policies_for(all_invalid)))
    assert said.startswith("Simulated alone: ")
    assert "random (generator_bound)" in said
    both = str(charts.policy_answer(policies_for(one_invalid_in_each_cell)))
    assert both.startswith("**With one instance 4× slower peak_ewma wins**")
    assert "Not counted, as their trials are invalid: random (generator_bound)." in both


def test_where_valid_trials_contradict_the_simulation_no_winner_is_in_bold() -> None:
    one, other = policies_for(clean)
    turned = replace(one, measured=other.measured), replace(other, measured=one.measured)
    said = str(charts.policy_answer(turned))
    assert "**" not in said
    assert "Measured, round_robin is first, against the simulation: 25 ms (23 to 27)." in said


def test_a_service_that_could_not_be_measured_is_said_to_be_unknown() -> None:
    said = str(charts.capacity_answer(saturation_for(all_invalid), frame([])))
    assert said.startswith("**Nothing is known of the service.** Not measurable: generator_bound")
    assert MEANING[InvalidReason.GENERATOR_BOUND] in said


def test_cells_tell_where_the_response_time_must_not_be_said() -> None:
    line = charts.cells(rows_for(charts.cells, response_time_blank)).rows[0]
    assert line[-2] == "response_time blank 3"
    assert line[4] == "–"
