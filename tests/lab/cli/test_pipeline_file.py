"""`lab init` and `lab show`."""

from __future__ import annotations

import json
from pathlib import Path

from tests.support.command_line import CommandLine


def test_init_writes_an_example_that_show_draws(lab: CommandLine, tmp_path: Path) -> None:
    file, picture = tmp_path / "shop.yml", tmp_path / "shop.svg"
    assert lab("init", file).returncode == 0
    assert json.loads((tmp_path / "shop.schema.json").read_text())["properties"]["services"]
    shown = lab("show", file, "--svg", picture)
    assert shown.returncode == 0
    assert shown.stdout.startswith("shop: POST http://127.0.0.1:8201/checkout\n")
    assert picture.read_text().startswith("<svg")


def test_init_overwrites_nothing(lab: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "shop.yml"
    file.write_text("mine")
    refused = lab("init", file)
    assert (refused.returncode, file.read_text()) == (2, "mine")
    assert refused.stderr == f"lab: {file} exists already: give another name, or remove it first\n"


def test_show_says_what_is_wrong_with_a_file_and_where(lab: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "shop.yml"
    file.write_text("name: shop\nentry: {service: a}\nservices:\n  a: {comand: x}\n")
    refused = lab("show", file)
    assert refused.returncode == 2
    assert refused.stderr == f"lab: {file}:4: services.a.comand: no such key: did you mean command?\n"
    assert "cannot be written" in lab("init", tmp_path / "no" / "shop.yml").stderr
    assert "end it in .yml" in lab("init", tmp_path / "shop.txt").stderr
