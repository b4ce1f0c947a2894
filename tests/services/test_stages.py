from __future__ import annotations

import re
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.messages import Analysis
from services.stages import clean, contradiction, count, report

words = st.lists(st.sampled_from(["the", "cat", "sat", "on", "a", "mat", "7"]))


def test_cleaning_lowers_case_and_drops_punctuation() -> None:
    assert clean("The cat, the CAT") == "the cat the cat"


def test_what_is_dropped_leaves_no_gap() -> None:
    assert clean("don't re-use naïve 1,000") == "dont reuse nave 1000"


def test_white_space_of_any_kind_folds_into_one_blank() -> None:
    assert clean("\t a \n\n b\u00a0c\u2003d ") == "a b c d"


@given(st.text())
def test_a_clean_text_is_words_of_plain_letters_and_digits_one_blank_apart(text: str) -> None:
    assert re.fullmatch(r"([a-z0-9]+( [a-z0-9]+)*)?", clean(text))


@given(st.text())
def test_cleaning_twice_changes_nothing_more(text: str) -> None:
    assert clean(clean(text)) == clean(text)


@given(st.text())
def test_cleaning_keeps_every_letter_and_digit_in_order(text: str) -> None:
    assert clean(text).replace(" ", "") == "".join(
        c for c in text.lower() if c in "abcdefghijklmnopqrstuvwxyz0123456789"
    )


def test_words_are_counted_and_ranked() -> None:
    assert count("the cat the cat") == Analysis(4, (("the", 2), ("cat", 2)), 2)


def test_an_empty_text_has_no_words() -> None:
    assert count("") == Analysis(0, (), 0)


@given(words)
def test_counts_are_those_of_the_words(sample: list[str]) -> None:
    analysis = count(" ".join(sample))
    assert analysis.word_count == len(sample)
    assert analysis.unique_words == len(set(sample))
    assert dict(analysis.top_words) == Counter(sample)


@given(words)
def test_equally_frequent_words_stay_in_order_of_first_appearance(sample: list[str]) -> None:
    expected = sorted(set(sample), key=lambda word: (-sample.count(word), sample.index(word)))
    assert [word for word, _ in count(" ".join(sample)).top_words] == expected


@given(st.lists(st.text("abc", min_size=1, max_size=3), min_size=11))
def test_the_ten_most_frequent_words_are_kept_and_no_more(sample: list[str]) -> None:
    top = count(" ".join(sample)).top_words
    assert len(top) == min(10, len(set(sample)))
    rest = [sample.count(word) for word in set(sample) - {word for word, _ in top}]
    assert all(times >= max(rest, default=0) for _, times in top)


def test_the_report_says_what_was_counted() -> None:
    assert report(Analysis(4, (("the", 3), ("cat", 1)), 2)) == (
        "Text analysis report\nWords: 4\nUnique words: 2 (50.0%)\n"
        "Most frequent words:\n  1. the: 3 (75.0%)\n  2. cat: 1 (25.0%)"
    )


def test_the_report_of_nothing_says_none() -> None:
    assert report(Analysis(0, (), 0)).endswith("Most frequent words:\n  (none)")


@given(words)
def test_the_counts_of_a_text_do_not_contradict_each_other(sample: list[str]) -> None:
    assert contradiction(count(" ".join(sample))) == ""


@pytest.mark.parametrize(
    "analysis",
    [
        Analysis(-1, (), 0),
        Analysis(0, (), -1),
        Analysis(0, (("a", 0),), 1),
        Analysis(3, (("a", -1), ("b", 4)), 2),
        Analysis(1, (), 2),
        Analysis(5, (), 0),
        Analysis(4, (("a", 2), ("b", 2)), 1),
        Analysis(3, (("a", 2), ("b", 2)), 2),
        Analysis(5, (("a", 2), ("b", 2)), 2),
        Analysis(4, (("a", 2), ("a", 2)), 2),
        Analysis(4, (("a", 2), ("b", 2)), 3),
        Analysis(9, (("a", 2), ("b", 2)), 3),
    ],
)
def test_counts_that_no_text_has_contradict_each_other(analysis: Analysis) -> None:
    assert contradiction(analysis)


@pytest.mark.parametrize(
    "analysis", [Analysis(4, (), 2), Analysis(6, (("a", 2), ("b", 2)), 3), Analysis(0, (), 0)]
)
def test_fewer_top_words_than_there_are_contradict_nothing(analysis: Analysis) -> None:
    assert contradiction(analysis) == ""
