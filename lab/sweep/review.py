"""What a reviewer of a pull request looks at, beside the CSV of a named sweep: NAME.md and NAME.png.

Both say what the CSV and its JSON say, and are written anew whenever the sweep has measured something.
"""

from __future__ import annotations

from pathlib import Path

from lab.errors import LabError
from lab.progress import note
from lab.results.sidecar import Provenance, Sidecar
from lab.sweep.plan import REVIEW_MARK

__all__ = ["write_review"]


def write_review(csv: Path, plan: str) -> None:
    """Write NAME.md and NAME.png beside the CSV; `plan` says what was measured, and what was not default.

    What cannot be written is said, and ends nothing.
    """
    try:
        _write(csv, plan)
    except (LabError, OSError, ValueError) as error:
        note(f"{csv.stem}.md and {csv.stem}.png are not up to date ({error}); the CSV has every trial")


def _write(csv: Path, plan: str) -> None:
    from lab import charts  # slow to import, and a plan needs none of it
    from lab.results.frame import read

    rows = read(csv)
    chart = charts.throughput(rows)
    picture = chart.save(csv.with_suffix(".png"))
    shown = " ".join(chart.alternative.split()).replace("[", "(").replace("]", ")")
    parts = [
        REVIEW_MARK,
        f"## {csv.stem}",
        str(charts.answer(rows)),
        f"![{shown}](<{picture.name}>)",
        str(charts.verdicts(rows)),
        str(charts.cells(rows)),
        f"{plan}.",
        _origin(Sidecar.read(csv).provenance[-1]),
    ]
    csv.with_suffix(".md").write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def _origin(where: Provenance) -> str:
    commit = (where.commit or "no commit")[:10] + (
        " with changes that are in no commit" if where.dirty else ""
    )
    machine = f"{where.cpu_model}, {where.cpu_count} usable, {where.system}"
    return f"Measured at {commit}, on {machine}, {where.python}."
