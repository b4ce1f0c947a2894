"""The messages that the services exchange, as strict pydantic models of their JSON bodies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict

__all__ = ["Analysis", "PipelineResponse", "ReportRequest", "TextRequest"]


@dataclass(frozen=True, slots=True)
class Analysis:
    """The word counts of a text. `top_words` holds (word, occurrences), most frequent first, ten at most."""

    word_count: int
    top_words: tuple[tuple[str, int], ...]
    unique_words: int


class _Message(BaseModel):
    # Strict: a number is no text and a text no number. Unknown fields are let through and dropped.
    model_config = ConfigDict(strict=True, frozen=True)


class TextRequest(_Message):
    """The request of services 1 to 3: `{"text": "The cat, the CAT", "request_id": "r1"}`."""

    text: str
    request_id: str


class ReportRequest(_Message):
    """The request of service 4: `{"analysis": {"word_count": …, "top_words": […], "unique_words": …}, …}`."""

    analysis: Analysis
    request_id: str


class PipelineResponse(_Message):
    """The response of every service: made by the last, relayed by the others."""

    status: Literal["success"]
    message: str
    word_count: int
    report: str
    top_words: tuple[tuple[str, int], ...]
