"""A server's log is bounded, and can be read from anywhere on."""

from __future__ import annotations

import os

from hypothesis import given
from hypothesis import strategies as st

from lab.placement.logs import LogFile, LogRing


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


@given(batches=st.lists(st.lists(st.text("abc\u00e4", min_size=1), max_size=3), max_size=6))
def test_a_processs_log_tells_every_whole_line_once_also_when_it_is_closed(batches: list[list[str]]) -> None:
    log, position, seen = LogFile(), 0, []
    for lines in batches:
        os.write(log.fileno(), "".join(f"{line}\n" for line in lines).encode())
        new, position = log.since(position)
        seen += new
    os.write(log.fileno(), b"half a li")
    assert log.since(position) == ([], position)
    log.close()
    assert seen == [line for lines in batches for line in lines] == log.since()[0]


def test_a_closed_log_keeps_its_end() -> None:
    log = LogFile()
    os.write(log.fileno(), b"x" * 200_000 + b"\nlast\n")
    log.close()
    assert log.since()[0][-1] == "last"
    assert len(log.since()[0][0]) < 100_000
    log.close()
