"""What the four services do: each by its route, with the body it takes and the body it makes of it.

Clean, count and report: the real work of the pipeline, as pure functions on text.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from services.documented import PATHS
from services.messages import Analysis, PipelineResponse, ReportRequest, TextRequest

__all__ = ["STAGES", "PipelineStage", "clean", "count", "report"]

TOP_WORDS = 10
_DROPPED = re.compile(r"[^a-z0-9\s]+")


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


@dataclass(frozen=True, slots=True)
class PipelineStage:
    """One step of the pipeline, pure: `does` makes of a valid `takes` what is posted to the next hop.

    The `last` one has no next hop; what it makes is the answer of the whole pipeline.
    """

    takes: type[TextRequest | ReportRequest]
    does: Callable[[Any], TextRequest | ReportRequest | PipelineResponse]
    last: bool = False


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
    _report_path: PipelineStage(ReportRequest, _report, last=True),
}
