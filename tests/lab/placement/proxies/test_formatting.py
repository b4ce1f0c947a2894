"""Durations and numbers are written as balancers read them."""

from __future__ import annotations

import re

import pytest

from lab.placement.proxies.formatting import milliseconds, numbers_above


@pytest.mark.parametrize("limit", [1, 9, 10, 99, 1000, 1999, 67108864])
def test_the_expression_of_numbers_above_a_limit_matches_just_those(limit: int) -> None:
    expression = re.compile(numbers_above(limit))
    near = {max(0, limit + step) for step in (-1000, -10, -2, -1, 0, 1, 2, 10, 1000)} | {
        0,
        limit * 10,
        limit // 10,
    }
    assert {n for n in near if expression.match(str(n))} == {n for n in near if n > limit}


def test_no_duration_becomes_zero() -> None:
    assert [milliseconds(s) for s in (0.0, 0.0001, 0.25, 30)] == ["1ms", "1ms", "250ms", "30000ms"]
