"""What a reviewer of a pull request looks at, beside the CSV of a named sweep: NAME.md and NAME.png.

Both say what the CSV and its JSON say, and are written anew whenever the sweep has measured something.
"""

from __future__ import annotations

from pathlib import Path

from lab.errors import BadParameter, LabError
from lab.progress import note
from lab.results.sidecar import Provenance, Sidecar

__all__ = ["require_no_other", "write_review"]

MARK = "<!-- This file is written anew by each run of its sweep. -->"


def require_no_other(csv: Path) -> None:
    """Raise BadParameter where NAME.md is a file that no sweep wrote, such as a README."""
    path = csv.with_suffix(".md")
    if path.exists() and not _is_review(path):
        raise BadParameter(f"{path} is there, and no sweep wrote it: choose another name")


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
        MARK,
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


def _is_review(path: Path) -> bool:
    try:
        return path.read_text(encoding="utf-8").startswith(MARK)
    except (OSError, ValueError):
        return False
