"""The folder of results, found from wherever a notebook runs."""

from __future__ import annotations

from pathlib import Path

from lab.errors import ResultsError, advice

__all__ = ["HOME", "baseline", "newest", "result_path"]

_CHECKOUT = Path(__file__).parents[2]
HOME = _CHECKOUT if (_CHECKOUT / "pyproject.toml").exists() else Path()
"""The checkout that this is, or the working directory where the lab is installed without one."""
RESULTS = HOME / "results"


def result_path(name: str, folder: Path = RESULTS) -> Path:
    """Return the CSV called `name`, a path or a name in the folder.

    Raises ResultsError, with those there are.
    """
    tried = (Path(name), HOME / name, folder / name, folder / f"{name}.csv")
    found = next((path for path in tried if path.is_file()), None)
    if found is None:
        there = ", ".join(path.stem for path in _all(folder)) or "none yet"
        raise ResultsError(f"there is no result {name!r} in {folder.name}/: there is {there}")
    return found


def baseline(folder: Path = RESULTS) -> Path:
    """Return the committed result that others are held against: the latest one named `baseline-…`.

    Raises ResultsError where there is none.
    """
    named = [path for path in _all(folder) if path.stem.startswith("baseline-")]
    if not named:
        make = advice(
            command="nox -s sweep -- -p name baseline-me", notebook='notebook 02, name = "baseline-me"'
        )
        name = advice(command="-p a NAME", notebook='a = "NAME"')
        raise ResultsError(
            f"there is no baseline-….csv in {folder.name}/: make one ({make}), "
            f"or name the result to compare with ({name})"
        )
    return named[-1]


def newest(folder: Path = RESULTS, but: Path | None = None) -> Path:
    """Return the result that was written last, other than `but`. Raises ResultsError where there is none."""
    others = [path for path in _all(folder) if path != but]
    if not others:
        beside = f" beside {but.stem}" if but else ""
        first = advice(command="nox -s sweep", notebook="notebook 02")
        raise ResultsError(
            f"there is nothing to compare in {folder.name}/{beside}: run a sweep first ({first})"
        )
    return max(others, key=lambda path: path.stat().st_mtime)


def _all(folder: Path) -> list[Path]:
    """Return every CSV that has a row, in order of name."""
    return sorted(path for path in folder.glob("*.csv") if path.read_bytes().count(b"\n") > 1)
