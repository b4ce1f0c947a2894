"""The notebooks run from top to bottom, small enough for a test."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lab.notebook.__main__ import main
from lab.placement.ports import reserved_offset
from lab.results.csv_file import check
from lab.topology import Topology
from tests.support.kernels import quiet_profile

# A kernel, a sweep and a run of faults, each with servers and generators of its own, take a minute on a busy
# machine. Nothing here depends on how long they take.
pytestmark = pytest.mark.timeout(300)

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
Run = Callable[..., str]


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("build")


@pytest.fixture(scope="module")
def quiet_kernels(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Have kernels put nothing down to other programs, as tests/conftest.py has it for this process."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in quiet_profile(tmp_path_factory.mktemp("ipython")).items():
            patch.setenv(name, value)
        yield


@pytest.fixture(scope="module")
def run(build: Path, quiet_kernels: None) -> Run:  # noqa: ARG001 (for what it does to kernels)
    """Run a notebook with parameters and return what its last cell of code shows."""

    def run(notebook: str, /, **parameters: object) -> str:
        typed = [text for each in parameters.items() for text in ("-p", *map(str, each))]
        path = NOTEBOOKS / f"{notebook}.ipynb"
        assert main([str(path), "--build", str(build), "--timeout", "240", *typed]) == 0
        name = "-".join(map(str, filter(None, (notebook, parameters.get("name")))))
        executed = json.loads((build / f"{name}.ipynb").read_text())
        *_, last = (cell for cell in executed["cells"] if cell["cell_type"] == "code")
        shown = last["outputs"][-1]["data"]
        return "".join(shown["text/markdown"])

    return run


@pytest.fixture
def offset() -> Iterator[int]:
    """Reserve an offset that leaves the ports free: from trial to trial, and while the kernel starts."""
    with reserved_offset(Topology.parallel()) as offset:
        yield offset


@pytest.fixture(scope="module")
def sweep(run: Run, build: Path) -> Path:
    """Have the notebook run a small sweep, and return its CSV."""
    brief = {"duration_s": 0.4, "warmup_s": 0.1, "redo_invalid": False}
    small = {"trials": 1, "concurrency": "[1, 2]", "work_ms": 1, **brief}
    with reserved_offset(Topology.parallel()) as offset:
        run("02_sweep", name="mine", folder=build, port_offset=offset, **small)
    return build / "mine.csv"


def test_the_sweep_writes_its_rows_and_shows_its_charts_on_a_page(sweep: Path, build: Path) -> None:
    assert check(sweep) == 4
    page = (build / "02_sweep-mine.html").read_text()
    pictures = re.findall(r'<svg [^>]*role="img"[^>]*>', page)
    assert len(pictures) == 10  # five charts, each for a wide and for a narrow page
    assert all(re.search(r'aria-label="\w', picture) for picture in pictures)


def test_the_quickstart_answers_its_question(run: Run, build: Path, offset: int) -> None:
    less = {"concurrency": 1, "trials": 1, "work_ms": 1}
    answer = run("01_quickstart", port_offset=offset, folder=build, **less)
    assert "This holds for placement `in-process`" in answer


def test_balancers_are_compared_and_an_instance_dies_behind_each(run: Run, build: Path, offset: int) -> None:
    fault = "at 1 kill service2a for 0.2"
    less = {"concurrency": "[1, 2]", "trials": 1, "balancers": "[builtin]", "fault": fault, "rate": 10}
    answer = run("06_balancers", port_offset=offset, folder=build, **less)
    assert "an instance died and no request failed" in answer


def test_clients_are_compared_with_the_documents_and_each_other(run: Run, build: Path, offset: int) -> None:
    less = {"documented": "[httpx]", "compared": "[httpx, wire]", "concurrency": 1, "flat_out": 2}
    answer = run("07_clients", port_offset=offset, folder=build, trials=1, **less)
    assert "With `httpx`" in answer
    assert "Sequential" in answer


def test_cores_are_compared_with_what_they_allow(run: Run, build: Path, offset: int) -> None:
    less = {"work_ms": "['2']", "concurrency": 2, "trials": 1, "duration_s": 0.4, "warmup_s": 0.1}
    answer = run("10_cores", port_offset=offset, folder=build, **less)
    # Whether so short a window held enough answers is the machine's to say.
    assert re.search(r"Cpu work of 2 ms in all services: (measured|nothing that counts was measured)", answer)


def test_two_results_are_compared(run: Run, sweep: Path, build: Path) -> None:
    other = build / "other.csv"
    for suffix in (".csv", ".json"):
        shutil.copy(sweep.with_suffix(suffix), other.with_suffix(suffix))
    assert "no cell has enough trials" in run("09_compare", a=sweep, b=other)


def test_policies_are_measured_beside_the_simulation(run: Run, offset: int) -> None:
    few = {"work_ms": 10, "utilization_heavy_tailed": 0.2, "duration_s": 0.5, "simulated_requests": 10_000}
    answer = run("04_policies", port_offset=offset, policies="[round_robin]", **few)
    assert answer.count("round_robin wins") == 2


def test_a_timeline_of_faults_is_played_and_every_request_is_counted(
    run: Run, build: Path, offset: int
) -> None:
    less = {"faults": '["at 1 kill service1b for 0.5"]', "rate": 20, "work_ms": 1, "timeout_s": 5}
    answer = run("05_faults", port_offset=offset, **less)
    assert "no request was lost, and none failed" in answer
    assert "Chart of 110 requests behind builtin" in (build / "05_faults.html").read_text()


def test_protocols_are_compared_alone_and_in_whole_stacks(run: Run, build: Path, offset: int) -> None:
    less = {"clients": "[aiohttp]", "payload_bytes": 100, "concurrency": 2, "duration_s": 0.5, "trials": 1}
    answer = run("08_protocols", port_offset=offset, folder=build, **less)
    assert "**Without balancers** (sequential)" in answer
    assert "in protobuf for 100 bytes of text" in answer
