"""Beside the CSV of a named sweep lies what a reviewer looks at."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lab.errors import BadParameter
from lab.results import Results
from lab.sweep import plan_sweep
from lab.sweep.plan import REVIEW_MARK
from lab.sweep.review import write_review
from tests.support.measurements import make_measurement


@pytest.fixture
def csv(tmp_path: Path) -> Path:
    path = tmp_path / "mine.1.csv"
    with Results(path, {"seed": 0}) as results:
        for trial in (1, 2, 3):
            made = make_measurement(trial=trial)
            worked = replace(made.factors, replicas=1, work="io", work_ms="40", slots=1)
            results.append(replace(made, factors=worked))
    return path


def test_it_holds_the_answer_the_verdicts_the_picture_and_what_was_not_default(csv: Path) -> None:
    write_review(csv, str(plan_sweep(policy="peak_ewma")))
    text = csv.with_name("mine.1.md").read_text(encoding="utf-8")
    assert text.startswith(f"{REVIEW_MARK}\n\n## mine.1\n")
    assert "trials are valid." in text
    assert "| claim | measured | 95 % interval | documented | verdict |" in text
    assert "](<mine.1.png>)" in text
    assert "Other than in the preset default: policy peak_ewma." in text
    assert "Measured at " in text
    assert csv.with_name("mine.1.png").read_bytes().startswith(b"\x89PNG")


def test_it_is_written_anew_and_a_file_that_no_sweep_wrote_is_left_alone(csv: Path) -> None:
    write_review(csv, "first")
    (csv.parent / "other.md").write_bytes(csv.with_suffix(".md").read_bytes())
    assert plan_sweep(name="other", folder=csv.parent).named
    write_review(csv, "second")
    assert "second." in csv.with_suffix(".md").read_text(encoding="utf-8")
    (csv.parent / "README.md").write_text("# Results")
    with pytest.raises(BadParameter, match=r"README.md is there, and no sweep wrote it"):
        plan_sweep(name="README", folder=csv.parent)


def test_where_it_cannot_be_written_that_is_said_and_nothing_ends(
    csv: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    csv.with_suffix(".png").mkdir()
    write_review(csv, "plan")
    assert "mine.1.md and mine.1.png are not up to date" in capsys.readouterr().err
