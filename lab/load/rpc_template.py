"""The pipeline's first message in protobuf, ready to be numbered."""

from __future__ import annotations

from collections.abc import Iterable

from lab.load.requests import ID_DIGITS, MARK
from services.messages import TextRequest
from services.rpc.codec import encode

__all__ = ["rpc_messages"]


def rpc_messages(texts: Iterable[str], prefix: str) -> list[bytes]:
    """The messages, each with the mark in place of its request_id.

    Protobuf writes a field's length before it, so that is the length of what will replace the mark.
    """
    request_id = f"{prefix}-{'0' * ID_DIGITS}".encode()
    messages = []
    for text in texts:
        message = encode(TextRequest(text=text, request_id=request_id.decode()))
        assert message.endswith(request_id), "the request_id is the last field"
        messages.append(message.removesuffix(request_id) + MARK.encode())
    return messages
