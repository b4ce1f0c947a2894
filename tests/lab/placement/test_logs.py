"""A server's log is bounded, and can be read from anywhere on."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lab.placement.logs import LogRing


@given(count=st.integers(0, 30), limit=st.integers(1, 10))
def test_a_full_log_keeps_the_latest_lines(count: int, limit: int) -> None:
    ring = LogRing(limit)
    for n in range(count):
        ring.write(str(n))
    lines, position = ring.since()
    assert [line.split()[1] for line in lines] == [str(n) for n in range(count)][-limit:]
    assert position == count


@given(batches=st.lists(st.integers(0, 5), max_size=10))
def test_reading_on_from_each_position_misses_no_line_and_repeats_none(batches: list[int]) -> None:
    ring, position, seen, written = LogRing(5), 0, [], 0
    for size in batches:
        for _ in range(size):
            ring.write(str(written))
            written += 1
        lines, position = ring.since(position)
        seen += [line.split()[1] for line in lines]
    assert seen == [str(n) for n in range(written)]
