"""The pipeline's messages in protobuf: the fields that they have in JSON, required where those are."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from google.protobuf.message import DecodeError, Message

from services.messages import Analysis, PipelineResponse, ReportRequest, TextRequest
from services.rpc import pipeline_pb2 as pb

__all__ = ["MalformedError", "decode_report", "decode_response", "decode_text", "encode", "parse"]

MessageT = TypeVar("MessageT", bound=Message)


class MalformedError(ValueError):
    """The bytes are no such message, or lack a required field; the text says which."""


def encode(message: TextRequest | ReportRequest | PipelineResponse) -> bytes:
    """Encode a message in protobuf."""
    return _to_protobuf(message).SerializeToString()


def decode_text(data: bytes) -> TextRequest:
    """Decode what services 1 to 3 take. Raises MalformedError."""
    message = parse(pb.TextRequest(), data)
    _require(message, "text", "request_id")
    return TextRequest.model_construct(text=message.text, request_id=message.request_id)


def decode_report(data: bytes) -> ReportRequest:
    """Decode what service 4 takes. Raises MalformedError."""
    message = parse(pb.ReportRequest(), data)
    _require(message, "analysis", "request_id")
    found = message.analysis
    analysis = Analysis(found.word_count, _pairs(found.top_words), found.unique_words)
    return ReportRequest.model_construct(analysis=analysis, request_id=message.request_id)


def decode_response(data: bytes) -> PipelineResponse:
    """Decode what every service answers. Raises MalformedError."""
    message = parse(pb.PipelineResponse(), data)
    if message.status != "success":
        raise MalformedError(f"status is {message.status!r}, not 'success'")
    return PipelineResponse.model_construct(
        status="success",
        message=message.message,
        word_count=message.word_count,
        report=message.report,
        top_words=_pairs(message.top_words),
    )


def _to_protobuf(message: TextRequest | ReportRequest | PipelineResponse) -> Message:
    match message:
        case TextRequest():
            return pb.TextRequest(text=message.text, request_id=message.request_id)
        case ReportRequest():
            analysis = pb.Analysis(
                word_count=message.analysis.word_count,
                top_words=_counts(message.analysis.top_words),
                unique_words=message.analysis.unique_words,
            )
            return pb.ReportRequest(analysis=analysis, request_id=message.request_id)
    return pb.PipelineResponse(
        status=message.status,
        message=message.message,
        word_count=message.word_count,
        report=message.report,
        top_words=_counts(message.top_words),
    )


def parse(message: MessageT, data: bytes) -> MessageT:
    """Fill the empty message with what the bytes hold, and return it. Raises MalformedError."""
    try:
        message.ParseFromString(data)
    except DecodeError as error:
        raise MalformedError(f"no {message.DESCRIPTOR.name} in protobuf: {error}") from None
    return message


def _require(message: Message, *fields: str) -> None:
    missing = [field for field in fields if not message.HasField(field)]
    if missing:
        raise MalformedError(f"{message.DESCRIPTOR.name} lacks {' and '.join(missing)}")


def _counts(words: Iterable[tuple[str, int]]) -> list[pb.WordCount]:
    return [pb.WordCount(word=word, count=count) for word, count in words]


def _pairs(counts: Iterable[pb.WordCount]) -> tuple[tuple[str, int], ...]:
    return tuple((each.word, each.count) for each in counts)
