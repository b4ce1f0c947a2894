"""How large a message may be on the wire, whatever the protocol, and how long a server may take to end.

The largest request is what a client may send to the entry, and what every hop behind it takes too: what the
services add on the way is allowed for here, so that a request which the entry accepts fails at no later hop.
"""

from __future__ import annotations

from services.documented import DOCUMENTED

__all__ = ["BODY_LIMIT_BYTES", "GRACE_S", "answer_limit", "request_limit"]

BODY_LIMIT_BYTES = 64 * 1024 * 1024
"""The largest body of a request, or message of a call, where nothing else is set."""
GRACE_S = 3.0
"""How long requests in flight may take to end once a server is told to stop, where nothing else is set."""

_ANALYSIS_BYTES = 1024
"""More than an analysis has beside the words of the text that it names: at most twelve numbers."""
_ANSWER_BYTES = 4096
"""More than an answer has beside the words it names."""
_LAST = DOCUMENTED[-1]


def request_limit(limit_bytes: int, *, service: str = "", path: str = "") -> int:
    """Return how many bytes the `service`, or the route `path`, takes where clients may send `limit_bytes`.

    The last service takes the analysis of a text, which may be a little longer than a text of one word.
    """
    last = service == _LAST.name or path == _LAST.path
    return limit_bytes + _ANALYSIS_BYTES if last else limit_bytes


def answer_limit(limit_bytes: int) -> int:
    """Return how long the pipeline's answer to a request of up to `limit_bytes` can be.

    It names the most frequent words twice: in the report, and as top_words.
    """
    return 2 * limit_bytes + _ANSWER_BYTES
