from __future__ import annotations

import math
from itertools import islice
from statistics import mean
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.names import Distribution, WorkKind
from services.work import Work, service_times


def test_the_default_is_the_documented_profile() -> None:
    assert Work() == Work(WorkKind.IO, 40.0, Distribution.CONSTANT, slots=1, queue_limit=128)


def test_documented_is_another_name_of_io() -> None:
    assert WorkKind("documented") is WorkKind.IO


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="burn"):
        WorkKind("burn")


@pytest.mark.parametrize(
    ("field", "value"),
    [("mean_ms", -1.0), ("mean_ms", math.nan), ("mean_ms", math.inf), ("slots", 0), ("queue_limit", -1)],
)
def test_work_that_makes_no_sense_is_refused_by_name(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"{field} must be .*, not {value}"):
        Work(**{field: value})


def test_kind_and_distribution_may_be_given_by_name() -> None:
    by_name: dict[str, Any] = {"kind": "cpu", "distribution": "exponential"}
    work = Work(**by_name)
    assert (work.kind, work.distribution) == (WorkKind.CPU, Distribution.EXPONENTIAL)
    assert (type(work.kind), type(work.distribution)) == (WorkKind, Distribution)


@pytest.mark.parametrize("field", ["kind", "distribution"])
def test_a_name_that_does_not_exist_is_refused_with_those_that_do(field: str) -> None:
    by_name: dict[str, Any] = {field: "burn"}
    with pytest.raises(ValueError, match=f"{field} must be one of .*, not 'burn'"):
        Work(**by_name)


def test_constant_service_times_are_the_mean() -> None:
    assert list(islice(service_times(Work(), "service1a"), 3)) == [0.04, 0.04, 0.04]


@pytest.mark.parametrize(
    "work", [Work(WorkKind.TEXT), Work(distribution=Distribution.NONE), Work(mean_ms=0.0)]
)
def test_text_alone_and_no_distribution_take_no_time(work: Work) -> None:
    assert work.mean_s == 0
    assert set(islice(service_times(work, "service1a"), 3)) == {0.0}


@pytest.mark.parametrize("distribution", [Distribution.EXPONENTIAL, Distribution.LOGNORMAL])
@given(seed=st.integers(0, 2**32), mean_ms=st.floats(0.001, 1e6))
def test_the_same_seed_and_name_give_the_same_times(
    distribution: Distribution, seed: int, mean_ms: float
) -> None:
    work = Work(distribution=distribution, seed=seed, mean_ms=mean_ms)
    one, same, other = (list(islice(service_times(work, name), 5)) for name in ("a", "a", "b"))
    assert one == same
    assert one != other
    assert all(time >= 0 for time in one)


def test_another_seed_gives_other_times() -> None:
    first, second = (
        next(service_times(Work(distribution=Distribution.EXPONENTIAL, seed=s), "a")) for s in (0, 1)
    )
    assert first != second


@pytest.mark.parametrize(
    ("distribution", "deviation"), [("exponential", 1.0), ("lognormal", math.sqrt(math.e - 1))]
)
def test_random_times_have_the_mean_and_the_spread_that_are_documented(
    distribution: str, deviation: float
) -> None:
    times = list(islice(service_times(Work(distribution=Distribution(distribution), seed=3), "a"), 100_000))
    assert mean(times) == pytest.approx(0.040, rel=0.02)
    spread = math.sqrt(mean((t - 0.040) ** 2 for t in times)) / 0.040
    assert spread == pytest.approx(deviation, rel=0.1)
