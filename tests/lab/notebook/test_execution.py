"""A notebook run without JupyterLab keeps its outcome, and the exit code tells every way to fail."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from lab.notebook.__main__ import main
from tests.support.command_line import wait_until

KERNEL = {"name": "python3", "display_name": "Python 3", "language": "python"}


@pytest.fixture
def write(tmp_path: Path):
    def written(*cells: str) -> Path:
        parameters = new_code_cell("times = 1  # how often", metadata={"tags": ["parameters"]})
        notebook = new_notebook(
            cells=[new_markdown_cell("# Why?"), parameters, *map(new_code_cell, cells)],
            metadata={"kernelspec": KERNEL},
        )
        path = tmp_path / "asked.ipynb"
        nbformat.write(notebook, path)
        return path

    return written


def run(notebook: Path, *arguments: str) -> int:
    return main([str(notebook), "--build", str(notebook.parent / "build"), *arguments])


def outputs(notebook: Path) -> str:
    executed = json.loads((notebook.parent / "build" / notebook.name).read_text())
    return json.dumps([cell.get("outputs") for cell in executed["cells"]])


def test_what_was_typed_reaches_the_cells_and_the_page_stands_alone(write, capfd) -> None:
    notebook = write("print('ran', times, 'times')")
    before = notebook.read_bytes()
    assert run(notebook, "-p", "times", "3") == 0
    assert "ran 3 times" in capfd.readouterr().out
    page = (notebook.parent / "build" / "asked.html").read_text()
    assert "ran 3 times" in page
    assert 'src="http' not in page
    assert notebook.read_bytes() == before


def test_the_answer_and_where_it_lies_are_said_at_the_end(write, capfd) -> None:
    notebook = write("print('so far')", "'The answer.'")
    assert run(notebook) == 0
    *_, answer, _, wrote = capfd.readouterr().out.splitlines()
    assert "The answer." in answer
    assert "build/asked.ipynb" in wrote


def test_a_sweep_that_has_a_name_does_not_overwrite_the_page_of_another(write) -> None:
    notebook = write("name")
    source = nbformat.read(notebook, 4)
    source.cells[1].source += "\nname = None  # of the sweep"
    nbformat.write(source, notebook)
    assert run(notebook, "-p", "name", "mine") == 0
    assert sorted(path.name for path in (notebook.parent / "build").iterdir()) == [
        "asked-mine.html",
        "asked-mine.ipynb",
    ]


def test_ctrl_c_exits_with_the_code_of_shells_and_without_a_traceback(write) -> None:
    notebook = write("print('so far', flush=True)\nimport time\ntime.sleep(60)")
    command = [sys.executable, "-m", "lab.notebook", notebook, "--build", notebook.parent / "build"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "so far\n"
        running.send_signal(signal.SIGINT)
        _, said = running.communicate()
    assert running.returncode == 130
    assert "interrupted" in said
    assert "Traceback" not in said


def test_ctrl_c_while_it_imports_is_as_quiet(write, tmp_path: Path) -> None:
    # papermill, as it finds it, waits to be interrupted.
    waiting = "import pathlib, time\npathlib.Path('begun').touch()\ntime.sleep(60)\n"
    (tmp_path / "papermill.py").write_text(waiting)
    environ = {**os.environ, "PYTHONPATH": str(tmp_path)}
    command = [sys.executable, "-m", "lab.notebook", write("print('never')")]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=tmp_path, env=environ, stdout=pipe, stderr=pipe, text=True) as running:
        wait_until((tmp_path / "begun").exists)
        running.send_signal(signal.SIGINT)
        said = running.communicate()
    assert running.returncode == 130
    assert "Traceback" not in said[0] + said[1]


def test_only_the_last_state_of_a_line_that_is_written_over_is_kept(write, capfd) -> None:
    notebook = write("for step in range(3):\n    print(f'\\rstep {step}', end='', flush=True)")
    assert run(notebook) == 0
    assert "step 1" in capfd.readouterr().out
    assert "step 2" in outputs(notebook)
    assert "step 1" not in outputs(notebook)


@pytest.mark.parametrize("hiding", ["services/__init__.py", "lab.py"])
def test_a_file_of_the_users_that_hides_the_lab_from_the_kernel_is_named_in_one_line(
    write, tmp_path: Path, hiding: str
) -> None:
    notebook, file = write("from lab import charts"), tmp_path / "folder" / hiding
    file.parent.mkdir(parents=True)
    file.touch()
    command = [sys.executable, "-P", "-m", "lab.notebook", notebook, "--build", tmp_path / "build"]
    done = subprocess.run(command, cwd=tmp_path / "folder", capture_output=True, text=True, check=False)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert str(file) in line


def test_a_failing_cell_exits_non_zero_and_names_the_executed_notebook(write, capfd) -> None:
    notebook = write("print('so far')", "1 / 0", "print('never')")
    assert run(notebook) == 1
    said = capfd.readouterr().err
    assert "ZeroDivisionError" in said
    assert "build/asked.ipynb" in said
    assert "so far" in outputs(notebook)
    assert "ZeroDivisionError" in (notebook.parent / "build" / "asked.html").read_text()


def test_an_error_of_the_lab_shows_its_message_and_not_the_way_it_came(write, capfd) -> None:
    notebook = write("from lab.sweep import plan_sweep\nplan_sweep(trials=0)")
    assert run(notebook) == 1
    assert '"traceback": ["BadParameter: trials cannot be 0: it takes a whole number' in outputs(notebook)
    assert "BadParameter: trials cannot be 0" in capfd.readouterr().err


def test_a_cell_that_takes_too_long_exits_non_zero_and_names_the_executed_notebook(write, capfd) -> None:
    notebook = write("print('so far')", "import time\ntime.sleep(60)")
    assert run(notebook, "--timeout", "5") == 1  # every cell has that long, the first ones too
    said = capfd.readouterr().err
    assert "longer than 5 s" in said
    assert "build/asked.ipynb" in said
    assert "so far" in outputs(notebook)


def test_a_dead_kernel_exits_non_zero_and_names_the_executed_notebook(write, capfd) -> None:
    notebook = write("print('so far')", "import os\nos._exit(1)")
    assert run(notebook) == 1
    said = capfd.readouterr().err
    assert "the kernel died" in said
    assert "build/asked.ipynb" in said
    assert "so far" in outputs(notebook)


@pytest.mark.parametrize("typed", [("strange", "1"), ("times", "often")])
def test_a_wrong_parameter_exits_before_anything_is_written(write, capfd, typed: tuple[str, str]) -> None:
    notebook = write("raise SystemExit")
    assert run(notebook, "-p", *typed) == 2
    assert "times = 1  # how often" in capfd.readouterr().err
    assert not (notebook.parent / "build").exists()


def test_a_notebook_that_is_not_there_is_named(tmp_path: Path, capfd) -> None:
    assert main([str(tmp_path / "none.ipynb")]) == 2
    assert "none.ipynb" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is no notebook"),
        (b"[]", "is no notebook"),
        (b"{}", "is no notebook"),
        (b"\xff\xfe", "no text in UTF-8"),
        (b'{"cells": [\n<<<<<<< HEAD\n=======\n>>>>>>> theirs\n]}', "has conflicts that git left"),
    ],
)
def test_what_is_no_notebook_is_named_in_one_line(tmp_path: Path, capfd, content: bytes, said: str) -> None:
    path = tmp_path / "asked.ipynb"
    path.write_bytes(content)
    assert main([str(path), "--build", str(tmp_path / "build")]) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert str(path) in line
    assert said in line
    assert not (tmp_path / "build").exists()


def test_a_directory_in_place_of_a_notebook_and_a_file_in_place_of_a_folder_are_named(
    write, tmp_path: Path, capfd
) -> None:
    assert main([str(tmp_path)]) == 2
    assert f"{tmp_path} cannot be read (Is a directory)" in capfd.readouterr().err
    (tmp_path / "file").touch()
    for build in (tmp_path / "file", tmp_path / "file" / "in"):
        assert main([str(write("1")), "--build", str(build)]) == 2
        (line,) = capfd.readouterr().err.splitlines()
        assert f"--build {build} cannot be written" in line


@pytest.mark.parametrize(
    ("source", "said"), [("times = (", "is no Python"), ("times = list(range(3))", "times is list(range(3))")]
)
def test_a_parameters_cell_that_cannot_be_read_is_said_in_one_line(
    write, capfd, source: str, said: str
) -> None:
    notebook = write("1")
    changed = nbformat.read(notebook, 4)
    changed.cells[1].source = source
    nbformat.write(changed, notebook)
    assert run(notebook) == 2
    assert said in capfd.readouterr().err.splitlines()[-1]


def test_a_terminal_that_lacks_a_letter_shows_it_in_its_own_and_nothing_fails(write) -> None:
    command = [sys.executable, "-m", "lab.notebook", write("'4 × 5 – done'"), "-p", "times", "ü"]
    environ = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith(
        "times cannot be 'ü'".encode("ascii", "backslashreplace").decode()
    )


def test_errors_advise_in_the_words_of_a_notebook_where_they_are_read_in_one(write) -> None:
    notebook = write(
        "import socket\nimport lab\nfrom lab.placement.ports import listen",
        "taken = socket.create_server(('127.0.0.1', 0))",
        "listen('service1', '127.0.0.1', taken.getsockname()[1])",
    )
    assert run(notebook) == 1
    assert "port_offset = " in outputs(notebook)
    assert "--offset" not in outputs(notebook)
