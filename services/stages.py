"""The real work of the four services: pure functions that clean, count and report, and a stage by route.

A stage says what message its service takes, and makes of it the message for the next service or, in the last
one, the pipeline's response.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from services.documented import PATHS
from services.messages import Analysis, PipelineResponse, ReportRequest, TextRequest

__all__ = ["STAGES", "PipelineStage", "clean", "contradiction", "count", "report"]

TOP_WORDS = 10
_DROPPED = re.compile(r"[^a-z0-9\s]+")


def clean(text: str) -> str:
    """Return the text in lower case, of a–z and 0–9 alone, its words one blank apart.

    Any character that is neither letter, digit nor white space leaves no gap: `don't` becomes `dont`.
    """
    return " ".join(_DROPPED.sub("", text.lower()).split())


def count(text: str) -> Analysis:
    """Count the words between white space. Words of equal frequency stay in order of first appearance."""
    words = text.split()
    occurrences = Counter(words)
    # most_common() keeps the order of first appearance among equals; the Counter's documentation says so.
    return Analysis(len(words), tuple(occurrences.most_common(TOP_WORDS)), len(occurrences))


def report(analysis: Analysis) -> str:
    """Return the analysis as text for a person to read, a line a fact, without a newline at the end.

    Each count is followed by its part of all words, in per cent.
    """
    percent = 100 / (analysis.word_count or 1)
    ranked = (
        f"{place:>3}. {word}: {times} ({times * percent:.1f}%)"
        for place, (word, times) in enumerate(analysis.top_words, start=1)
    )
    return "\n".join(
        (
            "Text analysis report",
            f"Words: {analysis.word_count}",
            f"Unique words: {analysis.unique_words} ({analysis.unique_words * percent:.1f}%)",
            "Most frequent words:",
            *(ranked if analysis.top_words else ("  (none)",)),
        )
    )


def contradiction(analysis: Analysis) -> str:
    """Return how the counts of an analysis contradict each other; empty if they can be those of a text.

    The top words may be fewer than there are, but are the most frequent.
    """
    words, unique, top = analysis.word_count, analysis.unique_words, analysis.top_words
    counts = [times for _, times in top]
    others, left = unique - len(top), words - sum(counts)
    if words < 0 or unique < 0 or min(counts, default=1) < 1:
        return "no word occurs less than once, and no text has less than no words"
    if len({word for word, _ in top}) < len(top):
        return "top_words has a word twice"
    if others < 0:
        return f"top_words has {len(top)} words, and unique_words is {unique}"
    if left < others or (left and not others):
        return f"{others} words beside top_words occur {left} times: word_count is {words}"
    if counts and left > others * min(counts):
        return "a word that is not in top_words is more frequent than one that is"
    return ""


def _accept_all(_: object) -> str:
    return ""


@dataclass(frozen=True, slots=True)
class PipelineStage:
    """The pure work of one service: `does` turns a message of type `takes` into the one for the next service.

    The `last` stage has no next service; its output is the response of the whole pipeline.
    """

    takes: type[TextRequest | ReportRequest]
    does: Callable[[Any], TextRequest | ReportRequest | PipelineResponse]
    last: bool = False
    objection: Callable[[Any], str] = _accept_all
    """Says what is wrong with a message whose fields are of the right types; nothing if all is well."""


def _accept(request: TextRequest) -> TextRequest:
    return request


def _preprocess(request: TextRequest) -> TextRequest:
    return TextRequest(text=clean(request.text), request_id=request.request_id)


def _analyze(request: TextRequest) -> ReportRequest:
    return ReportRequest(analysis=count(request.text), request_id=request.request_id)


def _report(request: ReportRequest) -> PipelineResponse:
    analysis = request.analysis
    return PipelineResponse(
        status="success",
        message="Text processed",
        word_count=analysis.word_count,
        report=report(analysis),
        top_words=analysis.top_words,
    )


_process_path, _preprocess_path, _analyze_path, _report_path = PATHS

STAGES: Mapping[str, PipelineStage] = {
    _process_path: PipelineStage(TextRequest, _accept),
    _preprocess_path: PipelineStage(TextRequest, _preprocess),
    _analyze_path: PipelineStage(TextRequest, _analyze),
    _report_path: PipelineStage(
        ReportRequest, _report, last=True, objection=lambda request: contradiction(request.analysis)
    ),
}
