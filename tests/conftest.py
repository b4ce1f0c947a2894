"""What holds for every test."""

from __future__ import annotations

import asyncio
import functools
import inspect
import signal
import sys
from math import inf
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from lab.measure import disturbance
from services.loops import new_event_loop

# Hypothesis times each example by default; on a machine that does other things too that tells nothing.
# One profile for all tests: the last one loaded would hold for those of every folder.
settings.register_profile(
    "suite", deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("suite")

GRPC_S = 0.02
"""gRPC has one poller for all loops of a process. It hands each loop the ends of calls that are over, and
where that loop is closed it fails the test under way then. So a loop stays a moment longer than its test."""

# A shell that starts the tests in the background has them ignore these, as would all that they start.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """Run async tests on the event loop that services and load generators run on."""
    return "asyncio", {"loop_factory": new_event_loop}


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> None:
    """Bound each async test: the signal that bounds the others does not reach a loop that waits in uvloop."""
    test = pyfuncitem.obj
    if inspect.iscoroutinefunction(test):
        marker = pyfuncitem.get_closest_marker("timeout")
        seconds = 0.8 * float(marker.args[0] if marker else pyfuncitem.config.getini("timeout"))

        @functools.wraps(test)
        async def bounded(**arguments: Any) -> None:
            try:
                async with asyncio.timeout(seconds):
                    await test(**arguments)
            finally:
                if "grpc.aio" in sys.modules:
                    await asyncio.sleep(GRPC_S)

        pyfuncitem.obj = bounded


@pytest.fixture(autouse=True)
def quiet_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put nothing down to other programs: tests run beside each other, and would spoil each other's trials.

    The tests of lab.measure, which test just that, take the figure as it is.
    """
    monkeypatch.setattr(disturbance, "QUIET_CORES", inf)
