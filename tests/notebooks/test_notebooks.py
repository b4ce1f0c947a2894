"""The notebooks as they are committed: calls and words, a question first, an answer last, nothing run yet."""

from __future__ import annotations

import ast
import re
from inspect import signature
from pathlib import Path

import pytest
from nbformat import NotebookNode, validate

from lab.errors import BadParameter, ResultsError
from lab.notebook import parameters_of, read_notebook, read_parameters
from lab.sweep import plan_sweep
from lab.sweep.levels import factor_names, read_levels

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))
LOGIC = (ast.For, ast.While, ast.If, ast.FunctionDef, ast.ClassDef, ast.Try, ast.comprehension)


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def notebook(request: pytest.FixtureRequest) -> NotebookNode:
    return read_notebook(request.param)


def test_it_is_committed_without_outputs_and_for_the_kernel_that_every_environment_has(
    notebook: NotebookNode,
) -> None:
    validate(notebook)
    assert notebook.metadata.kernelspec.name == "python3"
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert (cell.outputs, cell.execution_count) == ([], None)


def test_it_begins_with_a_question_and_ends_with_a_computed_answer(notebook: NotebookNode) -> None:
    first, *_, last, _ = notebook.cells
    assert first.cell_type == "markdown"
    assert first.source.splitlines()[0].startswith("# ")
    assert first.source.splitlines()[0].endswith("?")
    assert last.cell_type == "code"
    words = [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]
    assert words[-2].startswith("## The answer")


def test_behind_the_answer_stands_what_to_do_next(notebook: NotebookNode) -> None:
    last = notebook.cells[-1].source
    assert last.startswith("## Next\n")
    named = set(re.findall(r"\d\d_\w+\.ipynb", last))
    assert named
    assert named <= {path.name for path in NOTEBOOKS}


def test_it_has_one_cell_of_parameters_each_with_a_comment(notebook: NotebookNode) -> None:
    assert sum("parameters" in cell.metadata.get("tags", []) for cell in notebook.cells) == 1
    parameters = parameters_of(notebook)
    assert parameters
    assert [name for name, parameter in parameters.items() if not parameter.comment] == []


def test_its_defaults_pass_its_own_check(notebook: NotebookNode) -> None:
    try:
        assert read_parameters(notebook, []) == {}
    except ResultsError as error:  # a fresh clone has one result, and a comparison takes two
        assert "run a sweep first" in str(error)  # noqa: PT017
        assert {"a", "b"} <= set(parameters_of(notebook))


def test_it_holds_calls_and_no_logic(notebook: NotebookNode) -> None:
    for cell in notebook.cells:
        if cell.cell_type == "code":
            used = [
                type(node).__name__ for node in ast.walk(ast.parse(cell.source)) if isinstance(node, LOGIC)
            ]
            assert used == [], cell.source


def test_every_factor_is_a_parameter_of_the_sweep() -> None:
    (sweep,) = [path for path in NOTEBOOKS if path.stem == "02_sweep"]
    assert set(factor_names()) <= set(parameters_of(read_notebook(sweep)))


def test_every_argument_of_plan_sweep_is_a_parameter_of_the_sweep() -> None:
    (sweep,) = [path for path in NOTEBOOKS if path.stem == "02_sweep"]
    assert set(signature(plan_sweep).parameters) - {"unknown_ones"} <= set(
        parameters_of(read_notebook(sweep))
    )


@pytest.mark.parametrize(
    "factor", ["topology", "balancer", "protocol", "placement", "client", "work", "load_model"]
)
def test_the_comment_on_a_factor_names_all_that_it_can_be(factor: str) -> None:
    (sweep,) = [path for path in NOTEBOOKS if path.stem == "02_sweep"]
    comment = parameters_of(read_notebook(sweep))[factor].comment
    with pytest.raises(BadParameter) as refused:
        read_levels(factor, "anything else")
    takes = str(refused.value).rpartition("it takes ")[2].split(" or ")
    assert len(takes) > 1
    assert [name for name in takes if name not in comment] == []
