"""What a server that stands still does to both clocks, worked out without one."""

from __future__ import annotations

import pytest

from lab.arrivals import Constant
from lab.load.recorder import Recorder

MS = 1_000_000
RATE, CAPACITY, CONNECTIONS, SECONDS = 200, 2500, 8, 30
STOPPED_AT, STOPPED_FOR = 10_000 * MS, 1_400 * MS


def _ends(starts_ns: int) -> int:
    """When the work of a request that is begun then is done."""
    end = starts_ns + 1000 * MS // CAPACITY
    return end + STOPPED_FOR if starts_ns <= STOPPED_AT < end else end


def _recorded() -> Recorder:
    """Each request is sent once a connection is free, and worked on once those before it are done."""
    recorder = Recorder(0, 100 * MS, 10 * SECONDS)
    ends = [0] * CONNECTIONS
    for intended in Constant(RATE).schedule(0, SECONDS).intended_ns.tolist():
        sent = max(intended, ends[-CONNECTIONS])
        ends.append(_ends(max(sent, ends[-1])))
        recorder.ended.append((intended, sent, ends[-1], 200))
    return recorder


def test_whoever_is_due_while_a_server_stands_still_waits_in_the_response_time_though_sent_late() -> None:
    window = _recorded().window(0, 10 * SECONDS)
    slowest_s = 0.01 * SECONDS  # that a hundredth of all requests was due in
    expected_ns = STOPPED_FOR - slowest_s * (1 - RATE / CAPACITY) * 1000 * MS
    assert len(window.response_time) == RATE * SECONDS
    assert window.response_time.percentile_ns(99) == pytest.approx(expected_ns, rel=0.05)
    assert window.service_time.percentile_ns(99) < 20 * MS
    assert window.service_time.max_ns >= STOPPED_FOR
