"""The outgoing HTTP client of a service, by name. The only module that imports httpx."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["ClientName"]


class ClientName(StrEnum):
    """What a service calls the next hop with."""

    HTTPX = "httpx"
    HTTPX_PER_REQUEST = "httpx-per-request"
    HTTPX_AIOHTTP = "httpx-aiohttp"
    AIOHTTP = "aiohttp"
    WIRE = "wire"
