"""Addresses as URLs, gRPC and configuration files write them."""

from __future__ import annotations

__all__ = ["address_of"]


def address_of(host: str, port: int) -> str:
    """`host:port`, with brackets where they are needed."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
