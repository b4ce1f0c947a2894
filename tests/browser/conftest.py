"""One JupyterLab and one browser for all tests of what a person sees."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from tests.support.jupyter import JupyterServer

PICTURES = Path(__file__).parents[2] / "build" / "browser"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--all", action="store_true", help="run every notebook with its own parameters")


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JupyterServer]:
    pytest.importorskip("playwright", reason="needs playwright: nox -s browser installs it")
    pytest.importorskip("jupyterlab", reason="needs JupyterLab: pip install 'pipeline-lab[jupyter]'")
    from tests.support.jupyter import chromium, jupyter_server
    from tests.support.kernels import quiet_profile

    if chromium() is None:
        pytest.skip("needs chromium: apt-get install chromium")
    root = tmp_path_factory.mktemp("notebooks")
    with jupyter_server(root, quiet_profile(tmp_path_factory.mktemp("ipython"))) as server:
        yield server


@pytest.fixture(scope="session")
def pages(server: JupyterServer) -> Iterator[Page]:  # noqa: ARG001 (it says what is missing)
    from playwright.sync_api import sync_playwright

    from tests.support.jupyter import chromium

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        yield browser.new_page(viewport={"width": 1250, "height": 1000})
        browser.close()


@pytest.fixture
def page(pages: Page) -> Iterator[Page]:
    """The browser's page; a script that fails on it fails the test."""
    failed: list[str] = []

    def note(error: object) -> None:
        failed.append(str(error))

    pages.on("pageerror", note)
    yield pages
    pages.remove_listener("pageerror", note)
    assert failed == []


@pytest.fixture(scope="session")
def pictures() -> Path:
    """The folder for what a person looks at afterwards."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    return PICTURES
