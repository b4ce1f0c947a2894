"""What stands in several of the project's files says the same in each."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent
PROJECT_FILE = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = PROJECT_FILE["project"]
ENVIRONMENT = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))


def test_conda_users_get_the_same_python_floor() -> None:
    assert f"python{PROJECT['requires-python']}" in ENVIRONMENT["dependencies"]


def test_conda_users_get_the_project_itself_with_every_extra_that_the_sessions_use() -> None:
    (pip,) = [entry["pip"] for entry in ENVIRONMENT["dependencies"] if isinstance(entry, dict)]
    (project,) = pip
    extras = re.fullmatch(r"-e \.\[(.*)\]", project)
    assert extras is not None
    assert set(extras[1].split(",")) == set(PROJECT["optional-dependencies"])


def test_a_commit_is_checked_by_what_the_lint_session_runs() -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"][0][
        "hooks"
    ]
    module = ast.parse((ROOT / "noxfile.py").read_text(encoding="utf-8"))
    (lint,) = [node for node in module.body if isinstance(node, ast.FunctionDef) and node.name == "lint"]
    calls = [node for node in ast.walk(lint) if isinstance(node, ast.Call)]
    runs = [
        ast.literal_eval(ast.Tuple(call.args, ast.Load()))
        for call in calls
        if ast.unparse(call.func) == "session.run"
    ]
    assert [tuple(hook["entry"].split()) for hook in hooks] == runs
    assert all(hook["language"] == "system" and not hook["pass_filenames"] for hook in hooks)


@pytest.mark.parametrize("package", PROJECT_FILE["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"])
def test_type_checkers_may_rely_on_the_types_of_each_package_that_is_shipped(package: str) -> None:
    assert (ROOT / package / "py.typed").is_file()


def test_what_has_to_pass_before_a_change_lands_calls_the_readmes_test_command() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (command,) = re.findall(
        r"^python3 -m pip install nox && (python3 -m nox -s tests)\b", readme, re.MULTILINE
    )
    assert command in (ROOT / ".ci" / "run").read_text(encoding="utf-8")
