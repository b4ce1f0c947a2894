from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.expectations import RATIO, RESPONSE_TIME_MS, Band, Verdict, expected_at, expected_of, judge, sentence
from lab.topology import Topology

BAND = Band(5, 20, "req/s")
ends = st.floats(0, 100)


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (5, 20, Verdict.WITHIN),
        (6, 6, Verdict.WITHIN),
        (21, 22, Verdict.ABOVE),
        (1, 4.9, Verdict.BELOW),
        (4, 6, Verdict.UNDECIDED),
        (19, 21, Verdict.UNDECIDED),
        (1, 50, Verdict.UNDECIDED),
        (math.nan, 10, Verdict.UNDECIDED),
        (10, math.nan, Verdict.UNDECIDED),
    ],
)
def test_an_interval_is_judged_by_where_it_lies(low: float, high: float, verdict: Verdict) -> None:
    assert judge(low, high, BAND) is verdict


@given(ends, ends, ends, ends)
def test_a_narrower_interval_never_contradicts_a_decided_one(a: float, b: float, c: float, d: float) -> None:
    low, inner_low, inner_high, high = sorted((a, b, c, d))
    outer = judge(low, high, BAND)
    assert outer is Verdict.UNDECIDED or judge(inner_low, inner_high, BAND) is outer


def test_a_plus_after_the_high_edge_means_that_more_is_still_within() -> None:
    assert judge(70, 90, Band(15, 60, "req/s", and_more=True)) is Verdict.WITHIN


def test_the_documents_speak_of_each_topology_as_it_is_built() -> None:
    for topology in (Topology.sequential(), Topology.parallel()):
        expectation = expected_of(topology.name)
        assert expectation is not None
        assert expectation.replicas == topology.replicas
        assert expectation.response_time_ms == RESPONSE_TIME_MS


def test_the_bands_agree_with_littles_law_at_the_concurrency_where_they_are_judged() -> None:
    for name in ("sequential", "parallel"):
        documented = expected_of(name)
        assert documented is not None
        fastest, slowest = documented.response_time_ms.low / 1000, documented.response_time_ms.high / 1000
        assert documented.throughput_rps.low * slowest == pytest.approx(documented.concurrency)
        assert documented.throughput_rps.high * fastest == pytest.approx(documented.concurrency)


def test_nothing_is_expected_elsewhere() -> None:
    assert expected_at("parallel", 4, 3) is expected_of("parallel")
    assert expected_at("parallel", 4, 8) is None
    assert expected_at("parallel", 2, 3) is None
    assert expected_at("sequential", 1, None) is None
    assert expected_at("nginx", 1, 1) is None
    assert expected_at(None, None, 1) is None


def test_the_sentence_says_the_interval_the_verdict_and_the_band() -> None:
    assert sentence("Sequential throughput", 6.12, 6.345, BAND) == (
        "Sequential throughput, 6.12 to 6.34 req/s (95 % interval), is within the documented 5–20 req/s."
    )
    assert "is above the documented 3–4×" in sentence("The ratio", 4.2, 4.4, RATIO)
    assert "undecided" in sentence("The ratio", 3.9, 4.1, RATIO)
    assert "too few valid trials" in sentence("The ratio", math.nan, math.nan, RATIO)
