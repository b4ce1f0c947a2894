"""Clean, count and report: the real work of the pipeline, as pure functions on text."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

__all__ = ["Analysis", "clean", "count", "report"]

TOP_WORDS = 10
_DROPPED = re.compile(r"[^a-z0-9\s]+")


@dataclass(frozen=True, slots=True)
class Analysis:
    """What a text is made of. `top_words` holds (word, occurrences), most frequent first, ten at most."""

    word_count: int
    top_words: tuple[tuple[str, int], ...]
    unique_words: int


def clean(text: str) -> str:
    """The text in lower case, of a–z and 0–9 alone, its words one blank apart.

    What is neither letter, digit nor white space vanishes without leaving a gap: `don't` becomes `dont`.
    """
    return " ".join(_DROPPED.sub("", text.lower()).split())


def count(text: str) -> Analysis:
    """Counts the words between white space. Words as frequent as each other stay in order of appearance."""
    words = text.split()
    occurrences = Counter(words)
    # most_common() keeps the order of first appearance among equals; the Counter's documentation says so.
    return Analysis(len(words), tuple(occurrences.most_common(TOP_WORDS)), len(occurrences))


def report(analysis: Analysis) -> str:
    """The analysis as text for a person to read, a line a fact, without a newline at the end."""
    ranked = (
        f"{place:>3}. {word}: {times}" for place, (word, times) in enumerate(analysis.top_words, start=1)
    )
    return "\n".join(
        (
            "Text analysis report",
            f"Words: {analysis.word_count}",
            f"Unique words: {analysis.unique_words}",
            "Most frequent words:",
            *(ranked if analysis.top_words else ("  (none)",)),
        )
    )
