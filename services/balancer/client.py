"""Who sent a request, as seen by what forwards it."""

from __future__ import annotations

from typing import Protocol

from services.balancer.http.request_head import RequestHead

__all__ = ["Client"]


class Client(Protocol):
    """Takes exactly one answer: pieces by `write` and the last by `done`, or `refuse`, or `abort`."""

    def provenance(self, head: RequestHead) -> bytes:
        """The header lines that say where the request comes from and on what ways, up to `X-Request-ID: `."""

    def keeps_alive(self) -> bool:
        """Whether its connection stays open after this answer."""

    def write(self, data: bytes) -> None:
        """Pass on a piece of the answer."""

    def done(self, last: bytes, now: float, close: bool = False) -> None:
        """Pass on the last piece of the answer, and `close` where nothing else marks its end."""

    def refuse(self, status: int, detail: str, retry_after_s: int | None = None) -> None:
        """There will be no other answer than this."""

    def abort(self) -> None:
        """The answer ends in the middle, and the client must not take it for whole."""

    def pause_upload(self) -> None:
        """The instance cannot take in more of the body for now."""

    def resume_upload(self) -> None:
        """It can again."""
