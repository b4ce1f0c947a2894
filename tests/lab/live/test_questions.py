"""Sliders are answered by exact theory where it holds, with a reason where it does not, and by simulation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lab.errors import BadParameter
from lab.live.questions import ALIKE, PipelineQuestion, PolicyQuestion
from lab.policy_comparison import plan_comparison
from lab.results import baseline, read
from lab.theory import mmc_mean_response_time


@pytest.fixture(scope="module")
def pipeline() -> PipelineQuestion:
    return PipelineQuestion(read(baseline()))


@pytest.fixture
def policies() -> PolicyQuestion:
    return PolicyQuestion(plan_comparison(), ())


def asked(question: PipelineQuestion | PolicyQuestion, **changed: Any) -> dict[str, Any]:
    return {slider.name: slider.value for slider in question.controls} | changed


def test_the_sliders_begin_where_it_was_measured(pipeline: PipelineQuestion) -> None:
    assert asked(pipeline) == {"load": 32, "instances": 4, "work_ms": 40.0, "policy": "round_robin"}
    assert all(slider.value in slider.levels for slider in pipeline.controls)


def test_theory_says_what_the_bounds_do(pipeline: PipelineQuestion) -> None:
    said = pipeline.exact(asked(pipeline, instances=8, load=128))
    assert said.told == "200 req/s, 640 ms"
    assert [128, 200.0] in said.curves[0]
    assert said.why == ""


def test_outside_its_regime_there_is_no_curve_and_a_reason(pipeline: PipelineQuestion) -> None:
    said = pipeline.exact(asked(pipeline, policy="random"))
    assert not any(said.curves)
    assert said.why.startswith("random lets a request wait while another instance is idle")


def test_the_simulator_agrees_with_theory_where_both_speak(pipeline: PipelineQuestion) -> None:
    rate, response_time = pipeline.refined(asked(pipeline, load=8), 3_000).points
    assert rate["y"] == pytest.approx(50, rel=0.01)
    assert response_time["y"] == pytest.approx(160, rel=0.01)


def test_the_simulator_shows_its_interval_where_theory_is_silent(pipeline: PipelineQuestion) -> None:
    values = asked(pipeline, policy="random")
    rate, _ = pipeline.refined(values, 6_000).points
    assert rate["low"] < rate["y"] < rate["high"] < 100


def test_policies_are_exact_where_instances_and_requests_are_alike(policies: PolicyQuestion) -> None:
    values = asked(policies, policy="central_queue", load=0.5, instances=4, work_ms=20.0, scenario=ALIKE)
    assert policies.exact(values).told == f"{1000 * mmc_mean_response_time(100.0, 0.02, 4):.4g} ms"
    assert "no exact formula is known for peak_ewma" in policies.exact(values | {"policy": "peak_ewma"}).why
    assert "a slow instance" in policies.exact(values | {"scenario": "one instance 4× slower"}).why


def test_a_load_that_a_policy_cannot_sustain_is_said_and_not_simulated(policies: PolicyQuestion) -> None:
    values = asked(policies, policy="round_robin", load=0.9, scenario="one instance 4× slower")
    with pytest.raises(BadParameter, match="a queue grows for ever"):
        policies.refined(values, 3_000)


def test_a_notebook_keeps_a_picture_with_the_answer_and_no_widget() -> None:
    from lab.charts import answer
    from lab.live import WhatIf, what_if

    rows = read(baseline())
    shown = what_if(answer(rows), rows)
    assert isinstance(shown, WhatIf)
    data, _ = shown._repr_mimebundle_()
    assert set(data) == {"text/html", "text/markdown", "text/plain"}
    assert data["text/markdown"] == str(answer(rows))
    assert "Exact theory: 100 req/s" in data["text/html"]


def test_without_a_row_there_is_the_answer_alone(tmp_path: Path) -> None:
    from lab.charts import answer
    from lab.live import what_if
    from lab.results import Results

    with Results(tmp_path / "none.csv", {}):
        rows = read(tmp_path / "none.csv")
    assert what_if(answer(rows), rows) == answer(rows)
