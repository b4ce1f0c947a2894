"""What a parameters cell says now counts, whatever its kernel remembers of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from IPython.core.interactiveshell import InteractiveShell

from lab.errors import BadParameter
from lab.notebook.kernel import parameters_in
from lab.sweep import plan_sweep

CELL = """
# The sweep, and where it goes
preset = "quick"  # how much
name = None  # of the CSV
# What is measured
concurrency = [1, 3]  # requests in flight
work_ms = None  # for how long
policy = "peak_ewma"  # how balancers choose
"""


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch) -> Iterator[InteractiveShell]:
    """Give a shell of its own, as a kernel has, whose cells are run by their text."""
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)  # IPython warns of one that it does not run in
    InteractiveShell.clear_instance()
    yield InteractiveShell.instance()
    InteractiveShell.clear_instance()


def run(shell: InteractiveShell, source: str, cell_id: str | None = None) -> None:
    done = shell.run_cell(source, store_history=True, cell_id=cell_id)
    assert done.success


def said(shell: InteractiveShell) -> dict[str, object]:
    run(shell, "1 + 1")
    return parameters_in(shell.user_ns, plan_sweep)


def test_without_a_kernel_the_names_that_are_parameters_are_taken() -> None:
    names = {"preset": "quick", "trials": 2, "seed": None, "charts": object(), "__name__": "m"}
    assert parameters_in(names, plan_sweep) == {"preset": "quick", "trials": 2, "seed": None}


def test_in_a_kernel_the_cell_gives_its_names(shell: InteractiveShell) -> None:
    run(shell, CELL)
    assert said(shell) == {
        "preset": "quick",
        "name": None,
        "concurrency": [1, 3],
        "work_ms": None,
        "policy": "peak_ewma",
    }


@pytest.mark.parametrize("line", ["concurrency = [1, 3]  # requests in flight\n", 'policy = "peak_ewma"'])
@pytest.mark.parametrize("instead", ["# {}", ""])
def test_a_line_that_was_run_and_then_commented_out_or_removed_counts_no_more_and_is_said(
    shell: InteractiveShell, capsys: pytest.CaptureFixture[str], line: str, instead: str
) -> None:
    run(shell, CELL)
    run(shell, CELL.replace(line, instead.format(line)))
    name = line.split()[0]
    assert name not in said(shell)
    assert f"{name} is left out: the parameters cell set it to" in capsys.readouterr().err
    run(shell, CELL)
    assert name in said(shell)


def test_a_misspelt_name_is_refused_with_the_nearest(shell: InteractiveShell) -> None:
    run(shell, CELL.replace("concurrency", "concurency"))
    with pytest.raises(BadParameter, match=r"sets concurency, and .*: did you mean concurrency"):
        said(shell)
    run(shell, CELL)
    assert said(shell)["concurrency"] == [1, 3]


def test_a_misspelt_name_alone_in_the_cell_is_refused_too(shell: InteractiveShell) -> None:
    run(shell, "concurency = [1]")
    with pytest.raises(BadParameter, match="did you mean concurrency"):
        said(shell)


def test_an_unlike_name_in_the_cell_is_refused_and_names_of_other_cells_are_not(
    shell: InteractiveShell,
) -> None:
    run(shell, "colour = 'blue'\nrows = 3")
    run(shell, CELL)
    assert "colour" not in said(shell)
    run(shell, CELL + "colour = 'red'\n")
    with pytest.raises(BadParameter, match=r"sets colour, .*: there are preset, name, .*in another cell"):
        said(shell)


def test_a_cell_of_ones_own_may_set_a_parameter_beside_the_parameters_cell(shell: InteractiveShell) -> None:
    run(shell, CELL)
    run(shell, "concurrency = [8]")
    assert said(shell)["concurrency"] == [8]
    assert said(shell)["policy"] == "peak_ewma"


def test_the_cell_that_papermill_adds_takes_nothing_from_the_parameters_cell(shell: InteractiveShell) -> None:
    run(shell, "trials = 1  # how often\nseed = 2  # of all")
    run(shell, "# Parameters\ntrials = 3\n")
    assert said(shell) == {"trials": 3, "seed": 2}


def test_a_cell_that_is_rewritten_altogether_is_known_by_its_id(shell: InteractiveShell) -> None:
    run(shell, "1", "other")
    said(shell)  # from now on ids are remembered
    run(shell, CELL, "parameters")
    run(shell, "trials = 2", "parameters")
    assert said(shell) == {"trials": 2}
    run(shell, "trials = 3\npolicy = 'random'", "beside")
    run(shell, "seed = 4", "parameters")
    assert said(shell) == {"trials": 3, "policy": "random", "seed": 4}


def test_a_cell_with_an_error_leaves_what_was_said_before(shell: InteractiveShell) -> None:
    run(shell, CELL)
    assert not shell.run_cell("concurrency = [1,", store_history=True, silent=False).success
    assert said(shell)["concurrency"] == [1, 3]
