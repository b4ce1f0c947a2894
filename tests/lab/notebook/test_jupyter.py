"""JupyterLab is opened where it can be; elsewhere a line says what to do."""

from __future__ import annotations

import pytest

from lab.notebook import jupyter


def said(typed: list[str], environ: dict[str, str] | None = None, **where: bool) -> str:
    return "\n".join(jupyter.remarks(typed, environ or {}, **{"browser": True, "container": False} | where))


def test_as_root_the_command_that_does_it_is_named_with_what_was_typed() -> None:
    assert jupyter.refusal(["--port", "9000"], user=0).endswith("nox -s lab -- --port 9000 --allow-root")
    assert not jupyter.refusal(["--allow-root"], user=0)
    assert not jupyter.refusal([], user=1000)


def test_root_is_refused_before_anything_starts(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert jupyter.main([]) == 2
    assert "nox -s lab -- --allow-root" in capsys.readouterr().err


@pytest.mark.parametrize("typed", [[], ["--allow-root", "--no-browser"], ["--port", "9000"]])
def test_options_keep_the_notebook_to_open(typed: list[str]) -> None:
    assert jupyter.command(typed, browser=True) == [*typed, jupyter.FIRST]


def test_another_notebook_takes_the_place_of_the_first() -> None:
    assert jupyter.command(["notebooks/05_faults.ipynb"], browser=True) == ["notebooks/05_faults.ipynb"]


def test_without_a_browser_none_is_waited_for_and_the_url_is_to_be_opened_elsewhere() -> None:
    assert jupyter.command([], browser=False) == ["--no-browser", jupyter.FIRST]
    assert "open the URL below" in said([], browser=False)
    assert said([]) == ""


def test_over_ssh_and_in_a_container_the_way_to_its_port_is_named() -> None:
    assert "ssh -L 8888:127.0.0.1:8888" in said([], {"SSH_CONNECTION": "1 2 3 4"}, browser=False)
    assert "nox -s lab -- --allow-root --ip 0.0.0.0" in said(["--allow-root"], container=True, browser=False)
    assert "publish" not in said(["--ip", "0.0.0.0"], container=True, browser=False)
