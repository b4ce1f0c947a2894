"""How the process that keeps a topology up takes what it is told."""

from __future__ import annotations

import signal
import threading
import time
from pathlib import Path

import pytest

from lab.cli.control import Control
from lab.placement import start
from lab.topology import Topology


def test_a_signal_that_does_not_interrupt_the_wait_for_callers_is_heeded_all_the_same(
    tmp_path: Path,
) -> None:
    control = Control(start(Topology.sequential()), tmp_path / "control")

    def signal_this_thread_and_not_the_one_that_waits() -> None:
        time.sleep(0.1)
        signal.pthread_kill(threading.get_ident(), signal.SIGINT)

    sender = threading.Thread(target=signal_this_thread_and_not_the_one_that_waits)
    with control.open():
        sender.start()
        with pytest.raises(KeyboardInterrupt):
            control.serve()
    sender.join()
