"""Numbers are written with the digits that they need, and no exponents."""

from __future__ import annotations

import math

import pytest

from lab.rounding import interval_text, number, numbers, trimmed


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (0.00012345, "0.000123"),
        (4.0, "4.00"),
        (9.996, "10.0"),
        (99.96, "100"),
        (123.4, "123"),
        (1234.5, "1,234"),
        (1.5e9, "1,500,000,000"),
        (-3.14159, "-3.14"),
        (math.inf, "∞"),
        (math.nan, "–"),
    ],
)
def test_three_digits_or_all_those_before_the_point(value: float, text: str) -> None:
    assert number(value) == text


def test_a_number_beside_an_edge_stays_on_its_side() -> None:
    assert numbers(3.99, 4.003, edges=(3, 4)) == ["3.990", "4.003"]
    assert numbers(3.99, 4.0, edges=(3, 4)) == ["3.99", "4.00"]
    assert numbers(100.02, 100.04, edges=(100.02, 100.04)) == ["100.02", "100.04"]
    assert numbers(5.0, math.nan, edges=(math.inf,)) == ["5.00", "–"]


def test_an_interval_has_its_ends_where_they_are_known() -> None:
    assert interval_text(99.13, 98.66, 99.5) == "99.1 (98.7–99.5)"
    assert interval_text(99.13, math.nan, math.nan) == "99.1"
    assert interval_text(math.nan, math.nan, math.nan) == "–"


def test_a_level_is_written_without_needless_zeros() -> None:
    assert [trimmed(number(value, 4)) for value in (32, 97.56, 1200, 100)] == ["32", "97.56", "1,200", "100"]
