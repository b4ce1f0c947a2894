"""What the four services do: each by its route, with the body it takes and the body it makes of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from services.documented import PATHS
from services.messages import PipelineResponse, ReportRequest, TextRequest
from services.text import clean, count, report

__all__ = ["STAGES", "Stage"]


@dataclass(frozen=True, slots=True)
class Stage:
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

STAGES: Mapping[str, Stage] = {
    _process_path: Stage(TextRequest, _accept),
    _preprocess_path: Stage(TextRequest, _preprocess),
    _analyze_path: Stage(TextRequest, _analyze),
    _report_path: Stage(ReportRequest, _report, last=True),
}
