"""Channels of gRPC's asyncio, with options that switch off what gRPC would do unasked."""

from __future__ import annotations

from typing import Any

import grpc

__all__ = ["CHANNEL_OPTIONS", "open_channel"]

CHANNEL_OPTIONS: tuple[tuple[str, Any], ...] = (
    ("grpc.enable_retries", 0),
    ("grpc.enable_http_proxy", 0),
    ("grpc.use_local_subchannel_pool", 1),
    # A connection that cannot be made is tried again soon: a restored instance must not wait for its channel.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 1000),
    ("grpc.max_reconnect_backoff_ms", 500),
    ("grpc.max_receive_message_length", -1),
    # So is a name that had no address, or another.
    ("grpc.dns_min_time_between_resolutions_ms", 500),
)
"""No silent repeats, no proxy, no connection shared with other channels, no limit on answers."""


def open_channel(
    address: str, authority: str | None = None, answer_limit_bytes: int = -1
) -> grpc.aio.Channel:
    """Open a channel to `host:port`: one connection, made at the first call. It belongs to the running loop.

    `authority` is the host that calls name; the address if left out. Answers may be of any size, or have
    `answer_limit_bytes`.
    """
    options = {**dict(CHANNEL_OPTIONS), "grpc.max_receive_message_length": answer_limit_bytes}
    if authority is not None:
        options["grpc.default_authority"] = authority
    return grpc.aio.insecure_channel(address, options=tuple(options.items()))
