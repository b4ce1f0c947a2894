"""The bodies that the services exchange. JSON in, JSON out; nothing else is accepted for anything else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict

__all__ = ["Analysis", "PipelineResponse", "ReportRequest", "TextRequest"]


@dataclass(frozen=True, slots=True)
class Analysis:
    """What a text is made of. `top_words` holds (word, occurrences), most frequent first, ten at most."""

    word_count: int
    top_words: tuple[tuple[str, int], ...]
    unique_words: int


class _Message(BaseModel):
    # Strict: a number is no text and a text no number. Unknown fields are let through and dropped.
    model_config = ConfigDict(strict=True, frozen=True)


class TextRequest(_Message):
    """What services 1 to 3 take: `{"text": "The cat, the CAT", "request_id": "r1"}`."""

    text: str
    request_id: str


class ReportRequest(_Message):
    """What service 4 takes: `{"analysis": {"word_count": …, "top_words": […], "unique_words": …}, …}`."""

    analysis: Analysis
    request_id: str


class PipelineResponse(_Message):
    """What every service answers: made by the last, relayed by the others."""

    status: Literal["success"]
    message: str
    word_count: int
    report: str
    top_words: tuple[tuple[str, int], ...]
