"""A real JupyterLab with a real browser before it, for tests of what a person sees."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
from playwright.sync_api import Page, expect

from tests.support.waiting import wait_until

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
TOKEN = "of-the-tests"
START_S = 60.0
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")


def chromium() -> str | None:
    """The path of the browser; None where there is none."""
    return next(filter(None, map(shutil.which, CHROMIUM)), None)


@dataclass(frozen=True)
class JupyterServer:
    """A JupyterLab server whose root is a folder of the test's own."""

    url: str
    root: Path

    def add(self, name: str, **parameters: object) -> str:
        """Copy a notebook with these lines behind its parameters; return its name."""
        notebook = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)
        cell = next(cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", []))
        cell.source += "".join(f"\n{key} = {value!r}" for key, value in parameters.items())
        nbformat.write(notebook, self.root / f"{name}.ipynb")
        return f"{name}.ipynb"

    def saved(self, name: str) -> Any:
        """Return the notebook as it is on the disk."""
        return json.loads((self.root / name).read_text(encoding="utf-8"))

    def ask(self, path: str, method: str = "GET") -> Any:
        """Ask the server's own interface."""
        request = urllib.request.Request(f"{self.url}{path}", method=method)
        request.add_header("Authorization", f"token {TOKEN}")
        with urllib.request.urlopen(request, timeout=START_S) as answer:
            text = answer.read()
        return json.loads(text) if text else None


@contextmanager
def jupyter_server(root: Path, environment: Mapping[str, str]) -> Iterator[JupyterServer]:
    """Run JupyterLab on a free port, and end it with all its kernels."""
    runtime = root / ".jupyter"
    options = [
        "--no-browser",
        "--allow-root",
        "--ServerApp.port=0",
        "--ServerApp.ip=127.0.0.1",
        f"--IdentityProvider.token={TOKEN}",
        f"--ServerApp.root_dir={root}",
        "--LabApp.expose_app_in_browser=True",
    ]
    environment = {
        **os.environ,
        "JUPYTER_RUNTIME_DIR": str(runtime),
        "JUPYTER_CONFIG_DIR": str(runtime / "config"),
        "JUPYTERLAB_SETTINGS_DIR": str(runtime / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(runtime / "workspaces"),
        **environment,
    }
    settings = runtime / "settings" / "@jupyterlab" / "apputils-extension"
    settings.mkdir(parents=True)
    (settings / "notification.jupyterlab-settings").write_text(
        '{"fetchNews": "false", "checkForUpdates": false}'
    )
    with (runtime / "log").open("wb") as log:
        command = [sys.executable, "-m", "jupyterlab", *options]
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)
    try:
        wait_until(lambda: list(runtime.glob("jpserver-*.json")))
        (told,) = runtime.glob("jpserver-*.json")
        yield JupyterServer(json.loads(told.read_text())["url"], root)
    finally:
        process.terminate()
        try:
            process.wait(timeout=START_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class Notebook:
    """A notebook in the browser, driven by JupyterLab's own commands."""

    def __init__(self, page: Page, server: JupyterServer, name: str) -> None:
        self.page, self.server, self.name = page, server, name
        page.goto(f"{server.url}lab/tree/{name}?token={TOKEN}&reset")
        page.wait_for_function("() => window.jupyterapp?.shell.currentWidget?.context?.isReady")
        self.wait_idle()

    def command(self, name: str, **arguments: Any) -> None:
        """Execute a command of JupyterLab, and do not wait for what it starts."""
        self.page.evaluate(
            "([name, given]) => { window.jupyterapp.commands.execute(name, given); }", [name, arguments]
        )

    def run_all(self) -> None:
        """Run all cells."""
        self.command("notebook:run-all-cells")

    def run_cell(self, text: str) -> None:
        """Run the first cell that has this text in it."""
        self.page.evaluate(
            """(text) => {
              const { content } = window.jupyterapp.shell.currentWidget;
              content.activeCellIndex = content.widgets.findIndex(
                (cell) => cell.model.sharedModel.source.includes(text));
              window.jupyterapp.commands.execute('notebook:run-cell');
            }""",
            text,
        )

    def reopened(self) -> Notebook:
        """Open the notebook again, as it was saved."""
        return Notebook(self.page, self.server, self.name)

    def save(self) -> Any:
        """Save, and return what is then on the disk."""
        self.page.evaluate("() => window.jupyterapp.shell.currentWidget.context.save()")
        return self.server.saved(self.name)

    def wait_idle(self, timeout_s: float = 60.0) -> None:
        """Wait until no cell runs, and the kernel is idle."""
        self.page.wait_for_function(
            """() => {
              const kernel = window.jupyterapp.shell.currentWidget.sessionContext.session?.kernel;
              const prompts = [...document.querySelectorAll('.jp-InputPrompt')];
              return kernel?.status === 'idle' && !prompts.some((each) => each.textContent.includes('*'));
            }""",
            timeout=timeout_s * 1000,
        )

    def theme(self, *, dark: bool) -> None:
        """Change to a theme of JupyterLab."""
        name = "JupyterLab Dark" if dark else "JupyterLab Light"
        self.command("apputils:change-theme", theme=name)
        light = "false" if dark else "true"
        expect(self.page.locator(f"body[data-jp-theme-light='{light}']")).to_be_attached()
