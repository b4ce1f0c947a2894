"""What a headless run needs beyond the default is known before it begins."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest

from lab.errors import ProgramMissing
from lab.imports import Extra
from lab.notebook import needs
from services import clients

SWEEP = str(Path(__file__).parents[3] / "notebooks" / "02_sweep.ipynb")


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment without any extra."""

    def missing(name: str) -> object:
        if name.partition(".")[0] in {"aiohttp", "httpx_aiohttp"}:
            raise ModuleNotFoundError(name=name)
        return import_module(name)

    def no_program(program: object) -> Path:
        raise ProgramMissing(str(program))

    monkeypatch.setattr("lab.placement.proxies.proxy.find", no_program)
    monkeypatch.setattr(clients, "import_module", missing)
    monkeypatch.setattr(needs, "find_spec", lambda _: None)


@pytest.mark.usefixtures("bare")
@pytest.mark.parametrize(
    ("typed", "needed"),
    [
        ([], []),
        (["-p", "balancer", "builtin", "-p", "client", "httpx"], []),
        (["-p", "name", "nginx"], []),
        (["-p", "balancer", "nginx"], ["balancers"]),
        (["-p", "balancer", "[builtin, haproxy]", "-p", "client", "aiohttp"], ["balancers", "clients"]),
        (["-p", "protocol", "[http, grpc]"], ["grpc"]),
        (["-p", "protocol", "rest"], []),
        (["-p", "concurrency", "many"], []),
        (["--strange"], []),
    ],
)
def test_the_default_needs_nothing_and_each_choice_its_own_extra(
    typed: list[str], needed: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert needs.main([SWEEP, *typed]) == 0
    assert capsys.readouterr().out.split() == needed


def test_where_everything_is_installed_nothing_is_needed() -> None:
    assert needs.extras_of({"protocol": "grpc", "client": ["aiohttp", "wire"]}) == set()
    assert needs.extras_of({"balancers": ["builtin"], "protocol": None}) <= set(Extra)
