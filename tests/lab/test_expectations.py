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


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (3.983, 4.003, Verdict.WITHIN),
        (3.2, 4.8, Verdict.WITHIN),
        (4, 4.1, Verdict.WITHIN),
        (4.001, 4.1, Verdict.ABOVE),
        (2.9, 4.1, Verdict.UNDECIDED),
        (2.9, 3.1, Verdict.UNDECIDED),
        (1, 2.9, Verdict.BELOW),
        (math.nan, math.nan, Verdict.UNDECIDED),
    ],
)
def test_an_edge_that_physics_forbids_to_exceed_is_met_by_touching_it(
    low: float, high: float, verdict: Verdict
) -> None:
    assert judge(low, high, RATIO, at_most=4) is verdict


@given(ends, ends, ends, ends, st.floats(1, 30))
def test_a_narrower_interval_contradicts_no_decided_one_under_a_physical_bound(
    a: float, b: float, c: float, d: float, at_most: float
) -> None:
    low, inner_low, inner_high, high = sorted((a, b, c, d))
    outer, inner = judge(low, high, BAND, at_most), judge(inner_low, inner_high, BAND, at_most)
    assert outer in (Verdict.UNDECIDED, inner) or inner_low > at_most


def test_a_bound_elsewhere_than_at_an_edge_changes_nothing_there() -> None:
    assert judge(3.98, 4.01, RATIO, at_most=5) is Verdict.UNDECIDED
    assert judge(1.9, 3.1, RATIO, at_most=2) is Verdict.BELOW


def test_ends_have_the_digits_that_their_verdict_needs() -> None:
    said = sentence("The ratio", 3.983, 4.003, RATIO, at_most=4)
    assert said.startswith("The ratio, 3.983 to 4.003× (95 % interval), is within the documented 3–4×")
    assert said.endswith(": it touches 4×, and physics allows no more.")
    assert "19.9994 to 20.0004 req/s" in sentence("It", 19.99941, 20.00044, BAND)
    assert "199.98 to 200.20 ms" in sentence("It", 199.981, 200.2, RESPONSE_TIME_MS)
    assert "5.00 to 20.0 req/s (95 % interval), is within" in sentence("It", 5, 20, BAND)


def test_a_difference_of_floats_crosses_no_edge() -> None:
    assert judge(5 - 1e-15, 20 + 1e-14, BAND) is Verdict.WITHIN
    assert "5.00 to 20.0 req/s (95 % interval), is within" in sentence("It", 5 - 1e-15, 20 + 1e-14, BAND)


@given(st.floats(0.01, 1000), st.floats(0.01, 1000), st.sampled_from([BAND, RATIO, RESPONSE_TIME_MS]))
def test_printed_ends_have_the_verdict_of_the_sentence(a: float, b: float, band: Band) -> None:
    low, high = sorted((a, b))
    words = sentence("It", low, high, band).split()
    printed = float(words[1].rstrip("×").replace(",", "")), float(words[3].rstrip("×").replace(",", ""))
    assert judge(*printed, band) is judge(low, high, band)


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
    assert "undecided" in sentence("The ratio", 2.9, 3.1, RATIO)
    assert "too few valid trials" in sentence("The ratio", math.nan, math.nan, RATIO)
