from __future__ import annotations

import pytest

from lab.measure.times import parse_seconds


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("5", 5.0),
        ("5s", 5.0),
        (" 5 s ", 5.0),
        ("200ms", 0.2),
        ("200MS", 0.2),
        ("50us", 5e-5),
        ("50µs", 5e-5),
        ("2min", 120.0),
        ("1h", 3600.0),
        (".5s", 0.5),
        ("1e3ms", 1.0),
    ],
)
def test_a_time_is_a_number_and_a_unit(text: str, seconds: float) -> None:
    assert parse_seconds(text) == pytest.approx(seconds)


def test_a_number_alone_is_in_the_unit_that_the_option_has() -> None:
    assert parse_seconds("40", bare="ms") == pytest.approx(0.04)


@pytest.mark.parametrize(
    "text", ["", "s", "inf", "nan", "-1s", "-0", "1e999", "5 minutes", "5m", "1,5s", "1.2.3", "0x10", "1_0"]
)
def test_what_is_no_finite_time_is_none(text: str) -> None:
    assert parse_seconds(text) is None
