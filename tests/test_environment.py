"""environment.yml gives conda users what pyproject.toml gives everyone else."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
ENVIRONMENT = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))


def test_conda_users_get_the_same_python_floor() -> None:
    assert f"python{PROJECT['requires-python']}" in ENVIRONMENT["dependencies"]


def test_conda_users_get_the_project_itself_with_every_extra_that_the_sessions_use() -> None:
    (pip,) = [entry["pip"] for entry in ENVIRONMENT["dependencies"] if isinstance(entry, dict)]
    (project,) = pip
    extras = re.fullmatch(r"-e \.\[(.*)\]", project)
    assert extras is not None
    assert set(extras[1].split(",")) == set(PROJECT["optional-dependencies"])
