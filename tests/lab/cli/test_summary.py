"""The summary that `lab benchmark` prints of its trials."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import pytest

from lab.cli.summary import print_summary, summaries
from lab.measure.columns import Factors, TrialHealth, TrialOutcome, What
from lab.measure.measurement import Measurement
from lab.rounding import number


def row(
    concurrency: int, throughput_rps: float, *, number: int = 1, failed: int = 0, **health: object
) -> Measurement:
    """A trial of the parallel topology that answered at that rate, in 160 ms at the median."""
    return Measurement(
        what=What(sweep_id="s", cell_id=f"{concurrency}", trial=number, started_at=datetime.now(UTC)),
        factors=Factors(
            topology="parallel", replicas=4, load_model="closed", concurrency=concurrency, duration_s=1.0
        ),
        outcome=TrialOutcome(
            requests=100,
            succeeded=100 - failed,
            failed=failed,
            dropped=0,
            throughput_rps=throughput_rps,
            response_time_p50_ms=160.0 + number,
        ),
        health=TrialHealth(**{"valid": True, **health}),  # type: ignore[arg-type]
    )


def trials(concurrency: int, *rates: float) -> list[Measurement]:
    return [row(concurrency, rate, number=number) for number, rate in enumerate(rates, start=1)]


def test_each_concurrency_has_one_summary_lowest_first() -> None:
    found = summaries([*trials(32, 90, 91), *trials(3, 18, 19)])
    assert [(summary.concurrency, summary.trials, summary.valid) for summary in found] == [
        (3, 2, 2),
        (32, 2, 2),
    ]


def test_only_the_documented_concurrency_is_held_against_the_documents() -> None:
    at_3, at_32 = summaries([*trials(3, 18, 19), *trials(32, 90, 91)])
    assert at_3.expected is not None
    assert at_32.expected is None


def test_one_trial_has_a_figure_and_no_interval() -> None:
    (summary,) = summaries(trials(3, 18))
    assert summary.throughput_rps.estimate == pytest.approx(18)
    assert math.isnan(summary.throughput_rps.low)


def test_invalid_trials_are_left_out_of_figures_and_named_with_their_reasons(
    capsys: pytest.CaptureFixture[str],
) -> None:
    bad = row(3, 5.0, number=3, valid=False, invalid_reason="generator_bound")
    (summary,) = summaries([*trials(3, 18.0, 18.2), bad])
    assert (summary.trials, summary.valid) == (3, 2)
    assert summary.throughput_rps.low > 15
    print_summary("parallel", [summary])
    assert "1 of 3 trials at 3 are invalid: generator_bound" in capsys.readouterr().out


@pytest.mark.parametrize("columns", ["40", "80", "200"])
@pytest.mark.parametrize("scale", [1.0, 1000.0, 100_000.0])
def test_no_figure_is_cut_in_a_pipe_and_lines_keep_to_80_columns(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, columns: str, scale: float
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    at_3, at_32 = trials(3, 17.9 * scale, 18.2 * scale), trials(32, 97.0 * scale, 98.5 * scale)
    found = summaries([*at_3, *at_32])
    print_summary("parallel", found)
    text = capsys.readouterr().out
    assert "…" not in text
    for summary in found:
        assert number(summary.throughput_rps.estimate) in text
        assert f"{number(summary.throughput_rps.low)}–{number(summary.throughput_rps.high)}" in text
    assert scale > 1000 or max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize(
    ("rates", "verdict"),
    [((18.0, 18.1, 18.2), "within"), ((9.0, 9.1, 9.2), "below"), ((14.0, 15.0, 16.0), "undecided")],
)
def test_a_verdict_is_said_in_the_table_and_in_a_sentence(
    capsys: pytest.CaptureFixture[str], rates: tuple[float, ...], verdict: str
) -> None:
    print_summary("parallel", summaries(trials(3, *rates)))
    table, *sentences = capsys.readouterr().out.split("Parallel at 3 in flight: ")
    assert verdict in table
    assert verdict in sentences[0]


def test_failures_of_every_trial_are_counted() -> None:
    (summary,) = summaries([row(3, 18.0, failed=2), row(3, 18.0, number=2, failed=3)])
    assert summary.failed == 5
