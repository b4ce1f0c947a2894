"""One request and its answer, as the sender of the request sees them."""

from __future__ import annotations

from typing import TypeAlias

from services.wire.errors import WireError

__all__ = ["Exchange", "Headers"]

Headers: TypeAlias = list[tuple[bytes, bytes]]
"""Names as they came, values without the white space around them, in the order they came."""


class Exchange:
    """The callbacks of a connection as an answer comes in. Every method may be overridden, none needs to be.

    Order of calls: `on_informational` any number of times, `on_head` once, `on_body` any number of times,
    then exactly one of `on_complete` and `on_failure`; the latter may also come first. Or `on_whole` alone,
    which may be asked first of all. None may raise.
    """

    __slots__ = ()

    def on_informational(self, status: int) -> None:
        """Take an interim answer (100 to 199, never 101); the final one is still to come."""

    def on_switched(self) -> bool:
        """Decide on an answer that switches the connection to another protocol (101), as the last of all.

        Return True after `Connection.detach`, which ends the exchange. False makes the answer a failure.
        """
        return False

    def on_head(self, status: int, headers: Headers) -> None:
        """Take the final answer's head. `headers` is empty where the connection does not collect them."""

    def on_body(self, chunk: bytes) -> None:
        """Take a piece of the body, freed of any chunked coding."""

    def on_whole(self, status: int, raw_head: bytes, body: bytes) -> bool:  # noqa: ARG002
        """Take a whole answer that came at once, and return True; `raw_head` is without its empty line.

        The connection is free for the next request already, and calls nothing more. Return False, and do
        nothing, to be told of the answer in the usual order. A connection that collects headers never asks.
        """
        return False

    def on_flush(self) -> None:
        """Pass on what came, if wanted: all that was received is handed over, and more is to come."""

    def on_complete(self) -> None:
        """End: the answer is complete, and the connection is free for the next request if it is `idle`."""

    def on_failure(self, error: WireError) -> None:
        """End: there will be no complete answer, and the connection is closed."""

    def pause_writing(self) -> None:
        """Hold back: the peer reads more slowly than this exchange writes."""

    def resume_writing(self) -> None:
        """Write on: the peer has caught up."""
