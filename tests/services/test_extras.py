"""An extra is added to the environment of the interpreter that lacks it, by what is there to add it with."""

from __future__ import annotations

import shlex
import shutil
import sys
from importlib.util import find_spec

import pytest

from services import extras


def test_pip_of_this_interpreter_adds_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "find_spec", lambda _: find_spec("os"))
    assert shlex.split(extras.install_command("grpc")) == [
        *(sys.executable, "-m", "pip"),
        *("install", "pipeline-lab[grpc]"),
    ]


@pytest.mark.parametrize("uv", ["/usr/bin/uv", None])
def test_where_there_is_no_pip_uv_does_it_if_it_is_there(
    monkeypatch: pytest.MonkeyPatch, uv: str | None
) -> None:
    monkeypatch.setattr(extras, "find_spec", lambda _: None)
    monkeypatch.setattr(shutil, "which", lambda _: uv)
    typed = shlex.split(extras.install_command("balancers"))
    assert typed[0] == ("uv" if uv else sys.executable)
    assert typed[-1] == "pipeline-lab[balancers]"
    assert sys.executable in typed
