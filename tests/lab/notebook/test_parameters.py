"""What is typed is checked against the notebook before any of its cells runs."""

from __future__ import annotations

import nbformat
import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_notebook

from lab.errors import BadParameter
from lab.notebook import parameters_of, read_parameters
from lab.notebook.parameters import CHECK

SOURCE = """
trials = 3  # how often
rate = 2.5
name = "mine"
verbose = False
concurrency = [1, 3]  # in flight
work_ms = None
slo = "p95=200ms, errors=0"  # goal = what has to hold
faults = [  # one after the other
    "at 3 kill service1b for 4",  # first
    "at 9 restart #2",
]  # when = what
"""


def notebook(source: str = SOURCE, **metadata: str) -> NotebookNode:
    cell = new_code_cell(source, metadata={"tags": ["parameters"]})
    return new_notebook(cells=[new_code_cell("raise SystemExit"), cell], metadata=metadata)


def refuse(**values: object) -> None:
    """Refuse every value, as the check of a notebook may."""
    raise BadParameter(f"not {values['trials']}")


@pytest.mark.parametrize(
    ("name", "typed", "value"),
    [
        ("trials", "5", 5),
        ("rate", "4", 4),
        ("name", "2026", "2026"),
        ("name", "true", "true"),
        ("verbose", "true", True),
        ("concurrency", "8", 8),
        ("concurrency", "[1, 2,4]", [1, 2, 4]),
        ("work_ms", "20", 20),
        ("work_ms", "0,0,40,0", "0,0,40,0"),
        ("work_ms", "[20, 40]", [20, 40]),
    ],
)
def test_a_value_is_read_as_a_person_types_it(name: str, typed: str, value: object) -> None:
    assert read_parameters(notebook(), [(name, typed)]) == {name: value}


@pytest.mark.parametrize(
    ("name", "typed"),
    [
        ("trials", "many"),
        ("trials", "2.5"),
        ("trials", "true"),
        ("rate", "[1, 2]"),
        ("verbose", "1"),
        ("concurrency", "[1, two]"),
        ("concurrency", "[1, 2"),
    ],
)
def test_a_value_of_another_kind_is_refused_by_name(name: str, typed: str) -> None:
    with pytest.raises(BadParameter, match=f"(?m)^{name} cannot be .*\\Z"):
        read_parameters(notebook(), [(name, typed)])


def test_defaults_and_comments_are_read_whatever_signs_they_hold() -> None:
    known = parameters_of(notebook())
    assert (known["slo"].default, known["slo"].comment) == ("p95=200ms, errors=0", "goal = what has to hold")
    assert known["faults"].default == ["at 3 kill service1b for 4", "at 9 restart #2"]
    assert known["faults"].comment == "when = what"


def test_an_unknown_parameter_is_refused_with_the_valid_ones_and_their_comments() -> None:
    with pytest.raises(BadParameter) as refused:
        read_parameters(notebook(), [("trails", "3")])
    assert "no parameter 'trails': did you mean trials?" in str(refused.value)
    assert "trials = 3  # how often" in str(refused.value)
    assert "work_ms = None" in str(refused.value)


def test_a_notebook_without_a_parameters_cell_takes_none() -> None:
    bare = new_notebook(cells=[new_code_cell("trials = 3")])
    assert parameters_of(bare) == {}
    with pytest.raises(BadParameter, match="The notebook takes no parameters"):
        read_parameters(bare, [("trials", "3")])


def test_the_notebooks_own_check_sees_what_was_typed_beside_the_defaults() -> None:
    with pytest.raises(BadParameter, match=r"(?m)^not 7\Z"):
        read_parameters(notebook(**{CHECK: f"{__name__}:refuse"}), [("trials", "7")])


def test_reading_parameters_leaves_the_notebook_as_it_is() -> None:
    before = notebook()
    kept = nbformat.from_dict(before)
    read_parameters(before, [("trials", "5")])
    assert before == kept
