"""The notebooks in a real JupyterLab: what a person sees, presses and keeps (`nox -s browser`)."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from lab.placement.ports import reserved_offset
from lab.topology import Topology
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from tests.support.jupyter import JupyterServer, Notebook

pytestmark = pytest.mark.timeout(1800)

WIDGET = "application/vnd.jupyter.widget-view+json"
SMALL: dict[str, dict[str, Any]] = {
    "01_quickstart": {"trials": 1, "work_ms": "10", "concurrency": [1, 3]},
    "02_sweep": {"preset": "quick", "work_ms": 10, "concurrency": [1, 2], "duration_s": 0.5, "trials": 1},
    "03_your_service": {"duration_s": 0.5, "trials": 1},
    "04_policies": {
        "policies": ["round_robin"],
        "work_ms": 5.0,
        "duration_s": 1.0,
        "simulated_requests": 10000,
    },
    "05_faults": {"faults": ["at 1 kill service1b for 0.5"]},
    "06_balancers": {
        "balancers": ["builtin"],
        "concurrency": [1],
        "trials": 1,
        "fault": "at 1 kill service2a for 0.5",
    },
    "07_clients": {
        "documented": ["httpx"],
        "compared": ["wire"],
        "concurrency": [1],
        "flat_out": 2,
        "trials": 1,
    },
    "08_protocols": {
        "clients": ["aiohttp"],
        "payload_bytes": [100],
        "concurrency": 1,
        "duration_s": 0.5,
        "trials": 1,
    },
    "10_cores": {"work_ms": ["2"], "concurrency": 2, "trials": 1, "duration_s": 0.5, "warmup_s": 0.1},
}
BEGUN_S = time.monotonic()
ENOUGH_S = 200
"""Seconds after which no further notebook begins, so that all is over within four minutes."""
NO_FOLDER = ("04_policies", "05_faults")


def opened(page: Page, server: JupyterServer, name: str, **parameters: Any) -> Notebook:
    from tests.support.jupyter import Notebook

    return Notebook(page, server, server.add(name, **parameters))


@pytest.fixture
def offset() -> Iterator[int]:
    with reserved_offset(Topology.parallel()) as offset:
        yield offset


def outputs(saved: Any) -> list[Any]:
    return [output for cell in saved["cells"] for output in cell.get("outputs", [])]


def errors(saved: Any) -> list[str]:
    return [output["evalue"] for output in outputs(saved) if output["output_type"] == "error"]


def printed(saved: Any) -> str:
    return "".join("".join(each["text"]) for each in outputs(saved) if each["output_type"] == "stream")


def contrast(page: Page, selector: str, background: str) -> float:
    """Return the least contrast of these elements against the panel's background (WCAG 2.2, 1.4.3)."""
    return float(
        page.evaluate(
            """([selector, background]) => {
              const parse = (text) => text.match(/[\\d.]+/g).slice(0, 3).map(Number);
              const light = (text) => parse(text).map((v) => v / 255)
                .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
                .reduce((sum, v, at) => sum + v * [0.2126, 0.7152, 0.0722][at], 0);
              const under = light(getComputedStyle(document.querySelector(background)).backgroundColor);
              const ratios = [...document.querySelectorAll(selector)].map((node) => {
                const style = getComputedStyle(node);
                const ink = light(node instanceof SVGElement
                  ? (style.fill === 'none' ? style.stroke : style.fill) : style.color);
                return (Math.max(ink, under) + 0.05) / (Math.min(ink, under) + 0.05);
              });
              return Math.min(...ratios);
            }""",
            [selector, background],
        )
    )


def test_the_quickstart_is_live_stops_and_keeps_and_goes_on(
    page: Page, server: JupyterServer, tmp_path: Path, pictures: Path, offset: int
) -> None:
    notebook = opened(
        page, server, "01_quickstart", work_ms="10", trials=2, port_offset=offset, folder=str(tmp_path)
    )
    notebook.run_all()
    panel = page.locator(".lab-live").first
    panel.wait_for()
    page.wait_for_function("() => document.querySelectorAll('.lab-live .judged').length >= 2")
    page.wait_for_function(
        "() => document.querySelectorAll('.lab-live .drawn .mark, .lab-live .drawn .hollow').length >= 4",
        timeout=120_000,
    )
    assert "so far:" in str(panel.locator("svg[role=img]").get_attribute("aria-label"))
    page.wait_for_function("() => /[0-9] req/.test(document.querySelector('.lab-live dd').textContent)")
    for dark in (False, True):
        notebook.theme(dark=dark)
        panel.screenshot(path=pictures / f"live-{'dark' if dark else 'light'}.png")
        assert contrast(page, ".lab-live p, .lab-live h4, .lab-live dd, .lab-live text", ".lab-live") >= 4.5
        assert contrast(page, ".lab-live .mark, .lab-live .path, .lab-live .limit", ".lab-live") >= 3
    panel.get_by_role("button", name="Stop and keep").click()
    notebook.wait_idle(120)
    saved = notebook.save()
    assert errors(saved) == []
    assert "run the cell again to go on" in printed(saved)
    assert not any(WIDGET in output.get("data", {}) for output in outputs(saved))
    notebook.run_cell("run_sweep(plan)")
    notebook.wait_idle(240)
    assert printed(notebook.save()).count("trials into") == 1, "the output of the first run is replaced"
    assert "12 trials, " in printed(notebook.save()) or "invalid" in printed(notebook.save())


def test_sliders_answer_at_once_and_are_kept_as_a_picture(
    page: Page, server: JupyterServer, tmp_path: Path, pictures: Path, offset: int
) -> None:
    notebook = opened(
        page, server, "01_quickstart", **SMALL["01_quickstart"], port_offset=offset, folder=str(tmp_path)
    )
    notebook.run_all()
    notebook.wait_idle(240)
    sliders = page.get_by_role("region", name="What if?")
    sliders.wait_for()
    sliders.scroll_into_view_if_needed()
    took, moves = [], 0
    for name in ("concurrency", "instances", "work"):
        sliders.get_by_role("slider", name=name).focus()
        for key in ("ArrowRight", "ArrowRight", "ArrowLeft"):
            moves += 1
            page.keyboard.press(key)
            page.locator(f"[data-answered='{moves}']").wait_for()
            took.append(float(sliders.get_attribute("data-answered-ms") or "nan"))
    print("what if, ms a move:", took)
    page.wait_for_function("() => /Simulated: .*req/.test(document.body.textContent)", timeout=60_000)
    for dark in (False, True):
        notebook.theme(dark=dark)
        sliders.screenshot(path=pictures / f"what-if-{'dark' if dark else 'light'}.png")
        assert contrast(page, ".lab-live p, .lab-live label, .lab-live text", ".lab-live") >= 4.5
    sliders.get_by_role("combobox", name="policy").select_option("random")
    page.wait_for_function("() => /No curve: random/.test(document.body.textContent)")
    saved = notebook.save()
    assert not any(WIDGET in output.get("data", {}) for output in outputs(saved))
    last = outputs(saved)[-1]["data"]
    assert 'role="img"' in "".join(last["text/html"])
    server.ask(f"api/kernels/{kernel_of(server, notebook)}/restart", "POST")  # else the sliders come back
    again = notebook.reopened()
    assert "model not found" not in again.page.inner_text("body")
    again.page.locator(".lab-chart").first.wait_for(state="attached")
    assert again.page.get_by_role("slider").count() == 0


def test_a_mistyped_parameter_is_named_before_anything_runs(page: Page, server: JupyterServer) -> None:
    notebook = opened(page, server, "01_quickstart", concurency=[1])
    notebook.run_all()
    notebook.wait_idle(120)
    assert "concurency" in json.dumps([*errors(notebook.save()), printed(notebook.save())])


def test_a_kernel_that_is_restarted_in_mid_run_frees_its_ports(
    page: Page, server: JupyterServer, tmp_path: Path, offset: int
) -> None:
    notebook = opened(page, server, "01_quickstart", work_ms="10", port_offset=offset, folder=str(tmp_path))
    notebook.run_all()
    page.locator(".lab-live").first.wait_for()
    page.wait_for_function("() => /[0-9] req/.test(document.querySelector('.lab-live dd').textContent)")
    server.ask(f"api/kernels/{kernel_of(server, notebook)}/restart", "POST")
    wait_until(lambda: all(is_free(port + offset) for port in (8051, 8052, 8055, 8061)))


def kernel_of(server: JupyterServer, notebook: Notebook) -> str:
    """Return the id of the kernel that the notebook runs in."""
    (kernel,) = {each["kernel"]["id"] for each in server.ask("api/sessions") if notebook.name in each["path"]}
    return str(kernel)


def is_free(port: int) -> bool:
    with socket.socket() as tried:
        return tried.connect_ex(("127.0.0.1", port)) != 0


@pytest.mark.parametrize("name", [name for name in SMALL if name != "01_quickstart"])
def test_every_other_notebook_opens_runs_and_keeps_no_widget(
    page: Page,
    server: JupyterServer,
    tmp_path: Path,
    pictures: Path,
    offset: int,
    name: str,
    request: pytest.FixtureRequest,
) -> None:
    every = request.config.getoption("--all")
    if not every and time.monotonic() - BEGUN_S > ENOUGH_S:
        pytest.skip(f"{ENOUGH_S} s are over: nox -s browser -- --all runs every notebook in full")
    given = {} if every else dict(SMALL[name])
    given |= {"port_offset": offset} | ({} if name in NO_FOLDER else {"folder": str(tmp_path)})
    notebook = opened(page, server, name, **given)
    notebook.run_all()
    notebook.wait_idle(1500)
    saved = notebook.save()
    page.screenshot(path=pictures / f"{name}.png")
    assert errors(saved) == []
    assert not any(WIDGET in output.get("data", {}) for output in outputs(saved))
