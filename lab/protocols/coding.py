"""What it costs to code and decode a message, in JSON and in protobuf."""

from __future__ import annotations

import timeit
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeAlias

import pandas as pd

from lab.imports import Extra, needing
from lab.load import corpus
from lab.protocols.lengths import lengths_of
from services.messages import TextRequest
from services.protocols import ProtocolName

__all__ = ["coding_costs"]

Codec: TypeAlias = tuple[Callable[[TextRequest], bytes], Callable[[bytes], TextRequest]]
"""What codes a message, and what decodes it."""

FIRST = 10
REPEATS = 7
LEAST_S = 0.01
"""How long one repeat lasts at least, so that the clock is fine enough."""


def coding_costs(payload_bytes: int | Sequence[int]) -> pd.DataFrame:
    """The pipeline's request, coded and decoded by the very functions that the services use.

    A row for each protocol and length of text: protocol, payload_bytes, message_bytes, coding_us and
    decoding_us: the best of several repeats, in µs of one core. Raises ExtraMissing without gRPC.
    """
    codecs = _codecs()
    text = corpus.load()[0]
    rows = []
    for length in lengths_of(payload_bytes):
        message = TextRequest(text=corpus.cut(text, length), request_id="r-0000000001")
        for protocol, (code, decode) in codecs.items():
            data = code(message)
            rows.append(
                {
                    "protocol": str(protocol),
                    "payload_bytes": length,
                    "message_bytes": len(data),
                    "coding_us": _cost_us(partial(code, message)),
                    "decoding_us": _cost_us(partial(decode, data)),
                }
            )
    return pd.DataFrame(rows)


def _code_json(message: TextRequest) -> bytes:
    return message.model_dump_json().encode()


def _codecs() -> dict[ProtocolName, Codec]:
    with needing(Extra.GRPC, "protobuf"):
        from services.rpc.codec import decode_text, encode
    return {
        ProtocolName.HTTP: (_code_json, TextRequest.model_validate_json),
        ProtocolName.GRPC: (encode, decode_text),
    }


def _cost_us(do: Callable[[], object]) -> float:
    timer = timeit.Timer(do)
    once_s = timer.timeit(FIRST) / FIRST
    number = max(1, round(LEAST_S / once_s))
    return min(timer.repeat(REPEATS, number)) / number * 1e6
