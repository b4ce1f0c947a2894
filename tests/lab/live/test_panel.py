"""What a front end hears of a sweep: a panel while it runs, a picture when it is over."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.placement.ports import reserved_offset
from lab.topology import Topology
from tests.support.kernels import Kernel, Message, printed, running_kernel, sent, shown, size

pytestmark = pytest.mark.timeout(240)  # each starts a kernel, which imports all that a notebook does

WIDGET = "application/vnd.jupyter.widget-view+json"
PLAN = """
from lab.sweep import plan_sweep, run_sweep
small = dict(topology="sequential", concurrency=[1, 2], work_ms=1, trials=2, warmup_s=0.1, redo_invalid=False)
small |= dict(folder={folder!r}, port_offset={offset})
plan, long = plan_sweep(**small, duration_s=0.5), plan_sweep(**small, name="long", duration_s=4)
"""


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    with running_kernel(tmp_path_factory.mktemp("kernel") / "ipython") as kernel:
        yield kernel


@pytest.fixture
def kernel(started: Kernel, tmp_path: Path) -> Iterator[Kernel]:
    """A kernel with the plan of a sweep of four trials, as `plan`."""
    with reserved_offset(Topology.sequential()) as offset:
        list(started.run(PLAN.format(folder=str(tmp_path), offset=offset)))
        yield started


def interrupted(kernel: Kernel, times: int) -> list[Message]:
    """Run the sweep; interrupt it so often once its second trial is under way."""
    heard: list[Message] = []
    stops = 0
    for message in kernel.run("path = run_sweep(plan)"):
        heard.append(message)
        trial = sent([message], "custom") and [each["state"].get("trial") for each in sent(heard, "update")]
        last = next(filter(None, reversed(trial or [])), {})
        if stops < times and last.get("place") == 2 and last["stopping"] == (stops > 0):
            kernel.interrupt()  # the second one when the first was noted: pending ones are one
            stops += 1
    return heard


def test_a_panel_shows_the_sweep_live_and_a_picture_takes_its_place(kernel: Kernel) -> None:
    heard = list(kernel.run("path = run_sweep(plan)"))
    (panel,) = shown(heard)
    assert WIDGET in panel["data"]
    (picture,) = shown(heard, "update_display_data")
    assert picture["transient"] == panel["transient"]
    assert set(picture["data"]) == {"text/html", "image/png", "text/plain"}
    found = picture["metadata"]["image/png"]["alt"]
    assert f'role="img" aria-label="{found}"' in picture["data"]["text/html"]
    assert heard[-1]["msg_type"] == "stream"
    assert [each["msg_type"] for each in heard].count("comm_close") == 1
    points = [each["state"]["point"] for each in sent(heard, "update") if "point" in each["state"]]
    assert [[at[2] for at in point["at"]] for (point,) in points] != []
    assert len(points) == 4


def test_while_a_trial_runs_the_panel_gets_numbers_alone_and_few_bytes_of_them(kernel: Kernel) -> None:
    heard = list(kernel.run("path = run_sweep(plan)"))
    numbers = [each["content"] for each in sent(heard, "custom")]
    assert numbers
    assert all(set(each) == {"t", "n", "f", "q", "p50", "p99"} for each in numbers)
    assert max(size(each["content"]) for each in heard if each["msg_type"] == "comm_msg") <= 1000


def test_the_first_interrupt_ends_a_sweep_after_its_trial_and_the_next_run_goes_on(kernel: Kernel) -> None:
    assert "stopped after 2 of 4 trials; run the cell again to go on\n" in printed(interrupted(kernel, 1))
    told = printed(list(kernel.run("from lab.results import read; print(len(read(path)), 'rows')")))
    assert told == "2 rows\n"
    assert "4 trials, 0 invalid" in printed(list(kernel.run("path = run_sweep(plan)")))


def test_a_second_interrupt_ends_it_at_once_with_the_rows_that_there_are(kernel: Kernel) -> None:
    list(kernel.run("plan = long"))
    heard = interrupted(kernel, 2)
    assert "stopped after 1 of 4 trials; run the cell again to go on\n" in printed(heard)
    (picture,) = shown(heard, "update_display_data")
    assert "image/png" in picture["data"]
    assert "ok" in printed(list(kernel.run("print('ok')")))


def test_without_a_person_a_notebook_has_lines_and_no_widget(kernel: Kernel) -> None:
    heard = list(kernel.run("path = run_sweep(plan)", person=False))
    assert {each["msg_type"] for each in heard} <= {"stream", "status", "execute_input"}
    assert "trial 4 of 4: sequential at" in printed(heard)
