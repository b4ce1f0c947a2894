"""Server-Timing kept as text adds up, whenever it is read, to what each value says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.load.timing_values import TimingValues, sums
from services.server_timing import parse

START, SLICE = 5_000, 1_000
SHAPES = (
    b"app;dur=%.3f",
    b"a;dur=%g, b;dur=2.5",
    b"a;dur=%.2e",
    b" b;dur=%d ,a;dur=1e3",
    b'db;desc="q %d, x;dur=9";dur=4',
    b"q%d;dur=7",
    b"a;dur=%.1f;n=3",
    b"a;dur=%.30f",
    b"a;dur=-%.1f",
    b"a;dur=%.1fx",
    b"1;dur=%d",
    b"\xff;dur=%d",
    b"%d",
    b"a;dur=%d,%%",
)
NUMBERS = st.lists(st.floats(0, 1e9), min_size=1, max_size=300)


def _each(values: list[bytes]) -> dict[bytes, tuple[float, int]]:
    found: dict[bytes, tuple[float, int]] = {}
    for value in values:
        for name, duration in parse(value):
            total, count = found.get(name, (0.0, 0))
            found[name] = (total + duration, count + 1)
    return {name: (pytest.approx(total), count) for name, (total, count) in found.items()}


@given(st.lists(st.sampled_from(SHAPES), min_size=1, max_size=3), NUMBERS)
def test_many_values_add_up_to_what_each_says(shapes: list[bytes], numbers: list[float]) -> None:
    values = [shapes[at % len(shapes)] % number for at, number in enumerate(numbers)]
    values += [*values[: len(values) // 2], b""]
    assert sums(b"\n".join(values)) == _each(values)


@pytest.mark.parametrize("shape", SHAPES)
def test_values_that_differ_in_a_number_add_up_to_what_each_says(shape: bytes) -> None:
    values = [shape % (number * 7) for number in range(1000)]
    assert sums(b"\n".join(values)) == _each(values)


def test_whole_numbers_are_added_without_rounding() -> None:
    values = [b"a;dur=0.1"] * 999 + [b"a;dur=0.2"]
    assert sums(b"\n".join(values)) == {b"a": (100.1, 1000)}


def test_values_of_no_one_shape_are_read_one_by_one() -> None:
    values = [bytes([65 + at % 26, 97 + at % 7, 65 + at % 11]) + b";dur=1" for at in range(2000)]
    assert sums(b"\n".join(values)) == _each(values)


def _kept(values: list[tuple[int, bytes]], every: int) -> TimingValues:
    kept = TimingValues(START, SLICE)
    for begin in range(0, len(values), every):
        some = values[begin : begin + every]
        kept.append([START + at for at, _ in some], [value for _, value in some])
    return kept


@given(st.lists(st.tuples(st.integers(0, 9_999), st.integers(0, 99)), max_size=60), st.integers(1, 9))
def test_a_value_belongs_to_the_slice_of_its_intended_start(drawn: list[tuple[int, int]], every: int) -> None:
    values = [(at, b"a;dur=%d" % number) for at, number in drawn]
    inside = [value for at, value in values if 2 <= at // SLICE < 7]
    found = _kept(values, every).window(2, 7)
    assert {name.encode(): each for name, each in found.items()} == _each(inside)


def test_appending_empties_the_lists() -> None:
    intended, values = [START, START + SLICE], [b"a;dur=1", b"a;dur=2"]
    TimingValues(START, SLICE).append(intended, values)
    assert (intended, values) == ([], [])


def test_no_more_text_is_kept_than_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lab.load.timing_values._MOST_BYTES", 4_000)
    kept = TimingValues(START, SLICE)
    for beat in range(200):
        kept.append([START + beat * 20] * 50, [b"a;dur=1.5"] * 50)
        assert sum(len(text) for _, text in kept._texts) <= 4_000
    assert kept.window(0, 4) == {"a": (15_000.0, 10_000)}
