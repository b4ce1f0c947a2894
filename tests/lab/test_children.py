"""The lab is what its own processes import, whatever lies in the user's folder or path."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import lab
from lab.children import child_command

LOAD = ("load", "http://127.0.0.1:9/", "--duration", "0.5", "--warmup", "0")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A user's folder that holds a `services` package and a `lab.py`."""
    (tmp_path / "services").mkdir()
    (tmp_path / "services" / "__init__.py").touch()
    (tmp_path / "lab.py").touch()
    return tmp_path


def run(command: list[str], folder: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=folder, env={**os.environ, **environ}, capture_output=True, text=True, check=False
    )


def test_a_generator_runs_in_a_folder_that_shadows_the_lab(folder: Path) -> None:
    done = run(child_command("lab.cli", *LOAD), folder)
    assert "refused" in done.stdout
    assert "No module named" not in done.stderr


def test_a_child_is_immune_to_a_sitecustomize_that_puts_a_folder_first_on_the_path(folder: Path) -> None:
    (folder / "sitecustomize.py").write_text(f"import sys; sys.path.insert(0, {str(folder)!r}); import lab")
    done = run(child_command("lab.load.child"), folder, PYTHONPATH=str(folder))
    assert "JSONDecodeError" in done.stderr  # it has come as far as reading what it is told


def test_a_child_gets_path_and_environment_as_they_are(folder: Path) -> None:
    (folder / "shown.py").write_text("import sys, os; print(os.environ['PYTHONPATH'], sys.path[0], sys.argv)")
    done = run(child_command("shown", "a"), folder, PYTHONPATH=str(folder))
    assert done.stdout.split() == [str(folder), str(folder), f"['{folder}/shown.py',", "'a']"]


def test_a_script_beside_a_services_package_is_told_in_one_line_which_file_hides_the_lab(
    folder: Path,
) -> None:
    (folder / "lab.py").unlink()
    (folder / "script.py").write_text("import lab")
    done = run([sys.executable, "script.py"], folder, PYTHONPATH=str(Path(lab.__file__).parent.parent))
    hiding = folder / "services" / "__init__.py"
    assert done.stderr == (
        f"services is imported from {hiding}, which hides the lab's own: rename it or run from elsewhere\n"
    )
    assert done.returncode == 1


def test_services_imported_already_from_elsewhere_are_named(folder: Path) -> None:
    root = Path(lab.__file__).parent.parent
    code = f"import services, sys; sys.path[:0] = [{str(root)!r}]; import lab"
    (folder / "lab.py").unlink()
    done = run([sys.executable, "-c", code], folder)
    assert done.stderr.startswith(f"services is imported from {folder}")
    assert len(done.stderr.splitlines()) == 1


def test_the_lab_starts_its_own_programs_in_no_other_way() -> None:
    sources = Path(lab.__file__).parent.rglob("*.py")
    own = re.compile(r'"-m",\s*"(lab|services)')
    assert [path for path in sources if own.search(path.read_text(encoding="utf-8"))] == []
