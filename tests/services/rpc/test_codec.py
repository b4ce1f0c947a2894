"""Messages in protobuf."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from services.messages import Analysis, PipelineResponse, ReportRequest, TextRequest
from services.rpc import pipeline_pb2 as pb
from services.rpc.codec import MalformedError, decode_report, decode_response, decode_text, encode
from services.rpc.generate import GENERATED, ROOT, generate

TEXTS = st.text(max_size=200)
COUNTS = st.integers(0, 2**40)
WORDS = st.lists(st.tuples(TEXTS, COUNTS), max_size=10).map(tuple)


@given(TEXTS, TEXTS)
def test_a_text_request_survives_protobuf(text: str, request_id: str) -> None:
    request = TextRequest(text=text, request_id=request_id)
    assert decode_text(encode(request)) == request


@given(COUNTS, WORDS, COUNTS, TEXTS)
def test_a_report_request_survives_protobuf(
    words: int, top: tuple[tuple[str, int], ...], unique: int, request_id: str
) -> None:
    request = ReportRequest(analysis=Analysis(words, top, unique), request_id=request_id)
    assert decode_report(encode(request)) == request


@given(TEXTS, COUNTS, TEXTS, WORDS)
def test_a_response_survives_protobuf(
    message: str, words: int, report: str, top: tuple[tuple[str, int], ...]
) -> None:
    response = PipelineResponse(
        status="success", message=message, word_count=words, report=report, top_words=top
    )
    assert decode_response(encode(response)) == response


@given(st.binary(max_size=300))
@example(b"\n\x01a\x12\x01r")
def test_whatever_bytes_come_they_are_malformed_or_a_message_that_can_be_passed_on(data: bytes) -> None:
    for decode in (decode_text, decode_report, decode_response):
        try:
            message = decode(data)
        except MalformedError:
            continue
        assert decode(encode(message)) == message


@pytest.mark.parametrize(
    ("message", "missing"),
    [
        (pb.TextRequest(text="x"), "request_id"),
        (pb.TextRequest(request_id="r"), "text"),
        (pb.TextRequest(), "text and request_id"),
    ],
)
def test_a_missing_field_is_named(message: pb.TextRequest, missing: str) -> None:
    with pytest.raises(MalformedError, match=f"lacks {missing}$"):
        decode_text(message.SerializeToString())


def test_an_empty_text_is_not_a_missing_one() -> None:
    assert decode_text(pb.TextRequest(text="", request_id="").SerializeToString()).text == ""


def test_what_is_generated_from_the_proto_is_what_is_committed(tmp_path: Path) -> None:
    generate(tmp_path)
    for path in GENERATED:
        assert (tmp_path / path).read_bytes() == (ROOT / path).read_bytes(), f"run {generate.__module__}"
