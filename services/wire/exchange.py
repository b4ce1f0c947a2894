"""One request and its answer, as seen by whoever sent the request."""

from __future__ import annotations

from typing import TypeAlias

from services.wire.errors import WireError

__all__ = ["Exchange", "Headers"]

Headers: TypeAlias = list[tuple[bytes, bytes]]
"""Names as they came, values without the white space around them, in the order they came."""


class Exchange:
    """What a connection calls as an answer comes in. Every method may be overridden, none needs to be.

    Order of calls: `on_informational` any number of times, `on_head` once, `on_body` any number of times,
    then exactly one of `on_complete` and `on_failure`; the latter may also come first. Or `on_whole` alone,
    which may be asked first of all. None may raise.
    """

    __slots__ = ()

    def on_informational(self, status: int) -> None:
        """An interim answer (100 to 199, never 101) came; the final one is still to come."""

    def on_head(self, status: int, headers: Headers) -> None:
        """The final answer's head came. `headers` is empty where the connection does not collect them."""

    def on_body(self, chunk: bytes) -> None:
        """A piece of the body came, freed of any chunked coding."""

    def on_whole(self, status: int, raw_head: bytes, body: bytes) -> bool:  # noqa: ARG002
        """The whole answer came at once, `raw_head` without its empty line. Whether this takes it so.

        If it does, the connection is free for the next request already, and nothing more is told. Else it
        must do nothing, and is told of the answer in the usual order. Asked where it saves something: a
        connection that collects headers never does.
        """
        return False

    def on_flush(self) -> None:
        """All that has been received is handed over and more is to come: a good moment to pass it on."""

    def on_complete(self) -> None:
        """The answer is complete, and the connection is free for the next request if it is `idle`."""

    def on_failure(self, error: WireError) -> None:
        """There will be no complete answer. The connection is closed."""

    def pause_writing(self) -> None:
        """The peer reads more slowly than this exchange writes: hold back."""

    def resume_writing(self) -> None:
        """The peer has caught up: write on."""
